//! What happens to one request: path and token, body, signature, hint, in this order, and nothing after a rejection.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Request, Response, StatusCode};
use thiserror::Error;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use super::limiter::{Phase, Slot};
use super::request::{Rejection, Route, read_task_id, read_whole};
use crate::clock::Clock;
use crate::domain::MusicTaskId;
use crate::secret::{BadSignature, CallbackSecret, WebhookKey};

/// How long body and hint may take together.
pub const HANDLED_WITHIN: Duration = Duration::from_secs(5);

/// Unix seconds at which the service signed.
const TIMESTAMP: &str = "x-webhook-timestamp";

/// The signature, in base64.
const SIGNATURE: &str = "x-webhook-signature";

/// Who is told of callbacks.
pub trait Hints: Send + Sync + 'static {
    /// Notes that the record of `task`'s cover is worth reading now.
    ///
    /// Durable when this returns `Ok`, for the service is then told that it need not call again. The same task may
    /// come any number of times, also at once, and may be one that is not known. Dropped after [`HANDLED_WITHIN`] at
    /// the latest, which counts as failed.
    fn hint(&self, task: MusicTaskId) -> impl Future<Output = Result<(), HintFailed>> + Send;

    /// Whether a hint would be noted if it came now.
    fn is_healthy(&self) -> impl Future<Output = bool> + Send;
}

/// A hint that could not be noted.
#[derive(Debug, Error)]
#[error("the hint cannot be noted")]
pub struct HintFailed(#[source] Box<dyn StdError + Send + Sync>);

impl HintFailed {
    /// Failed because of `cause`.
    pub fn new(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// What all requests share.
#[derive(Debug)]
pub(super) struct Handler<H> {
    pub(super) secret: CallbackSecret,
    pub(super) webhook_key: Option<WebhookKey>,
    pub(super) clock: Clock,
    pub(super) hints: Arc<H>,
    pub(super) counters: Arc<Counters>,
}

impl<H: Hints> Handler<H> {
    /// The answer to `request`, which came over the connection in `slot`.
    pub(super) async fn answer(&self, request: Request<Incoming>, slot: &Slot) -> Response<Full<Bytes>> {
        slot.enter(Phase::Reading);
        let deadline = self.clock.now() + HANDLED_WITHIN;
        let status = match Route::of(request.method(), request.uri(), &self.secret) {
            Some(Route::Health) => self.health(deadline).await,
            Some(Route::Callback(task)) => self.counters.count(self.take(task, request, slot, deadline).await),
            None => self.counters.count(Err(Rejection::Unknown)),
        };
        slot.enter(Phase::Idle);
        response(status)
    }

    async fn take(
        &self,
        task: MusicTaskId,
        request: Request<Incoming>,
        slot: &Slot,
        deadline: Instant,
    ) -> Result<(), Rejection> {
        let (head, body) = request.into_parts();
        let body = timeout_at(deadline, read_whole(body)).await.unwrap_or(Err(Rejection::TooSlow))?;
        self.check_signature(&head.headers, &body)?;
        if !slot.enter(Phase::Processing) {
            return Err(Rejection::NotNoted);
        }
        self.note(task, deadline).await
    }

    /// Without a key there is nothing to check: the token alone makes a callback a hint, whatever its body.
    fn check_signature(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Rejection> {
        let Some(key) = &self.webhook_key else { return Ok(()) };
        let (timestamp, signature) = (only(headers, TIMESTAMP), only(headers, SIGNATURE));
        let task_id = read_task_id(body).ok_or(BadSignature::Wrong);
        let checked = task_id.and_then(|task_id| key.verify(&task_id, timestamp, signature, self.clock.unix()));
        checked.map_err(|bad| {
            warn!(reason = %bad, "a callback with a valid token is not signed as it must be");
            Rejection::BadSignature
        })
    }

    async fn note(&self, task: MusicTaskId, deadline: Instant) -> Result<(), Rejection> {
        match timeout_at(deadline, self.hints.hint(task)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failed)) => {
                let cause = std::error::Error::source(&failed).map(ToString::to_string).unwrap_or_default();
                warn!(cause, "{failed}; the service will call again");
                Err(Rejection::NotNoted)
            }
            Err(_) => {
                warn!("a hint was not noted in time; the service will call again");
                Err(Rejection::NotNoted)
            }
        }
    }

    async fn health(&self, deadline: Instant) -> StatusCode {
        match timeout_at(deadline, self.hints.is_healthy()).await {
            Ok(true) => StatusCode::OK,
            Ok(false) | Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// The value of a header that is there once, as text.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.to_str().ok())?
}

/// The answer with this status, in the service's own envelope. Who is rejected has to connect again, and so to queue
/// again.
fn response(status: StatusCode) -> Response<Full<Bytes>> {
    let words = match status {
        StatusCode::OK => "success".to_owned(),
        other => other.canonical_reason().unwrap_or_default().to_lowercase(),
    };
    let envelope = format!(r#"{{"code":{},"msg":"{words}"}}"#, status.as_u16());
    let mut response = Response::new(Full::from(envelope));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status != StatusCode::OK {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// How many requests came to what.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<Counts>);

/// The numbers of [`Counters`].
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) rejected: BTreeMap<Rejection, u64>,
    pub(super) accept_failures: u64,
}

impl Counters {
    /// Counts a callback; the status that it is answered with.
    fn count(&self, taken: Result<(), Rejection>) -> StatusCode {
        match taken {
            Ok(()) => {
                self.counts().received += 1;
                StatusCode::OK
            }
            Err(rejection) => {
                // The path stays out of the log: it may hold a token.
                debug!(?rejection, "request rejected");
                *self.counts().rejected.entry(rejection).or_default() += 1;
                rejection.status()
            }
        }
    }

    pub(super) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_counts_only_once_and_as_text() {
        let mut headers = HeaderMap::new();
        assert_eq!(only(&headers, TIMESTAMP), None);
        headers.append(TIMESTAMP, "7".parse().unwrap());
        assert_eq!(only(&headers, TIMESTAMP), Some("7"));
        headers.append(TIMESTAMP, "7".parse().unwrap());
        assert_eq!(only(&headers, TIMESTAMP), None);
        headers.append(SIGNATURE, HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(only(&headers, SIGNATURE), None);
    }

    #[test]
    fn every_rejection_has_its_status_and_ends_the_connection() {
        let table = [
            (Rejection::Unknown, 404),
            (Rejection::BadSignature, 401),
            (Rejection::TooLarge, 413),
            (Rejection::TooSlow, 408),
            (Rejection::Broken, 400),
            (Rejection::NotNoted, 503),
        ];
        for (rejection, status) in table {
            let response = response(rejection.status());
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()[CONNECTION], "close");
        }
        assert!(!response(StatusCode::OK).headers().contains_key(CONNECTION));
    }
}
