//! Connections that can be broken in the middle of an answer, which HTTP libraries take care not to do.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// How much of a broken answer is kept back; less than any body has, so that status and headers get through.
const KEPT_BACK: usize = 16;

/// Accepts connections that can be broken.
pub(super) struct FlakyListener(pub(super) TcpListener);

impl Listener for FlakyListener {
    type Io = FlakyConnection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (FlakyConnection, SocketAddr) {
        let (stream, peer) = Listener::accept(&mut self.0).await;
        (FlakyConnection { stream, cutter: Cutter::default() }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Cuts one connection off at the end of the answer that is written next.
#[derive(Debug, Clone, Default)]
pub(super) struct Cutter(Arc<AtomicBool>);

impl Cutter {
    /// The next answer lacks its last bytes, and after it the connection is gone.
    pub(super) fn cut(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_cut(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Connected<IncomingStream<'_, FlakyListener>> for Cutter {
    fn connect_info(incoming: IncomingStream<'_, FlakyListener>) -> Self {
        incoming.io().cutter.clone()
    }
}

/// A connection that can be broken.
///
/// It does not offer vectored writes, so that head and body of a short answer arrive in one write.
pub(super) struct FlakyConnection {
    stream: TcpStream,
    cutter: Cutter,
}

impl AsyncRead for FlakyConnection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for FlakyConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.cutter.is_cut() {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        }
        let passed = bytes.len().saturating_sub(KEPT_BACK);
        ready!(Pin::new(&mut self.stream).poll_write(cx, &bytes[..passed]))?;
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
