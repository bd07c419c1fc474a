//! What the stand-in says: envelopes, the vendor's words, and the ways an answer goes wrong.

use std::time::Duration;

use serde_json::{Value, json};

use super::callback::Notice;
use super::dice::Carrier;
use super::fate::{Canned, Damage};
use super::picture::{Extent, Picture};

/// How late a slow answer is.
const SLOW: Duration = Duration::from_secs(2);
/// How long a request is held that gets no answer.
const HELD: Duration = Duration::from_secs(10 * 60);
/// What 429 says when it is about credits.
const BROKE: &str = "The current credits are insufficient. Please top up.";
/// What a huge answer has on top.
const PADDING: usize = 1024 * 1024;

/// An answer, and how it is delivered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// What is said.
    pub(super) answer: Answer,
    /// After how long.
    pub(super) wait: Duration,
    /// How the delivery ends.
    pub(super) ending: Ending,
    /// The callback that follows from it.
    pub(super) notice: Option<Notice>,
}

/// How the delivery of an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// With its last byte.
    Whole,
    /// Before, with a broken connection.
    Broken,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self { answer, wait: Duration::ZERO, ending: Ending::Whole, notice: None }
    }
}

/// An HTTP answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: u16,
    /// The `Content-Type`.
    pub(super) content_type: &'static str,
    /// The `Location` of a redirect.
    pub(super) location: Option<String>,
    /// The body.
    pub(super) content: Content,
}

/// What the body of an answer holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A picture, which is drawn when it is sent.
    Picture(Picture),
}

impl Content {
    fn pad(&mut self) {
        match self {
            Self::Bytes(bytes) => bytes.resize(bytes.len() + PADDING, b' '),
            Self::Picture(picture) => picture.extent = Extent::Padded,
        }
    }

    fn halve(&mut self) {
        match self {
            Self::Bytes(bytes) => bytes.truncate(bytes.len() / 2),
            Self::Picture(picture) => picture.extent = Extent::FirstHalf,
        }
    }
}

impl Answer {
    fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type, location: None, content: Content::Bytes(body.into()) }
    }

    fn json(status: u16, value: &Value) -> Self {
        Self::new(status, "application/json", value.to_string())
    }

    fn page(status: u16) -> Self {
        Self::new(status, "text/html", "<html><body>bad gateway</body></html>")
    }

    /// The picture, as what its name says it is.
    pub(super) fn picture(picture: Picture) -> Self {
        Self { content: Content::Picture(picture), ..Self::new(200, "image/png", "") }
    }

    /// What an image host says under this status.
    pub(super) fn image_host(status: u16) -> Self {
        Self::new(status, "text/html", format!("<html><body>{status} from the image host (sandbox)</body></html>"))
    }

    /// What an image host says that has the image elsewhere.
    pub(super) fn redirect(location: String) -> Self {
        Self { location: Some(location), ..Self::image_host(302) }
    }

    /// What the web framework says to a wrong path or method: a real 404 without `code`.
    pub(super) fn nowhere(path: &str) -> Self {
        Self::json(404, &json!({"status": 404, "error": "Not Found", "path": path}))
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
    pub(super) fn complaint(msg: &'static str) -> Self {
        Self { msg, ..Self::bare(422) }
    }

    /// This code, its usual words, and no data.
    pub(super) const fn bare(code: u16) -> Self {
        Self { code, msg: words_of(code), data: Value::Null }
    }

    /// The HTTP answer. A 401 lacks the `data` key, as recorded of the service.
    pub(super) fn carried_by(&self, carrier: Carrier) -> Answer {
        let Self { code, msg, data } = self;
        let status = match carrier {
            Carrier::Body => 200,
            Carrier::Status => *code,
        };
        let body = match code {
            401 => json!({"code": code, "msg": msg}),
            _ => json!({"code": code, "msg": msg, "data": data}),
        };
        Answer::json(status, &body)
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

impl Canned {
    /// The answer.
    pub(super) fn answer(self, carrier: Carrier) -> Answer {
        match self {
            Self::Code(code) => Envelope::bare(code).carried_by(Carrier::Body),
            // What the edge says to a client it does not like.
            Self::Http(403) => Answer::new(403, "text/plain", "error code: 1010"),
            Self::Http(status @ 502..=504) => Answer::page(status),
            Self::Http(status) => Envelope::bare(status).carried_by(Carrier::Status),
            Self::Broke => Envelope { msg: BROKE, ..Envelope::bare(429) }.carried_by(carrier),
            Self::Html => Answer::page(200),
            Self::Empty => Answer::new(200, "application/json", ""),
            Self::NoCode => Answer::json(200, &json!({"status": "ok (sandbox)"})),
            Self::NoId => Envelope::bare(200).carried_by(Carrier::Body),
        }
    }
}

impl Damage {
    /// What is left of the answer.
    pub(super) fn done_to(self, mut answer: Answer) -> Reply {
        match self {
            Self::Huge => answer.content.pad(),
            Self::Garbled => answer.content.halve(),
            Self::Cut => return Reply { ending: Ending::Broken, ..answer.into() },
            Self::Hang => return Reply { wait: HELD, ending: Ending::Broken, ..answer.into() },
            Self::Slow => return Reply { wait: SLOW, ..answer.into() },
        }
        answer.into()
    }
}
