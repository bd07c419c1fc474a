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

use super::answer::{Answer, Ending, Reply};
use super::call::{Call, Caller};
use super::callback::{Notice, WebhookKey};
use super::delivery::{PAUSE, RETRIES, is_taken};
use super::images::ImageRequest;
use super::scenario::Scenario;
use super::service::{Service, Stats};
use super::wire::{Breaker, Wires};

/// How long [`Sandbox::stop`] waits for connections to end.
const GRACE: Duration = Duration::from_millis(500);

/// A running stand-in; it stops taking requests when this is dropped.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    desk: Arc<Desk>,
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
        let webhook_key = scenario.callbacks.as_ref().and_then(|callbacks| callbacks.webhook_key.clone());
        let service = Mutex::new(Service::new(scenario, url_of(address), clock.unix()));
        let desk = Arc::new(Desk { service, webhook_key, clock, started: clock.now(), stop: stop.clone() });
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&desk));
        let serving = axum::serve(Wires(listener), routes.into_make_service_with_connect_info::<Breaker>())
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        Ok(Self { address, desk, serving: tokio::spawn(serving.into_future()), stop: stop.drop_guard() })
    }

    /// Where it is, as `http://127.0.0.1:8000`.
    #[must_use]
    pub fn base_url(&self) -> String {
        url_of(self.address)
    }

    /// What it has seen so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.desk.service().stats()
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
struct Desk {
    service: Mutex<Service>,
    webhook_key: Option<WebhookKey>,
    clock: Clock,
    started: Instant,
    stop: CancellationToken,
}

impl Desk {
    fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reply to a request; `None` for a wrong path or method.
    fn reply(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Option<Reply> {
        let image = ImageRequest::read(method, uri, headers);
        let call = Call::read(method, uri, body);
        let mut service = self.service();
        // Read under the lock, so that the service never sees time go backwards.
        let now = self.clock.now() - self.started;
        match image {
            Some(request) => Some(service.image_reply(now, &request)),
            None => Some(service.reply(now, Caller::of(headers), call?)),
        }
    }

    /// Makes a callback when it is due, as often as it is to be made.
    async fn tell(&self, notice: Notice) {
        tokio::time::sleep(notice.due.saturating_sub(self.clock.now() - self.started)).await;
        for _ in 0..notice.repeats {
            if !self.deliver(&notice).await {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.deliver(&notice).await;
    }

    /// Whether the callback was answered 200 in the end.
    async fn deliver(&self, notice: &Notice) -> bool {
        for _ in 0..RETRIES {
            if self.post(notice).await {
                return true;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.post(notice).await
    }

    async fn post(&self, notice: &Notice) -> bool {
        // Each try has its own time, and so its own signature.
        let request = notice.request(self.webhook_key.as_ref(), self.clock.unix().0 / 1000);
        let is_taken = is_taken(&notice.recipient, &request).await;
        self.service().note_callback(is_taken);
        is_taken
    }
}

async fn answer(
    State(desk): State<Arc<Desk>>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let reply = desk.reply(&method, &uri, &headers, &body).unwrap_or_else(|| Answer::nowhere(uri.path()).into());
    if let Some(notice) = reply.notice {
        let desk = Arc::clone(&desk);
        tokio::spawn(async move { desk.stop.run_until_cancelled(desk.tell(notice)).await });
    }
    desk.stop.run_until_cancelled(tokio::time::sleep(reply.wait)).await;
    match reply.ending {
        Ending::Whole => {}
        Ending::Broken => breaker.trip(),
    }
    response(reply.answer).await
}

async fn response(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let location = answer.location.map(|location| [(header::LOCATION, location)]);
    match answer.content.into_body().await {
        Ok(body) => (status, [(header::CONTENT_TYPE, answer.content_type)], location, body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
