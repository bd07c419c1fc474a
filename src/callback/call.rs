//! What a request asks for, by its method and path alone. Pure.

use hyper::{Method, Uri};
use percent_encoding::percent_decode_str;

use crate::domain::{MAX_ID_BYTES, MusicTaskId};
use crate::signing::CallbackSecret;

/// What stands before the task id.
const PREFIX: &str = "/callback/";

/// One request that is known here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// The cover of this music task may be done; its token is right.
    Callback(MusicTaskId),
    /// How are you?
    Health,
}

impl Call {
    /// The call that this request makes; `None` for anything that is not one, whatever is wrong with it.
    ///
    /// A query is ignored.
    pub(super) fn read(method: &Method, uri: &Uri, secret: &CallbackSecret) -> Option<Self> {
        if uri.scheme().is_some() || uri.authority().is_some() {
            return None;
        }
        match (method.as_str(), uri.path()) {
            ("GET", "/healthz") => Some(Self::Health),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> CallbackSecret {
        CallbackSecret::new("canary-canary-42").unwrap()
    }

    fn token(id: &str) -> String {
        secret().token_for(&MusicTaskId::new(id).unwrap())
    }

    fn read(method: &str, uri: &str) -> Option<Call> {
        Call::read(&method.parse().unwrap(), &uri.parse().unwrap(), &secret())
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
            let call = read("POST", &format!("/callback/{segment}/{}", token(id)));
            assert_eq!(call, Some(Call::Callback(MusicTaskId::new(id).unwrap())), "{segment}");
        }
        let with_query = read("POST", &format!("/callback/m-1/{}?from=there", token("m-1")));
        assert_eq!(with_query, Some(Call::Callback(MusicTaskId::new("m-1").unwrap())));
    }

    #[test]
    fn anything_else_is_no_call() {
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
            assert_eq!(read("POST", path), None, "{path}");
        }
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "post", "X"] {
            assert_eq!(read(method, &format!("/callback/m-1/{right}")), None, "{method}");
        }
    }

    #[test]
    fn only_one_spelling_asks_how_we_are() {
        assert_eq!(read("GET", "/healthz"), Some(Call::Health));
        for path in ["/healthz/", "//healthz", "/Healthz", "/health%7a", "http://x/healthz", "/"] {
            assert_eq!(read("GET", path), None, "{path}");
        }
        assert_eq!(read("HEAD", "/healthz"), None);
    }
}
