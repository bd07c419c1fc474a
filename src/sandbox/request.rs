//! What a client asks for: method, path and body read into one of the requests the service knows; and which of them are
//! turned away before anyone looks at what they ask for. Pure; the time comes in.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use axum::extract::Query;
use axum::http::{HeaderMap, Method, Uri, header};
use serde::Deserialize;

use super::scenario::{MaintenanceWindow, Scenario, fingerprint};
use crate::domain::{MusicTaskId, Rate, Route};

/// One request that the service knows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ApiRequest {
    /// Make a cover.
    Generate(Result<CoverRequest, Invalid>),
    /// Read a cover that was asked for by this route.
    CoverRecord(Route, Result<String, Invalid>),
    /// Read a music task.
    MusicRecord(Result<String, Invalid>),
    /// Read the balance.
    Credit,
}

/// A generate request in which nothing is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CoverRequest {
    pub(super) music: MusicTaskId,
    /// Who is told of its end, and what the record shows; nobody, if it is empty.
    pub(super) callback_url: String,
    pub(super) route: Route,
}

/// What is wrong with a request, in the vendor's words.
type Invalid = &'static str;

const NO_TASK_ID: Invalid = "taskId is required";
const NO_INPUT: Invalid = "input.task_id is required";
const NO_CALLBACK: Invalid = "Please enter callBackUrl.";
/// To a `taskId` that no music task can have.
const UNKNOWN_MUSIC: Invalid = "Original music record does not exist";
/// To a model that is none.
const UNKNOWN_MODEL: Invalid = "The page does not exist";

/// The model that makes covers; the stand-in has no other.
pub(super) const COVER_MODEL: &str = "ai-music-api/cover-generate";

impl ApiRequest {
    /// The call that this request makes; `None` for a wrong path or method.
    pub(super) fn read(method: &Method, uri: &Uri, body: &[u8]) -> Option<Self> {
        match (method.as_str(), uri.path()) {
            ("POST", "/api/v1/suno/cover/generate") => Some(Self::Generate(CoverRequest::read(body))),
            ("GET", "/api/v1/suno/cover/record-info") => Some(Self::CoverRecord(Route::Legacy, task_id(uri))),
            ("POST", "/api/v1/jobs/createTask") => Some(Self::Generate(CoverRequest::read_job(body))),
            ("GET", "/api/v1/jobs/recordInfo") => Some(Self::CoverRecord(Route::Jobs, task_id(uri))),
            ("GET", "/api/v1/generate/record-info") => Some(Self::MusicRecord(task_id(uri))),
            ("GET", "/api/v1/generate/credit" | "/api/v1/chat/credit") => Some(Self::Credit),
            _ => None,
        }
    }

    /// What requests are counted by: the same for all about one thing.
    pub(super) fn subject(&self, seed: u64) -> u64 {
        let (kind, id) = match self {
            Self::Generate(request) => ("generate", request.as_ref().map_or("", |request| request.music.as_str())),
            Self::CoverRecord(_, id) => ("read cover", id.as_deref().unwrap_or_default()),
            Self::MusicRecord(id) => ("read music", id.as_deref().unwrap_or_default()),
            Self::Credit => ("read credit", ""),
        };
        fingerprint(seed, &[kind, id])
    }
}

impl CoverRequest {
    fn read(body: &[u8]) -> Result<Self, Invalid> {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase")]
        struct Fields {
            task_id: Option<String>,
            call_back_url: Option<String>,
        }
        let fields: Fields = serde_json::from_slice(body).unwrap_or_default();
        let task_id = present(fields.task_id).ok_or(NO_TASK_ID)?;
        let callback_url = present(fields.call_back_url).ok_or(NO_CALLBACK)?;
        let music = MusicTaskId::new(task_id).map_err(|_| UNKNOWN_MUSIC)?;
        Ok(Self { music, callback_url, route: Route::Legacy })
    }

    /// The same as a job, which needs no address to call.
    fn read_job(body: &[u8]) -> Result<Self, Invalid> {
        #[derive(Deserialize, Default)]
        struct Fields {
            model: Option<String>,
            #[serde(rename = "callBackUrl")]
            callback_url: Option<String>,
            input: Option<Input>,
        }
        #[derive(Deserialize)]
        struct Input {
            task_id: Option<String>,
        }
        let fields: Fields = serde_json::from_slice(body).unwrap_or_default();
        if fields.model.as_deref() != Some(COVER_MODEL) {
            return Err(UNKNOWN_MODEL);
        }
        let task_id = present(fields.input.and_then(|input| input.task_id)).ok_or(NO_INPUT)?;
        let music = MusicTaskId::new(task_id).map_err(|_| UNKNOWN_MUSIC)?;
        Ok(Self { music, callback_url: fields.callback_url.unwrap_or_default(), route: Route::Jobs })
    }
}

