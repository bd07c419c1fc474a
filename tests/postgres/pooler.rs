//! A pooler in front of the server: found out if it deals out connections by transactions, welcome by sessions.

use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use coverbatch::ledger::{LedgerErrorKind, PostgresLedger, ReadLedger as _};
use tempfile::TempDir;

use super::rows::works;
use super::server::{Server, url};
use super::{API, MAX_OUTAGE};

/// `pgbouncer`, which ends with this value.
struct Pooler {
    folder: TempDir,
    process: Child,
}

impl Pooler {
    fn start(server: &Server, mode: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (socket, behind) = (folder.path().display(), server.folder().display());
        let users = folder.path().join("users");
        std::fs::write(&users, "\"postgres\" \"\"\n").unwrap();
        let settings = format!(
            "[databases]\n* = host={behind}\n[pgbouncer]\npool_mode = {mode}\nunix_socket_dir = {socket}\n\
             listen_port = 5432\nauth_type = trust\nauth_file = {}\nignore_startup_parameters = extra_float_digits\n",
            users.display()
        );
        let file = folder.path().join("settings");
        std::fs::write(&file, settings).unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        // It does not run as root either.
        let script = r#"if [ "$(id -u)" = 0 ]; then exec /usr/sbin/pgbouncer -q -u postgres "$1"; fi
                        exec /usr/sbin/pgbouncer -q "$1""#;
        let process = Command::new("sh").args(["-c", script, "sh"]).arg(&file).stderr(Stdio::null()).spawn().unwrap();
        for _ in 0..100 {
            if UnixStream::connect(folder.path().join(".s.PGSQL.5432")).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { folder, process }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_pooler_is_refused_unless_it_deals_out_sessions() {
    let server = Server::shared();
    // What a pooler deals out depends on what it happens to hold.
    for (nth, mode) in ["transaction", "statement", "session"].repeat(5).into_iter().enumerate() {
        let account = format!("pooled-{nth}");
        let pooler = Pooler::start(server, mode);
        let opened =
            PostgresLedger::open(&url("postgres", pooler.folder.path(), "postgres"), &account, API, MAX_OUTAGE).await;
        match opened {
            Ok(ledger) => {
                assert_eq!(mode, "session");
                works(&ledger).await;
                ledger.close().await;
            }
            Err(error) => {
                assert_ne!(mode, "session", "{error:?}");
                assert_eq!(error.kind, LedgerErrorKind::Pooled, "{error:?}");
            }
        }
    }
}
