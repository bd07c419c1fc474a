//! What the stand-in says: envelopes and the vendor's words.

use std::time::Duration;

use serde_json::{Value, json};

use super::behavior::{Canned, Delivery};
use super::body::{Content, Gradient};
use super::random::Carrier;
use super::webhook::Webhook;

/// What 429 says when it is about credits.
const BROKE: &str = "The current credits are insufficient. Please top up.";
/// What code 500 says when it is about maintenance, as recorded of `api.kie.ai`.
const MAINTENANCE: &str = "The server is currently being maintained, please try again later~";
/// What code 500 says when it is about the address, as recorded of `api.kie.ai`.
const NO_PAGE: &str = "The page does not exist";
/// Where a redirect leads; nobody is there.
const MOVED: &str = "https://moved.invalid/";

/// An HTTP answer, and how it gets to the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The HTTP status.
    pub(super) status: u16,
    /// The `Content-Type`.
    pub(super) content_type: &'static str,
    /// The `Location` of a redirect.
    pub(super) location: Option<String>,
    /// The body.
    pub(super) content: Content,
    /// After how long.
    pub(super) latency: Duration,
    /// How it is delivered.
    pub(super) delivery: Delivery,
    /// The callback that follows from it.
    pub(super) webhook: Option<Webhook>,
}

impl Reply {
    fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type,
            location: None,
            content: Content::Bytes(body.into()),
            latency: Duration::ZERO,
            delivery: Delivery::Whole,
            webhook: None,
        }
    }

    fn json(status: u16, value: &Value) -> Self {
        Self::new(status, "application/json", value.to_string())
    }

    /// What a gateway says; with where to go instead, if that is what the status is about.
    fn page(status: u16) -> Self {
        let location = (300..=399).contains(&status).then(|| MOVED.to_owned());
        Self { location, ..Self::new(status, "text/html", "<html><body>bad gateway</body></html>") }
    }

    /// The answer that is always the same.
    pub(super) fn canned(canned: Canned, carrier: Carrier) -> Self {
        match canned {
            Canned::Code(code) => Envelope::bare(code).carried_by(Carrier::Body),
            // What the edge says to a client it does not like.
            Canned::Http(403) => Self::new(403, "text/plain", "error code: 1010"),
            Canned::Http(status @ (300..=399 | 502..=504)) | Canned::Page(status) => Self::page(status),
            Canned::Http(status) => Envelope::bare(status).carried_by(Carrier::Status),
            Canned::Broke => Envelope { msg: BROKE, ..Envelope::bare(429) }.carried_by(carrier),
            Canned::Html => Self::page(200),
            Canned::Empty => Self::new(200, "application/json", ""),
            Canned::NoCode => Self::json(200, &json!({"status": "ok (sandbox)"})),
            Canned::NoId => Envelope::bare(200).carried_by(Carrier::Body),
            Canned::Maintenance => Envelope { msg: MAINTENANCE, ..Envelope::bare(500) }.carried_by(carrier),
            Canned::NoPage => Envelope { msg: NO_PAGE, ..Envelope::bare(500) }.carried_by(carrier),
            Canned::Nowhere => Self::nowhere("/api/v1/suno/cover/generate"),
        }
    }

    /// What the web framework says to a wrong path or method: a real 404 without `code`.
    pub(super) fn nowhere(path: &str) -> Self {
        Self::json(404, &json!({"status": 404, "error": "Not Found", "path": path}))
    }

    /// The image, as what its name says it is.
    pub(super) fn image(gradient: Gradient) -> Self {
        Self { content: Content::Image(gradient), ..Self::new(200, "image/png", "") }
    }

    /// What an image host says under this status.
    pub(super) fn image_host(status: u16) -> Self {
        Self::new(status, "text/html", format!("<html><body>{status} from the image host (sandbox)</body></html>"))
    }

    /// What an image host says that has the image elsewhere.
    pub(super) fn redirect(location: String) -> Self {
        Self { location: Some(location), ..Self::image_host(302) }
    }
}

/// The body of every answer that the service itself gives.
#[derive(Debug)]
pub(super) struct Envelope {
    code: u16,
    msg: &'static str,
    data: Value,
}

impl Envelope {
    /// Code 200 with this.
    pub(super) fn success(data: Value) -> Self {
        Self { data, ..Self::bare(200) }
    }

    /// Code 400 with the id of the cover that is there.
    pub(super) fn already_covered(cover_id: &str) -> Self {
        Self { data: json!({"taskId": cover_id}), ..Self::bare(400) }
    }

    /// Code 422 with these words.
    pub(super) fn invalid(msg: &'static str) -> Self {
        Self { msg, ..Self::bare(422) }
    }

    /// This code, its usual words, and no data.
    pub(super) const fn bare(code: u16) -> Self {
        Self { code, msg: words_of(code), data: Value::Null }
    }

    /// The HTTP answer. A 401 lacks the `data` key, as recorded of the service.
    pub(super) fn carried_by(&self, carrier: Carrier) -> Reply {
        let Self { code, msg, data } = self;
        let status = match carrier {
            Carrier::Body => 200,
            Carrier::Status => *code,
        };
        let body = match code {
            401 => json!({"code": code, "msg": msg}),
            _ => json!({"code": code, "msg": msg, "data": data}),
        };
        Reply::json(status, &body)
    }
}

/// The vendor's words for a code; those that speak of a cover are marked as the stand-in's.
const fn words_of(code: u16) -> &'static str {
    match code {
        200 => "success (sandbox)",
        400 => "A cover was already generated for this task (sandbox)",
        401 => "You do not have access permissions",
        402 => "Insufficient credits",
        404 => "Resource not found",
        405 => "Rate limit exceeded",
        408 => "Timed out",
        409 => "Cover record already exists (sandbox)",
        413 => "Content too long",
        422 => "Original music record does not exist",
        429 => "Your call frequency is too high. Please try again later.",
        430 => "Call frequency too high",
        433 => "Key usage limit exceeded",
        451 => "Source file could not be fetched",
        455 => "System maintenance",
        500 => "Unexpected server error",
        501 => "Generation failed",
        505 => "Feature disabled",
        531 => "Generation failed and credits were refunded",
        _ => "Something without words happened (sandbox)",
    }
}
