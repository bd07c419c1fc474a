//! The receiver on a socket: starts, accepts, stops; and each of its connections from its beginning to its end, which comes
//! soon whatever the other side does.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use super::handler::{Counters, HANDLED_WITHIN, Handler, Hints};
use super::limiter::{ConnectionLimiter, Slot};
use super::request::Rejection;
use crate::clock::Clock;
use crate::secret::{CallbackSecret, WebhookKey};

/// Most connections at once; a system that lets a program open 1,024 files has room for them.
pub const MAX_CONNECTIONS: usize = 256;

/// How long nothing is accepted when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a receiver needs besides someone to tell.
#[derive(Debug, Clone)]
pub struct ReceiverConfig {
    /// What tokens are checked with.
    pub secret: CallbackSecret,
    /// What signatures are checked with; `None` when the service does not sign.
    pub webhook_key: Option<WebhookKey>,
    /// What tells the age of signatures.
    pub clock: Clock,
}

/// What a receiver has seen so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverStats {
    /// Callbacks whose hint is durable.
    pub received: u64,
    /// Requests that were not taken, by reason; a reason that never occurred is not listed.
    pub rejected: BTreeMap<Rejection, u64>,
    /// Connections that had to leave for others.
    pub dropped: u64,
    /// Times that the system could not hand over a connection.
    pub accept_failures: u64,
    /// Connections that are open now.
    pub connections: usize,
    /// Most connections that were open at once, at most [`MAX_CONNECTIONS`].
    pub most_connections: usize,
}

/// A running receiver; it takes no more callbacks when this is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    limiter: Arc<ConnectionLimiter>,
    counters: Arc<Counters>,
    accepting: JoinHandle<()>,
    stop: DropGuard,
}

impl Receiver {
    /// A receiver that takes callbacks at `listen` when this returns; port 0 is any free one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start<H: Hints>(listen: SocketAddr, config: ReceiverConfig, hints: Arc<H>) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (limiter, counters, stop) =
            (ConnectionLimiter::new(MAX_CONNECTIONS), Arc::<Counters>::default(), CancellationToken::new());
        let ReceiverConfig { secret, webhook_key, clock } = config;
        let handler = Arc::new(Handler { secret, webhook_key, clock, hints, counters: Arc::clone(&counters) });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&limiter), handler, stop.clone()));
        Ok(Self { address, limiter, counters, accepting, stop: stop.drop_guard() })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has seen so far.
    #[must_use]
    pub fn stats(&self) -> ReceiverStats {
        let counts = self.counters.counts().clone();
        ReceiverStats {
            received: counts.received,
            rejected: counts.rejected,
            dropped: self.limiter.dropped(),
            accept_failures: counts.accept_failures,
            connections: self.limiter.taken(),
            most_connections: self.limiter.most(),
        }
    }

    /// Ends it: nothing is accepted any more, requests under way are answered, and what is not done after `grace` is cut
    /// off. Returns when no connection is left.
    pub async fn stop(self, grace: Duration) {
        let ReceiverStats { received, rejected, dropped, .. } = self.stats();
        info!(received, ?rejected, dropped, "no more callbacks are taken");
        drop(self.stop);
        // It ends by itself, at once, and has nothing to say.
        let _ = self.accepting.await;
        if timeout(grace, self.limiter.all_gone()).await.is_err() {
            self.limiter.drop_all();
            self.limiter.all_gone().await;
        }
    }
}

async fn accept<H: Hints>(
    listener: TcpListener,
    limiter: Arc<ConnectionLimiter>,
    handler: Arc<Handler<H>>,
    stop: CancellationToken,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                let Some(slot) = stop.run_until_cancelled(limiter.take()).await else { return };
                tokio::spawn(serve(stream, slot, Arc::clone(&handler), stop.clone()));
            }
            Err(cause) if is_about_one_connection(&cause) => {}
            Err(cause) => {
                warn!(%cause, "cannot accept connections");
                handler.counters.counts().accept_failures += 1;
                // Mostly a lack of open files, of which this frees one.
                limiter.drop_oldest();
                stop.run_until_cancelled(sleep(ACCEPT_PAUSE)).await;
            }
        }
    }
}

/// Whether only the connection that would have been accepted is gone, so that the next may be accepted at once.
fn is_about_one_connection(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// How long the head of a request may take, and how long a connection may be idle.
const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// How long a request may take from its first byte to its answer; the service waits 15 s for that.
const REQUEST_WITHIN: Duration = HEAD_WITHIN.saturating_add(HANDLED_WITHIN);

/// How old a connection may become and still begin a request.
const BEGINS_WITHIN: Duration = Duration::from_secs(20);

/// Most that is kept of a connection's bytes while they are read, and so the longest head.
const MAX_BUFFER_BYTES: usize = 16 * 1024;

/// How long what is still being sent is thrown away after an answer, so that the answer is read and not cut off by a
/// reset.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes in both directions.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

type Served = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;

/// Serves `stream` until it ends, is asked to leave, or `stop` is cancelled and its request is answered.
async fn serve<W: Stream, H: Hints>(stream: W, slot: Slot, handler: Arc<Handler<H>>, stop: CancellationToken) {
    let slot = Arc::new(slot);
    let occupied = Arc::clone(&slot);
    let service = service_fn(move |request: Request<Incoming>| -> Served {
        let (handler, slot) = (Arc::clone(&handler), Arc::clone(&occupied));
        Box::pin(async move { Ok(handler.answer(request, &slot).await) })
    });
    let connection = http().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        biased;
        () = run_to_its_end(connection, &slot, &stop) => {}
        () = slot.asked_to_leave() => {}
    }
}

fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    // Half-closed, since a hint that has begun is finished although its sender does not wait for the answer.
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_buf_size(MAX_BUFFER_BYTES).half_close(true);
    http
}

async fn run_to_its_end<W: Stream, S>(
    mut connection: http1::Connection<TokioIo<W>, S>,
    slot: &Slot,
    stop: &CancellationToken,
) where
    S: HttpService<Incoming, ResBody = Full<Bytes>, Error = Infallible, Future = Served> + Unpin,
{
    let is_over = tokio::select! {
        biased;
        _ = poll_fn(|cx| connection.poll_without_shutdown(cx)) => true,
        () = stop.cancelled() => false,
        () = sleep(BEGINS_WITHIN) => false,
    };
    if !is_over {
        if slot.is_idle() {
            return;
        }
        Pin::new(&mut connection).graceful_shutdown();
        let last = poll_fn(|cx| connection.poll_without_shutdown(cx));
        if timeout(REQUEST_WITHIN, last).await.is_err() {
            return;
        }
    }
    linger(connection.into_parts().io.into_inner()).await;
}

async fn linger(mut stream: impl Stream) {
    let mut thrown_away = [0; 4096];
    let read_out = async {
        if stream.shutdown().await.is_ok() {
            while stream.read(&mut thrown_away).await.is_ok_and(|bytes| bytes > 0) {}
        }
    };
    // Whoever is still sending after that has had time enough to read the answer.
    let _ = timeout(LINGER, read_out).await;
}

#[cfg(test)]
mod tests;
