//! What a caller is told: little, in the service's own envelope.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

/// Why a request was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// Not the address of a callback, whatever is wrong with it (404).
    Unknown,
    /// The signature is missing, old or wrong (401).
    BadSignature,
    /// More than [`MAX_BODY_BYTES`](super::MAX_BODY_BYTES) (413).
    TooLarge,
    /// A body that took too long to come (408).
    TooSlow,
    /// A body that broke off (400).
    Broken,
    /// The hint could not be noted (503).
    NotNoted,
}

impl Refusal {
    const fn status(self) -> StatusCode {
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

/// The answer to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// A callback whose hint is durable.
    Noted,
    /// A callback that was not taken, or no callback.
    Refused(Refusal),
    /// How we are, to whoever asks.
    Health(Health),
}

/// Whether hints can be noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// They can.
    Well,
    /// They cannot.
    Unwell,
}

impl Answer {
    /// The answer as HTTP. Who is refused has to connect again, and so to queue again.
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let status = match self {
            Self::Noted | Self::Health(Health::Well) => StatusCode::OK,
            Self::Refused(refusal) => refusal.status(),
            Self::Health(Health::Unwell) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = Response::new(Full::new(envelope(status)));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if status != StatusCode::OK {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn envelope(status: StatusCode) -> Bytes {
    let words = match status {
        StatusCode::OK => "success".to_owned(),
        other => other.canonical_reason().unwrap_or_default().to_lowercase(),
    };
    format!(r#"{{"code":{},"msg":"{words}"}}"#, status.as_u16()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_said_in_the_words_that_the_service_uses() {
        assert_eq!(envelope(StatusCode::OK), r#"{"code":200,"msg":"success"}"#);
        assert_eq!(envelope(StatusCode::NOT_FOUND), r#"{"code":404,"msg":"not found"}"#);
    }

    #[test]
    fn every_refusal_has_its_status() {
        let table = [
            (Refusal::Unknown, 404),
            (Refusal::BadSignature, 401),
            (Refusal::TooLarge, 413),
            (Refusal::TooSlow, 408),
            (Refusal::Broken, 400),
            (Refusal::NotNoted, 503),
        ];
        for (refusal, status) in table {
            let response = Answer::Refused(refusal).into_response();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()[CONNECTION], "close");
        }
        assert_eq!(Answer::Health(Health::Unwell).into_response().status().as_u16(), 503);
        assert!(!Answer::Noted.into_response().headers().contains_key(CONNECTION));
    }
}