fn present(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// The `taskId` of the query.
fn task_id(uri: &Uri) -> Result<String, Invalid> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Fields {
        task_id: Option<String>,
    }
    let fields = Query::<Fields>::try_from_uri(uri).map_err(|_| NO_TASK_ID)?;
    present(fields.0.task_id).ok_or(NO_TASK_ID)
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

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denial {
    /// The service is under maintenance.
    Maintenance,
    /// There is no key.
    NoKey,
    /// A generate request over the limit.
    FastSubmission,
    /// A read of a record over the limit.
    FastRead,
}

impl Denial {
    /// The code of the answer.
    pub(super) const fn code(self) -> u16 {
        match self {
            Self::Maintenance => 455,
            Self::NoKey => 401,
            Self::FastSubmission | Self::FastRead => 429,
        }
    }
}

/// Admits requests: maintenance, key, limits.
#[derive(Debug)]
pub(super) struct Admission {
    maintenance: Vec<MaintenanceWindow>,
    submissions: Limits,
    reads: Limits,
}

impl Admission {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let maintenance = scenario.maintenance.clone();
        Self { maintenance, submissions: Limits::new(scenario.limit), reads: Limits::new(scenario.read_limit) }
    }

    /// Why this request, which arrives `now`, is turned away, if it is.
    pub(super) fn denies(&mut self, now: Duration, key: Option<ApiKeyId>, request: &ApiRequest) -> Option<Denial> {
        if self.maintenance.iter().any(|window| window.contains(now)) {
            return Some(Denial::Maintenance);
        }
        let Some(key) = key else { return Some(Denial::NoKey) };
        match request {
            ApiRequest::Generate(_) => (!self.submissions.admit(key, now)).then_some(Denial::FastSubmission),
            ApiRequest::CoverRecord(..) | ApiRequest::MusicRecord(_) => {
                (!self.reads.admit(key, now)).then_some(Denial::FastRead)
            }
            // "May be called often", by its documentation.
            ApiRequest::Credit => None,
        }
    }
}

/// One limit, kept for each key apart: a sliding-window log in which only admitted requests count.
#[derive(Debug)]
struct Limits {
    rate: Rate,
    admitted: HashMap<ApiKeyId, SlidingWindow>,
}

impl Limits {
    fn new(rate: Rate) -> Self {
        Self { rate, admitted: HashMap::new() }
    }

    fn admit(&mut self, key: ApiKeyId, now: Duration) -> bool {
        let admitted = self.admitted.entry(key).or_insert_with(|| SlidingWindow::new(self.rate.period));
        let most = usize::try_from(self.rate.count.get()).unwrap_or(usize::MAX);
        let has_room = admitted.count(now) < most;
        if has_room {
            admitted.note(now);
        }
        has_room
    }
}

/// The moments of the last period, oldest first; one that is exactly a period old is gone.
#[derive(Debug)]
pub(super) struct SlidingWindow {
    period: Duration,
    moments: VecDeque<Duration>,
}

impl SlidingWindow {
    pub(super) const fn new(period: Duration) -> Self {
        Self { period, moments: VecDeque::new() }
    }

    /// How many moments lie in the period that ends `now`; `now` must not go backwards.
    pub(super) fn count(&mut self, now: Duration) -> usize {
        while self.moments.front().is_some_and(|moment| now.saturating_sub(*moment) >= self.period) {
            self.moments.pop_front();
        }
        self.moments.len()
    }

    pub(super) fn note(&mut self, now: Duration) {
        self.moments.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, header};
    use proptest::prelude::*;

    use super::*;

    fn read(method: &str, uri: &str, body: &str) -> Option<ApiRequest> {
        ApiRequest::read(&method.parse().unwrap(), &uri.parse().unwrap(), body.as_bytes())
    }

