//! Connections that can be broken in the middle of an answer, and that can give each request the answer to the one
//! before it: HTTP libraries take care to do neither.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// How much of a broken answer is kept back; less than any body has, so that status and headers get through.
const KEPT_BACK: usize = 16;

/// Accepts connections that can have a flaw.
pub(super) struct FlakyListener(pub(super) TcpListener);

impl Listener for FlakyListener {
    type Io = FlakyConnection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (FlakyConnection, SocketAddr) {
        let (stream, peer) = Listener::accept(&mut self.0).await;
        let (held, sending) = (Vec::new(), Vec::new());
        (FlakyConnection { stream, flaw: FlawSwitch::default(), held, sending }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// What is wrong with a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Nothing.
    #[default]
    None,
    /// The next answer lacks its last bytes, and after it the connection is gone.
    Cut,
    /// The next answer is given, and then again in the place of the one after it, and so on.
    Shifted,
}

/// Says from which answer on one connection has which flaw.
#[derive(Debug, Clone, Default)]
pub(super) struct FlawSwitch(Arc<Mutex<Flaw>>);

impl FlawSwitch {
    /// From the next answer on it is this one.
    pub(super) fn set(&self, flaw: Flaw) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = flaw;
    }

    fn get(&self) -> Flaw {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connected<IncomingStream<'_, FlakyListener>> for FlawSwitch {
    fn connect_info(incoming: IncomingStream<'_, FlakyListener>) -> Self {
        incoming.io().flaw.clone()
    }
}

/// A connection that can have a flaw.
///
/// It does not offer vectored writes, so that a short answer is one write, head and body.
pub(super) struct FlakyConnection {
    stream: TcpStream,
    flaw: FlawSwitch,
    /// The answer that will be given in the place of the next.
    held: Vec<u8>,
    /// What of an answer in the place of another is still to be sent.
    sending: Vec<u8>,
}

impl FlakyConnection {
    /// Writes the answer that was held back, and holds this one back; the first is written too.
    fn poll_shifted(&mut self, cx: &mut Context<'_>, answer: &[u8]) -> Poll<io::Result<usize>> {
        if self.sending.is_empty() {
            let before = mem::replace(&mut self.held, answer.to_vec());
            self.sending = if before.is_empty() { answer.to_vec() } else { before };
        }
        while !self.sending.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.sending))?;
            self.sending.drain(..sent);
        }
        Poll::Ready(Ok(answer.len()))
    }
}

impl AsyncRead for FlakyConnection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for FlakyConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.flaw.get() {
            Flaw::None => Pin::new(&mut self.stream).poll_write(cx, bytes),
            Flaw::Cut => {
                let passed = bytes.len().saturating_sub(KEPT_BACK);
                ready!(Pin::new(&mut self.stream).poll_write(cx, &bytes[..passed]))?;
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            Flaw::Shifted => self.poll_shifted(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
