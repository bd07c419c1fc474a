//! What a client asks for: method, path and body read into one of the requests the service knows. Pure.

use axum::extract::Query;
use axum::http::{HeaderMap, Method, Uri, header};
use serde::Deserialize;

use crate::domain::MusicTaskId;

use super::random::fingerprint;

/// One request that the service knows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ApiRequest {
    /// Make a cover.
    Generate(Result<CoverRequest, ValidationError>),
    /// Read a cover.
    CoverRecord(Result<String, ValidationError>),
    /// Read a music task.
    MusicRecord(Result<String, ValidationError>),
    /// Read the balance.
    Credit,
}

/// A generate request in which nothing is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CoverRequest {
    /// For which music task.
    pub(super) music: MusicTaskId,
    /// Who is told of its end, and what the record shows.
    pub(super) callback_url: String,
}

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValidationError {
    /// No `taskId`.
    NoTaskId,
    /// No `callBackUrl`.
    NoCallback,
    /// A `taskId` that no music task can have.
    UnknownMusic,
}

impl ValidationError {
    /// The vendor's words.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::NoTaskId => "taskId is required",
            Self::NoCallback => "Please enter callBackUrl.",
            Self::UnknownMusic => "Original music record does not exist",
        }
    }
}

impl ApiRequest {
    /// The call that this request makes; `None` for a wrong path or method.
    pub(super) fn read(method: &Method, uri: &Uri, body: &[u8]) -> Option<Self> {
        match (method.as_str(), uri.path()) {
            ("POST", "/api/v1/suno/cover/generate") => Some(Self::Generate(CoverRequest::read(body))),
            ("GET", "/api/v1/suno/cover/record-info") => Some(Self::CoverRecord(task_id(uri))),
            ("GET", "/api/v1/generate/record-info") => Some(Self::MusicRecord(task_id(uri))),
            ("GET", "/api/v1/generate/credit" | "/api/v1/chat/credit") => Some(Self::Credit),
            _ => None,
        }
    }

    /// What requests are counted by: the same for all about one thing.
    pub(super) fn subject(&self, seed: u64) -> u64 {
        let (kind, id) = match self {
            Self::Generate(request) => ("generate", request.as_ref().map_or("", |request| request.music.as_str())),
            Self::CoverRecord(id) => ("read cover", id.as_deref().unwrap_or_default()),
            Self::MusicRecord(id) => ("read music", id.as_deref().unwrap_or_default()),
            Self::Credit => ("read credit", ""),
        };
        fingerprint(seed, &[kind, id])
    }
}

impl CoverRequest {
    fn read(body: &[u8]) -> Result<Self, ValidationError> {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase")]
        struct Fields {
            task_id: Option<String>,
            call_back_url: Option<String>,
        }
        let fields: Fields = serde_json::from_slice(body).unwrap_or_default();
        let task_id = present(fields.task_id).ok_or(ValidationError::NoTaskId)?;
        let callback_url = present(fields.call_back_url).ok_or(ValidationError::NoCallback)?;
        let music = MusicTaskId::new(task_id).map_err(|_| ValidationError::UnknownMusic)?;
        Ok(Self { music, callback_url })
    }
}

fn present(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// The `taskId` of the query.
fn task_id(uri: &Uri) -> Result<String, ValidationError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Fields {
        task_id: Option<String>,
    }
    let fields = Query::<Fields>::try_from_uri(uri).map_err(|_| ValidationError::NoTaskId)?;
    present(fields.0.task_id).ok_or(ValidationError::NoTaskId)
}

/// Who calls: a fingerprint of the key, which is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ApiKeyId(u64);

impl ApiKeyId {
    /// Who sent these headers; `None` without `Authorization: Bearer` and a key.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let key = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?.trim();
        (!key.is_empty()).then(|| Self(fingerprint(0, &[key])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, uri: &str, body: &str) -> Option<ApiRequest> {
        ApiRequest::read(&method.parse().unwrap(), &uri.parse().unwrap(), body.as_bytes())
    }

    #[test]
    fn a_generate_request_lacks_nothing_or_is_complained_about() {
        let table = [
            (r#"{"callBackUrl":"u"}"#, ValidationError::NoTaskId),
            (r#"{"taskId":"","callBackUrl":"u"}"#, ValidationError::NoTaskId),
            (r#"{"taskId":7,"callBackUrl":"u"}"#, ValidationError::NoTaskId),
            ("{", ValidationError::NoTaskId),
            (r#"{"taskId":"m"}"#, ValidationError::NoCallback),
            (r#"{"taskId":"m","callbackUrl":"u"}"#, ValidationError::NoCallback),
            (r#"{"taskId":"two words","callBackUrl":"u"}"#, ValidationError::UnknownMusic),
        ];
        for (body, error) in table {
            let call = read("POST", "/api/v1/suno/cover/generate", body);
            assert_eq!(call, Some(ApiRequest::Generate(Err(error))), "{body}");
        }
        let whole = CoverRequest { music: MusicTaskId::new("m").unwrap(), callback_url: "u".to_owned() };
        let call = read("POST", "/api/v1/suno/cover/generate", r#"{"taskId":"m","callBackUrl":"u","more":1}"#);
        assert_eq!(call, Some(ApiRequest::Generate(Ok(whole))));
    }

    #[test]
    fn a_read_names_its_task_in_the_query() {
        let record = |query: &str| read("GET", &format!("/api/v1/suno/cover/record-info{query}"), "");
        assert_eq!(record("?taskId=a%2Fb"), Some(ApiRequest::CoverRecord(Ok("a/b".to_owned()))));
        for none in ["", "?", "?taskId=", "?taskid=a"] {
            assert_eq!(record(none), Some(ApiRequest::CoverRecord(Err(ValidationError::NoTaskId))), "{none}");
        }
    }

    #[test]
    fn a_wrong_path_or_method_is_no_call() {
        assert_eq!(read("GET", "/api/v1/suno/cover/generate", ""), None);
        assert_eq!(read("POST", "/api/v1/generate/credit", ""), None);
        assert_eq!(read("GET", "/api/v1/generate/credit/", ""), None);
    }

    #[test]
    fn a_caller_is_known_by_a_key_of_any_kind() {
        let of = |value: &str| ApiKeyId::of(&HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]));
        assert!(of("Bearer a").is_some());
        assert_ne!(of("Bearer a"), of("Bearer b"));
        assert_eq!((of("Bearer "), of("Basic a"), of("a"), ApiKeyId::of(&HeaderMap::new())), (None, None, None, None));
    }
}
