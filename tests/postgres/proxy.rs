//! Somebody between a ledger and its server who breaks connections when it hurts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// When the connection breaks that commits next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Before the server hears of it.
    Before,
    /// After it has committed, before that is told.
    After,
}

/// A socket that leads to the server.
#[derive(Debug)]
pub(super) struct Proxy {
    folder: TempDir,
    armed: Arc<AtomicBool>,
}

impl Proxy {
    /// One that breaks a connection once, each time that it was armed.
    pub(super) fn before(server: &Path, cut: Cut) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let (armed, server) = (Arc::new(AtomicBool::new(false)), server.join(".s.PGSQL.5432"));
        tokio::spawn(accept(listener, server, Arc::clone(&armed), cut));
        Self { folder, armed }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The connection breaks with the next commit.
    pub(super) fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Whether it has.
    pub(super) fn has_cut(&self) -> bool {
        !self.armed.load(Ordering::SeqCst)
    }
}

async fn accept(listener: UnixListener, server: PathBuf, armed: Arc<AtomicBool>, cut: Cut) {
    while let Ok((client, _)) = listener.accept().await {
        let server = UnixStream::connect(&server).await.unwrap();
        tokio::spawn(pass(client, server, Arc::clone(&armed), cut));
    }
}

async fn pass(mut client: UnixStream, mut server: UnixStream, armed: Arc<AtomicBool>, cut: Cut) {
    let (mut asked, mut told) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            count = client.read(&mut asked) => {
                let Ok(count @ 1..) = count else { return };
                let commits = asked[..count].windows(6).any(|word| word == b"COMMIT");
                let cuts = commits && armed.swap(false, Ordering::SeqCst);
                if cuts && cut == Cut::Before {
                    return;
                }
                server.write_all(&asked[..count]).await.unwrap();
                if cuts {
                    // It has committed once it tells so.
                    assert!(server.read(&mut told).await.unwrap() > 0);
                    return;
                }
            }
            count = server.read(&mut told) => {
                let Ok(count @ 1..) = count else { return };
                if client.write_all(&told[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
