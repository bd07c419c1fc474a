//! The stand-in on a socket: starts, waits as long as each reply says, stops.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clock::Clock;

use super::behavior::{Compression, Delivery};
use super::connection::{FlakyListener, Flaw, FlawSwitch};
use super::images::ImageRequest;
use super::reply::Reply;
use super::request::{ApiKeyId, ApiRequest};
use super::scenario::{Scenario, SigningKey};
use super::service::{Service, Stats};
use super::webhook::Webhook;

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
