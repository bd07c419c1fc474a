//! The stand-in on a socket: starts, waits as long as each reply says, stops.
//!
//! Its connections can be broken in the middle of an answer, and can give each request the answer to the one before it:
//! HTTP libraries take care to do neither.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{io, mem};

use axum::Router;
use axum::body::Bytes;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::behavior::{Compression, Delivery};
use super::reply::{ImageRequest, Reply};
use super::request::{ApiKeyId, ApiRequest};
use super::scenario::{Scenario, SigningKey};
use super::service::{Service, Stats};
use super::webhook::Webhook;
use crate::clock::Clock;

/// How long [`Sandbox::stop`] waits for connections to end.
const GRACE: Duration = Duration::from_millis(500);
/// How late a late answer is.
const LATE: Duration = Duration::from_secs(2);
/// How long a request is held that gets no answer.
const HELD: Duration = Duration::from_secs(10 * 60);
/// Before a callback is tried again or repeated; the documentation is silent about it.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// After so many failed retries in a row the service gives up, by its documentation.
pub(super) const RETRIES: u32 = 3;

/// A running stand-in; it stops taking requests when this is dropped.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    state: Arc<AppState>,
    serving: JoinHandle<io::Result<()>>,
    stop: DropGuard,
}

impl Sandbox {
    /// A stand-in that takes requests at `listen` when this returns; port 0 is any free one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(listen: SocketAddr, scenario: Scenario, clock: Clock) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let signing_key = scenario.callbacks.as_ref().and_then(|callbacks| callbacks.signing_key.clone());
        let service = Mutex::new(Service::new(scenario, url_of(address), clock.unix()));
        let state = Arc::new(AppState { service, signing_key, clock, started: clock.now(), stop: stop.clone() });
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let serving = axum::serve(FlakyListener(listener), routes.into_make_service_with_connect_info::<FlawSwitch>())
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        Ok(Self { address, state, serving: tokio::spawn(serving.into_future()), stop: stop.drop_guard() })
    }

    /// Where it is, as `http://127.0.0.1:8000`.
    #[must_use]
    pub fn base_url(&self) -> String {
        url_of(self.address)
    }

    /// What it has seen so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.state.service().stats()
    }

    /// Ends it. Answers on their way are given at once, requests that are being held lose their connection.
    pub async fn stop(self) {
        drop(self.stop);
        // A client that never ends its request is left alone with its connection.
        let _ = tokio::time::timeout(GRACE, self.serving).await;
    }
}

fn url_of(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// What all requests share.
#[derive(Debug)]
struct AppState {
    service: Mutex<Service>,
    signing_key: Option<SigningKey>,
    clock: Clock,
    started: Instant,
    stop: CancellationToken,
}

impl AppState {
    fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reply to a request; `None` for a wrong path or method.
    fn reply(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Option<Reply> {
        let image = ImageRequest::read(method, uri, headers);
        let request = ApiRequest::read(method, uri, body);
        let mut service = self.service();
        // Read under the lock, so that the service never sees time go backwards.
        let now = self.clock.now() - self.started;
        match image {
            Some(request) => Some(service.image_reply(now, &request)),
            None => Some(service.reply(now, ApiKeyId::of(headers), request?)),
        }
    }

    /// Makes a callback when it is due: again when it is not answered 200, and as often as it is to be repeated.
    async fn call_back(&self, webhook: Webhook) {
        tokio::time::sleep(webhook.due.saturating_sub(self.clock.now() - self.started)).await;
        let (mut repeats, mut failures) = (0, 0);
        while repeats <= webhook.repeats && failures <= RETRIES {
            // Each try has its own time, and so its own signature.
            let is_taken = webhook.send(self.signing_key.as_ref(), self.clock.unix().0 / 1000).await;
            self.service().note_callback(is_taken);
            (repeats, failures) = if is_taken { (repeats + 1, 0) } else { (repeats, failures + 1) };
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn answer(
    State(state): State<Arc<AppState>>,
    ConnectInfo(connection): ConnectInfo<FlawSwitch>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut reply = state.reply(&method, &uri, &headers, &body).unwrap_or_else(|| Reply::nowhere(uri.path()));
    if let Some(webhook) = reply.webhook.take() {
        let state = Arc::clone(&state);
        tokio::spawn(async move { state.stop.run_until_cancelled(state.call_back(webhook)).await });
    }
    let (extra, flaw, encoding) = match reply.delivery {
        Delivery::Late => (LATE, Flaw::None, None),
        Delivery::Never => (HELD, Flaw::Cut, None),
        Delivery::Cut => (Duration::ZERO, Flaw::Cut, None),
        Delivery::Twice => (Duration::ZERO, Flaw::Shifted, None),
        Delivery::Compressed(Compression::Gzip) => (Duration::ZERO, Flaw::None, Some("gzip")),
        Delivery::Compressed(Compression::Deflate) => (Duration::ZERO, Flaw::None, Some("deflate")),
        Delivery::Compressed(Compression::GzipUnsaid)
        | Delivery::Whole
        | Delivery::Padded
        | Delivery::Halved
        | Delivery::Damaged => (Duration::ZERO, Flaw::None, None),
    };
    state.stop.run_until_cancelled(tokio::time::sleep(reply.latency + extra)).await;
    if flaw != Flaw::None {
        connection.set(flaw);
    }
    let encoding = encoding.map(|encoding| [(header::CONTENT_ENCODING, encoding)]);
    (encoding, response(reply).await).into_response()
}

async fn response(reply: Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let location = reply.location.map(|location| [(header::LOCATION, location)]);
    match reply.content.into_body(reply.delivery).await {
        Ok(body) => (status, [(header::CONTENT_TYPE, reply.content_type)], location, body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// How much of a broken answer is kept back; less than any body has, so that status and headers get through.
const KEPT_BACK: usize = 16;

/// Accepts connections that can have a flaw.
struct FlakyListener(pub(super) TcpListener);

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
enum Flaw {
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
struct FlawSwitch(Arc<Mutex<Flaw>>);

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
struct FlakyConnection {
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
