//! One connection from its beginning to its end, which comes soon whatever the other side does.

use std::convert::Infallible;
use std::future::poll_fn;
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
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::handler::{HANDLED_WITHIN, Handler, Hints};
use super::limiter::Slot;

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
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

type Served = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;

/// Serves `stream` until it ends, is asked to leave, or `stop` is cancelled and its request is answered.
pub(super) async fn serve<W: Stream, H: Hints>(
    stream: W,
    slot: Slot,
    handler: Arc<Handler<H>>,
    stop: CancellationToken,
) {
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
