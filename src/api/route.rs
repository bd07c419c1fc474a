//! What each route of the service is asked, where, and how its answers are read: the one place that tells routes apart.

use serde::Serialize;

use super::wire::{RawAnswer, read_cover_record, read_job_record, read_job_submission, read_submission};
use crate::domain::{CoverProgress, CoverTaskId, MusicTaskId, Outcome, Reading, Route};
use crate::secret::ApiKey;

/// The model that makes covers, among all that the endpoint for jobs has.
const MODEL: &str = "ai-music-api/cover-generate";

/// The body of a submission. The service spells `callBackUrl` with a capital B here, and only here.
#[derive(Serialize)]
struct CoverBody<'a> {
    #[serde(rename = "taskId")]
    task_id: &'a str,
    #[serde(rename = "callBackUrl")]
    callback_url: &'a str,
}

/// The body of a submission as a job. Its `task_id` is in snake case.
#[derive(Serialize)]
struct JobBody<'a> {
    model: &'static str,
    #[serde(rename = "callBackUrl")]
    callback_url: &'a str,
    input: JobInput<'a>,
}

#[derive(Serialize)]
struct JobInput<'a> {
    task_id: &'a str,
}

impl Route {
    /// The path of the one endpoint that is paid for.
    #[must_use]
    pub const fn submit_path(self) -> &'static str {
        match self {
            Self::Legacy => "/api/v1/suno/cover/generate",
            Self::Jobs => "/api/v1/jobs/createTask",
        }
    }

    /// The path of the record of a cover.
    pub(super) const fn record_path(self) -> &'static str {
        match self {
            Self::Legacy => "/api/v1/suno/cover/record-info",
            Self::Jobs => "/api/v1/jobs/recordInfo",
        }
    }

    /// The JSON body of a submission whose end is told to `callback_url`, as it is sent.
    #[must_use]
    pub fn submission_body(self, task: &MusicTaskId, callback_url: &str) -> String {
        let task_id = task.as_str();
        let body = match self {
            Self::Legacy => serde_json::to_string(&CoverBody { task_id, callback_url }),
            Self::Jobs => serde_json::to_string(&JobBody { model: MODEL, callback_url, input: JobInput { task_id } }),
        };
        body.unwrap_or_default()
    }

    /// What the answer to a submission means.
    #[must_use]
    pub fn read_submission(self, raw: RawAnswer<'_>, key: &ApiKey) -> Outcome {
        match self {
            Self::Legacy => read_submission(raw, key),
            Self::Jobs => read_job_submission(raw, key),
        }
    }

    /// What the record of a cover says; it is believed only if it names `task` as its music task.
    #[must_use]
    pub fn read_record(
        self,
        raw: RawAnswer<'_>,
        key: &ApiKey,
        cover: &CoverTaskId,
        task: &MusicTaskId,
    ) -> Reading<CoverProgress> {
        match self {
            Self::Legacy => read_cover_record(raw, key, cover, task),
            Self::Jobs => read_job_record(raw, key, cover, task),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bodies_are_what_the_service_documents() {
        let task = MusicTaskId::new("a\"b").unwrap();
        let body = |route: Route| route.submission_body(&task, "https://x.example/a%22b");
        assert_eq!(body(Route::Legacy), r#"{"taskId":"a\"b","callBackUrl":"https://x.example/a%22b"}"#);
        let job = r#"{"model":"ai-music-api/cover-generate","callBackUrl":"https://x.example/a%22b","input":{"task_id":"a\"b"}}"#;
        assert_eq!(body(Route::Jobs), job);
    }
}
