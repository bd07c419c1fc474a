//! What happens to one request: path and token, body, signature, hint, in this order, and nothing after a rejection. A body
//! is bounded while it is read, and never trusted to have a shape.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use super::limiter::{Phase, Slot};
use crate::api::json::{RawTask, object, text};
use crate::clock::Clock;
use crate::domain::{MAX_ID_BYTES, MusicTaskId};
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

/// Longest body that is read; a cover's has a few hundred bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// What stands before the task id.
const PREFIX: &str = "/callback/";

/// Why a request was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejection {
    /// Not the address of a callback, whatever is wrong with it (404).
    Unknown,
    /// The signature is missing, old or wrong (401).
    BadSignature,
    /// More than [`MAX_BODY_BYTES`] (413).
    TooLarge,
    /// A body that took too long to come (408).
    TooSlow,
    /// A body that broke off (400).
    Broken,
    /// The hint could not be noted (503).
    NotNoted,
}

impl Rejection {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::BadSignature => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::NotNoted => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    /// The cover of this music task may be done; its token is right.
    Callback(MusicTaskId),
    /// How are you?
    Health,
}

impl Route {
    /// What this request asks for; `None` for anything that is not known here, whatever is wrong with it.
    ///
    /// A query is ignored.
    pub(super) fn of(method: &Method, uri: &Uri, secret: &CallbackSecret) -> Option<Self> {
        if uri.scheme().is_some() || uri.authority().is_some() {
            return None;
        }
        match (method.as_str(), uri.path()) {
            ("GET" | "HEAD", "/healthz") => Some(Self::Health),
            ("POST", path) => callback(path, secret).map(Self::Callback),
            _ => None,
        }
    }
}

fn callback(path: &str, secret: &CallbackSecret) -> Option<MusicTaskId> {
    let (encoded, token) = path.strip_prefix(PREFIX)?.split_once('/')?;
    let task = task_id(encoded)?;
    secret.admits(&task, token).then_some(task)
}

/// The id in one segment of a path, decoded once and not trimmed.
fn task_id(encoded: &str) -> Option<MusicTaskId> {
    if encoded.len() > 3 * MAX_ID_BYTES {
        return None;
    }
    let decoded: Vec<u8> = percent_decode_str(encoded).collect();
    let task = MusicTaskId::new(&decoded).ok()?;
    (task.as_str().as_bytes() == decoded).then_some(task)
}

/// The whole body, if it is not too long; one that says so beforehand is not read at all.
async fn read_whole(mut body: Incoming) -> Result<Vec<u8>, Rejection> {
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(Rejection::TooLarge);
    }
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| Rejection::Broken)?.into_data() else { continue };
        if whole.len() + piece.len() > MAX_BODY_BYTES {
            return Err(Rejection::TooLarge);
        }
        // Copied, since pieces of one byte each would keep far more alive than they hold.
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// The fields that may hold a task id, each as it stands.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct RawCallback<'a> {
    #[serde(rename = "taskId")]
    task_id: Option<&'a RawValue>,
    data: Option<&'a RawValue>,
}