    #[test]
    fn a_generate_request_lacks_nothing_or_is_complained_about() {
        let table = [
            (r#"{"callBackUrl":"u"}"#, NO_TASK_ID),
            (r#"{"taskId":"","callBackUrl":"u"}"#, NO_TASK_ID),
            (r#"{"taskId":7,"callBackUrl":"u"}"#, NO_TASK_ID),
            ("{", NO_TASK_ID),
            (r#"{"taskId":"m"}"#, NO_CALLBACK),
            (r#"{"taskId":"m","callbackUrl":"u"}"#, NO_CALLBACK),
            (r#"{"taskId":"two words","callBackUrl":"u"}"#, UNKNOWN_MUSIC),
        ];
        for (body, error) in table {
            let call = read("POST", "/api/v1/suno/cover/generate", body);
            assert_eq!(call, Some(ApiRequest::Generate(Err(error))), "{body}");
        }
        let music = MusicTaskId::new("m").unwrap();
        let whole = CoverRequest { music, callback_url: "u".to_owned(), route: Route::Legacy };
        let call = read("POST", "/api/v1/suno/cover/generate", r#"{"taskId":"m","callBackUrl":"u","more":1}"#);
        assert_eq!(call, Some(ApiRequest::Generate(Ok(whole))));
    }

    #[test]
    fn a_job_names_its_model_and_its_music_and_need_not_name_a_callback() {
        let job = |body: &str| read("POST", "/api/v1/jobs/createTask", body);
        let table = [
            ("{", UNKNOWN_MODEL),
            (r#"{"input":{"task_id":"m"}}"#, UNKNOWN_MODEL),
            (r#"{"model":"ai-music-api/generate","input":{"task_id":"m"}}"#, UNKNOWN_MODEL),
            (r#"{"model":"ai-music-api/cover-generate"}"#, NO_INPUT),
            (r#"{"model":"ai-music-api/cover-generate","taskId":"m","input":{"taskId":"m"}}"#, NO_INPUT),
            (r#"{"model":"ai-music-api/cover-generate","input":{"task_id":""}}"#, NO_INPUT),
            (r#"{"model":"ai-music-api/cover-generate","input":{"task_id":"two words"}}"#, UNKNOWN_MUSIC),
        ];
        for (body, error) in table {
            assert_eq!(job(body), Some(ApiRequest::Generate(Err(error))), "{body}");
        }
        for (more, url) in [("", ""), (r#","callBackUrl":"u""#, "u")] {
            let music = MusicTaskId::new("m").unwrap();
            let whole = CoverRequest { music, callback_url: url.to_owned(), route: Route::Jobs };
            let body = format!(r#"{{"model":"{COVER_MODEL}","input":{{"task_id":"m"}}{more}}}"#);
            assert_eq!(job(&body), Some(ApiRequest::Generate(Ok(whole))), "{body}");
        }
    }

    #[test]
    fn a_read_names_its_task_in_the_query() {
        let paths = [("/api/v1/suno/cover/record-info", Route::Legacy), ("/api/v1/jobs/recordInfo", Route::Jobs)];
        for (path, route) in paths {
            let record = |query: &str| read("GET", &format!("{path}{query}"), "");
            assert_eq!(record("?taskId=a%2Fb"), Some(ApiRequest::CoverRecord(route, Ok("a/b".to_owned()))));
            for none in ["", "?", "?taskId=", "?taskid=a"] {
                assert_eq!(record(none), Some(ApiRequest::CoverRecord(route, Err(NO_TASK_ID))), "{none}");
            }
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

    const PERIOD: Duration = Duration::from_secs(1);

    /// Whether a request that arrives then is admitted, of one key.
    fn limiter(count: u32) -> impl FnMut(Duration) -> bool {
        let mut limits = Limits::new(Rate { count: count.try_into().unwrap(), period: PERIOD });
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, "Bearer key".parse().unwrap())]);
        let key = ApiKeyId::of(&headers).unwrap();
        move |now| limits.admit(key, now)
    }

    proptest! {
        #[test]
        fn a_request_is_admitted_exactly_if_the_window_before_it_has_room(
            count in 1_u32..6,
            gaps in prop::collection::vec(0_u64..600, 0..200),
        ) {
            let (mut admit, mut now) = (limiter(count), Duration::ZERO);
            let mut admitted: Vec<Duration> = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                let before = admitted.iter().filter(|moment| **moment + PERIOD > now).count();
                let is_admitted = admit(now);
                prop_assert_eq!(is_admitted, before < count as usize);
                if is_admitted {
                    admitted.push(now);
                }
            }
            for apart in admitted.windows(count as usize + 1) {
                prop_assert!(apart[count as usize] >= apart[0] + PERIOD);
            }
        }
    }

    #[test]
    fn after_an_idle_period_the_whole_limit_is_free_again() {
        let mut admit = limiter(20);
        for start in [Duration::ZERO, PERIOD, PERIOD * 5] {
            assert_eq!((0..25).filter(|_| admit(start)).count(), 20, "{start:?}");
        }
    }

    #[test]
    fn refused_requests_do_not_prolong_the_wait() {
        let mut admit = limiter(1);
        assert!(admit(Duration::ZERO));
        assert!((1..1000).all(|ms| !admit(Duration::from_millis(ms))));
        assert!(admit(PERIOD));
    }
}