/// The task id that a callback is about: `taskId`, else `data.taskId`, else `data.task_id`, the first that is a text
/// and not empty. All three are in use (docs.kie.ai, webhook verification and the callback pages).
///
/// It is what was sent, of any content; good for checking a signature and for nothing else.
fn read_task_id(body: &[u8]) -> Option<String> {
    let callback: RawCallback<'_> = object(body)?;
    let said = |raw: &RawValue| text(raw).filter(|text| !text.is_empty());
    callback.task_id.and_then(said).or_else(|| object::<RawTask<'_>>(callback.data?.get().as_bytes())?.read(said))
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

    fn secret() -> CallbackSecret {
        CallbackSecret::new("canary-canary-42").unwrap()
    }

    fn token(id: &str) -> String {
        secret().token_for(&MusicTaskId::new(id).unwrap())
    }

    fn route(method: &str, uri: &str) -> Option<Route> {
        Route::of(&method.parse().unwrap(), &uri.parse().unwrap(), &secret())
    }

    #[test]
    fn a_callback_names_its_task_decoded_once() {
        let longest = "x".repeat(MAX_ID_BYTES);
        let all_encoded = "%78".repeat(MAX_ID_BYTES);
        let table = [
            ("m-1", "m-1"),
            ("%6D-1", "m-1"),
            ("a%2Fb%3fc", "a/b?c"),
            ("a%252Fb", "a%2Fb"),
            ("..", ".."),
            (&longest, &longest),
            (&all_encoded, &longest),
        ];
        for (segment, id) in table {
            let call = route("POST", &format!("/callback/{segment}/{}", token(id)));
            assert_eq!(call, Some(Route::Callback(MusicTaskId::new(id).unwrap())), "{segment}");
        }
        let with_query = route("POST", &format!("/callback/m-1/{}?from=there", token("m-1")));
        assert_eq!(with_query, Some(Route::Callback(MusicTaskId::new("m-1").unwrap())));
    }

    #[test]
    fn anything_else_is_no_callback() {
        let (right, other) = (token("m-1"), token("m-2"));
        let wrong_paths = [
            format!("/callback/m-1/{other}"),
            format!("/callback/m-2/{right}"),
            format!("/callback/m-1/{}", right.to_uppercase()),
            format!("/callback/m-1/{}", &right[..63]),
            format!("/callback/m-1/{right}/"),
            format!("/callback/m-1/{right}%00"),
            format!("/callback/m-1/%{:02x}{}", right.as_bytes()[0], &right[1..]),
            format!("/callback/m-1//{right}"),
            format!("/callback//m-1/{right}"),
            format!("//callback/m-1/{right}"),
            format!("/./callback/m-1/{right}"),
            format!("/x/../callback/m-1/{right}"),
            format!("/callback/../callback/m-1/{right}"),
            format!("/callback/m-1%2f{right}"),
            format!("/callback%2fm-1/{right}"),
            format!("/%63allback/m-1/{right}"),
            format!("/Callback/m-1/{right}"),
            format!("/callback/m-1%00/{right}"),
            format!("/callback/%20m-1/{right}"),
            format!("/callback/m-1%0a/{right}"),
            format!("/callback/m%252d1/{right}"),
            format!("/callback/{}/{right}", "x".repeat(MAX_ID_BYTES + 1)),
            format!("/callback/{}/{right}", "x".repeat(60_000)),
            format!("/callback/{}m-1/{right}", "%20".repeat(MAX_ID_BYTES)),
            format!("/callback/{right}"),
            format!("/callback//{right}"),
            format!("http://127.0.0.1/callback/m-1/{right}"),
            "/callback/m-1/".to_owned(),
            "/callback/m-1".to_owned(),
            "/callback/".to_owned(),
            "/callback".to_owned(),
            "/".to_owned(),
            "*".to_owned(),
            "127.0.0.1:80".to_owned(),
            "/healthz".to_owned(),
        ];
        for path in &wrong_paths {
            assert_eq!(route("POST", path), None, "{path}");
        }
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "post", "X"] {
            assert_eq!(route(method, &format!("/callback/m-1/{right}")), None, "{method}");
        }
    }

    #[test]
    fn only_one_spelling_asks_how_we_are() {
        for method in ["GET", "HEAD"] {
            assert_eq!(route(method, "/healthz"), Some(Route::Health));
        }
        for path in ["/healthz/", "//healthz", "/Healthz", "/health%7a", "http://x/healthz", "/"] {
            assert_eq!(route("GET", path), None, "{path}");
        }
        assert_eq!(route("OPTIONS", "/healthz"), None);
    }

    #[test]
    fn an_id_is_found_in_each_of_its_places_in_order() {
        let table = [
            (r#"{"taskId":"a","data":{"taskId":"b","task_id":"c"}}"#, Some("a")),
            (r#"{"data":{"task_id":"c","taskId":"b"}}"#, Some("b")),
            (r#"{"data":{"task_id":"c"}}"#, Some("c")),
            (r#"{"taskId":7,"data":{"taskId":null,"task_id":"c"}}"#, Some("c")),
            (r#"{"taskId":"","data":{"taskId":{"x":1},"task_id":"c"}}"#, Some("c")),
            ("\u{feff} {\"task\\u0049d\":\"a\\u0062\"}", Some("ab")),
            (r#"{"code":200,"msg":"success","data":{"taskId":"b","images":["https://x.example/1.png"]}}"#, Some("b")),
            (
                r#"{"code":501,"msg":"failed","data":{"taskId":"b","state":"fail","param":"{\"input\":\"{\\\"task_id\\\":\\\"m\\\"}\"}"}}"#,
                Some("b"),
            ),
        ];
        for (body, expected) in table {
            assert_eq!(read_task_id(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn other_spellings_and_shapes_hold_no_id() {
        let table = [
            "",
            "null",
            "7",
            r#""taskId""#,
            r#"["a"]"#,
            r#"[{"taskId":"a"}]"#,
            "{}",
            r#"{"taskid":"a","TaskId":"a","task_id":"a","id":"a"}"#,
            r#"{"data":["a"]}"#,
            r#"{"data":"{\"taskId\":\"a\"}"}"#,
            r#"{"data":{"data":{"taskId":"a"}}}"#,
            r#"{"taskId":["a"]}"#,
            r#"{"taskId":"a""#,
            r#"{"taskId":"a"} x"#,
            r#"{"taskId":"a","taskId":"b"}"#,
            "taskId=a",
        ];
        for body in table {
            assert_eq!(read_task_id(body.as_bytes()), None, "{body}");
        }
        assert_eq!(read_task_id(b"{\"taskId\":\"\xff\"}"), None);
    }

    #[test]
    fn nesting_costs_no_stack() {
        let deep = "[".repeat(MAX_BODY_BYTES);
        assert_eq!(read_task_id(format!(r#"{{"x":{deep}"#).as_bytes()), None);
        let whole = format!(r#"{{"x":{}{},"taskId":"a"}}"#, "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(read_task_id(whole.as_bytes()).as_deref(), Some("a"));
        let inside = format!(r#"{{"data":{{"x":{}{},"taskId":"a"}}}}"#, "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(read_task_id(inside.as_bytes()).as_deref(), Some("a"));
    }
}
