//! The covers that the stand-in remembers, and their records. Pure; the time comes in.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::UnixMillis;
use crate::domain::{MusicTaskId, Route};

use super::behavior::{Behavior, CoverFault, Script};
use super::request::{COVER_MODEL, CoverRequest};
use super::scenario::{CoverDraw, Scenario, later_cover_id};

/// A cover waits for the first part of its time, one in so many, and is being made in the rest.
const WAITING: u32 = 4;
/// Whose cover it is, if not that of the music task it was asked for.
const ANOTHER_MUSIC_TASK: &str = "5f0e00000000000000000000000000ad";
/// What the record of a failed cover says.
const FAILURE: &str = "Cover generation failed (sandbox)";
/// What a cover costs.
const CREDITS: u8 = 1;

/// A cover that is made, being made, or failed. All times are since the start of the service.
#[derive(Debug)]
pub(super) struct Cover {
    pub(super) id: String,
    /// What was asked for.
    pub(super) request: CoverRequest,
    /// The music task that its record names.
    parent: String,
    accepted: Duration,
    running: Duration,
    /// `None`: it never ends.
    end: Option<Duration>,
    ending: Ending,
}

/// What there is when a cover ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Two images.
    Images,
    /// A success without images.
    NoImages,
    /// A failure.
    Failure,
}

/// How far a cover is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Accepted (`successFlag` 0).
    Waiting,
    /// Being made (2).
    Running,
    /// At its end since then (1, or 3 for a failure).
    Ended(Duration, Ending),
}

impl Progress {
    /// The number of the service for it.
    const fn success_flag(self) -> u8 {
        match self {
            Self::Waiting => 0,
            Self::Ended(_, Ending::Images | Ending::NoImages) => 1,
            Self::Running => 2,
            Self::Ended(_, Ending::Failure) => 3,
        }
    }
}

impl Cover {
    /// The cover that is accepted `now`, for a music task that has `before` failed ones.
    pub(super) fn begun(scenario: &Scenario, now: Duration, before: usize, request: CoverRequest) -> Self {
        let id = later_cover_id(scenario.seed, &request.music, before);
        let draw = CoverDraw::new(scenario, &id);
        let script = Script::of(request.music.as_str());
        let behavior = script.at(u32::try_from(before).unwrap_or(u32::MAX));
        let fault = if let Behavior::Cover(fault) = behavior { Some(fault) } else { None };
        let parent = if fault == Some(CoverFault::Foreign) { ANOTHER_MUSIC_TASK } else { request.music.as_str() };
        let ending = match fault {
            Some(CoverFault::Fails) => Ending::Failure,
            Some(CoverFault::WithoutImages) => Ending::NoImages,
            Some(CoverFault::Stuck) | None if draw.fails => Ending::Failure,
            Some(CoverFault::Foreign | CoverFault::Stuck) | None => Ending::Images,
        };
        Self {
            id,
            parent: parent.to_owned(),
            request,
            accepted: now,
            running: now.saturating_add(draw.takes / WAITING),
            end: (fault != Some(CoverFault::Stuck)).then(|| now.saturating_add(draw.takes)),
            ending,
        }
    }

    /// A cover that was finished before it was asked for.
    pub(super) fn there_before(scenario: &Scenario, now: Duration, request: CoverRequest) -> Self {
        let cover = Self::begun(scenario, now, 0, request);
        Self { running: now, end: Some(now), ending: Ending::Images, ..cover }
    }

    /// How far it is.
    pub(super) fn progress(&self, now: Duration) -> Progress {
        match self.outcome() {
            Some((end, ending)) if now >= end => Progress::Ended(end, ending),
            Some(_) | None if now >= self.running => Progress::Running,
            Some(_) | None => Progress::Waiting,
        }
    }

    /// When and how it ends, if it does.
    pub(super) fn outcome(&self) -> Option<(Duration, Ending)> {
        self.end.map(|end| (end, self.ending))
    }

    /// Whether another may be asked for.
    fn has_failed(&self, now: Duration) -> bool {
        matches!(self.progress(now), Progress::Ended(_, Ending::Failure))
    }

    /// Whether its images can be had.
    pub(super) fn has_images(&self, now: Duration, retention: Duration) -> bool {
        match self.progress(now) {
            Progress::Ended(end, Ending::Images) => now < end.saturating_add(retention),
            Progress::Ended(_, Ending::NoImages | Ending::Failure) | Progress::Waiting | Progress::Running => false,
        }
    }

    /// The addresses of the images it has when it ends so.
    pub(super) fn images(&self, base_url: &str, ending: Ending) -> Option<Vec<String>> {
        match ending {
            Ending::Images => Some([1, 2].map(|number| format!("{base_url}/images/{}-{number}.png", self.id)).into()),
            Ending::NoImages => Some(Vec::new()),
            Ending::Failure => None,
        }
    }

    /// What is said when it is asked for.
    pub(super) fn acceptance(&self) -> Value {
        match self.request.route {
            Route::Legacy => json!({"taskId": self.id}),
            Route::Jobs => json!({"taskId": self.id, "recordId": self.id}),
        }
    }

    /// Its record, as a service says it that began at `started`.
    pub(super) fn record(&self, now: Duration, started: UnixMillis, base_url: &str) -> Value {
        match self.request.route {
            Route::Legacy => self.cover_record(now, started, base_url),
            Route::Jobs => self.job_record(now, started, base_url),
        }
    }

    fn job_record(&self, now: Duration, started: UnixMillis, base_url: &str) -> Value {
        let progress = self.progress(now);
        let moment = |since_start| started.after(since_start).0;
        let mut record = self.job(progress, base_url);
        let (end, credits) = match progress {
            Progress::Waiting | Progress::Running => (None, None),
            Progress::Ended(end, _) => (Some(moment(end)), Some(CREDITS)),
        };
        // Waiting and running have one flag here.
        record["successFlag"] = json!(if end.is_some() { progress.success_flag() } else { 0 });
        record["createTime"] = json!(moment(self.accepted));
        record["completeTime"] = json!(end);
        record["creditsConsumed"] = json!(credits);
        record["progress"] = Value::Null;
        record
    }

    /// What is told of a job, in its record and when its end is told.
    pub(super) fn job(&self, progress: Progress, base_url: &str) -> Value {
        let (state, result, failure) = match progress {
            Progress::Waiting => ("waiting", None, None),
            Progress::Running => ("generating", None, None),
            Progress::Ended(_, Ending::Failure) => ("fail", None, Some(FAILURE)),
            Progress::Ended(_, ending @ (Ending::Images | Ending::NoImages)) => {
                ("success", Some(json!({"resultUrls": self.images(base_url, ending)})), None)
            }
        };
        // JSON as text, within JSON as text.
        let input = json!({"task_id": self.parent}).to_string();
        let param = json!({"model": COVER_MODEL, "callBackUrl": self.request.callback_url, "input": input});
        json!({
            "taskId": self.id,
            "model": COVER_MODEL,
            "state": state,
            "param": param.to_string(),
            "resultJson": result.as_ref().map(Value::to_string),
            "response": result,
            "failCode": failure.map(|_| "500"),
            "failMsg": failure,
        })
    }

    fn cover_record(&self, now: Duration, started: UnixMillis, base_url: &str) -> Value {
        let progress = self.progress(now);
        let moment = |since_start| started.after(since_start).to_string();
        let (completed, images, error) = match progress {
            Progress::Waiting | Progress::Running => (None, None, None),
            Progress::Ended(end, ending) => {
                let error = if ending == Ending::Failure { (500, FAILURE) } else { (200, "") };
                (Some(moment(end)), self.images(base_url, ending), Some(error))
            }
        };
        json!({
            "taskId": self.id,
            "parentTaskId": self.parent,
            "callbackUrl": self.request.callback_url,
            "createTime": moment(self.accepted),
            "completeTime": completed,
            "response": images.map(|images| json!({"images": images})),
            "successFlag": progress.success_flag(),
            "errorCode": error.map(|(code, _)| code),
            "errorMessage": error.map(|(_, message)| message),
        })
    }
}

/// All covers; of each music task only the last has not failed.
#[derive(Debug, Default)]
pub(super) struct Covers {
    by_id: HashMap<String, Cover>,
    /// The cover task ids of each music task, oldest first.
    ids: HashMap<MusicTaskId, Vec<String>>,
}

impl Covers {
    pub(super) fn get(&self, id: &str) -> Option<&Cover> {
        self.by_id.get(id)
    }

    /// The cover of this music task that stands in the way of another, and how many have failed.
    pub(super) fn standing(&self, now: Duration, music: &MusicTaskId) -> (Option<&Cover>, usize) {
        let ids = self.ids.get(music).map_or(&[][..], Vec::as_slice);
        let last = ids.last().and_then(|id| self.get(id));
        (last.filter(|cover| !cover.has_failed(now)), ids.len())
    }

    pub(super) fn keep(&mut self, cover: Cover) -> &Cover {
        self.ids.entry(cover.request.music.clone()).or_default().push(cover.id.clone());
        self.by_id.entry(cover.id.clone()).insert_entry(cover).into_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn cover(music: &str, before: usize) -> Cover {
        let scenario = Scenario { generation: SECOND * 8..=SECOND * 8, ..Scenario::default() };
        let music = MusicTaskId::new(music).unwrap();
        Cover::begun(&scenario, SECOND, before, request(music, Route::Legacy))
    }

    fn request(music: MusicTaskId, route: Route) -> CoverRequest {
        CoverRequest { music, callback_url: "u".to_owned(), route }
    }

    #[test]
    fn a_cover_waits_for_a_quarter_of_its_time_and_is_made_in_the_rest() {
        let flags = |music| {
            let cover = cover(music, 0);
            [1, 2, 3, 8, 9, 1000].map(|at| cover.progress(SECOND * at).success_flag())
        };
        assert_eq!(flags("a"), [0, 0, 2, 2, 1, 1]);
        assert_eq!(flags("genfail-1"), [0, 0, 2, 2, 3, 3]);
        assert_eq!(flags("stuck-1"), [0, 0, 2, 2, 2, 2]);
    }

    #[test]
    fn each_fault_has_its_record() {
        let there = |before: usize, music: &str| {
            let mut record = cover(music, before).record(SECOND * 9, UnixMillis(0), "http://here");
            ["parentTaskId", "successFlag", "errorCode", "errorMessage", "completeTime"].map(|name| record[name].take())
        };
        let done = |music: &str| [json!(music), json!(1), json!(200), json!(""), json!("1970-01-01T00:00:09.000Z")];
        let failed =
            |music: &str| [json!(music), json!(3), json!(500), json!(FAILURE), json!("1970-01-01T00:00:09.000Z")];
        let table = [
            ("a", 0, done("a")),
            ("noimages-1", 0, done("noimages-1")),
            ("foreign-1", 0, done(ANOTHER_MUSIC_TASK)),
            ("genfail-1", 0, failed("genfail-1")),
            ("genfail-1", 9, failed("genfail-1")),
            ("genfailx2-1", 1, failed("genfailx2-1")),
            ("genfailx2-1", 2, done("genfailx2-1")),
        ];
        for (music, before, expected) in table {
            assert_eq!(there(before, music), expected, "{music} after {before}");
        }
    }

    #[test]
    fn images_are_in_the_record_of_a_success_and_may_be_none() {
        let response = |music| cover(music, 0).record(SECOND * 9, UnixMillis(0), "http://here")["response"].take();
        let id = cover("a", 0).id;
        let images = [1, 2].map(|number| format!("http://here/images/{id}-{number}.png"));
        assert_eq!(response("a"), json!({"images": images}));
        assert_eq!(response("noimages-1"), json!({"images": []}));
        assert_eq!((response("genfail-1"), response("stuck-1")), (Value::Null, Value::Null));
    }

    #[test]
    fn the_record_of_a_job_has_its_own_form() {
        let scenario = Scenario { generation: SECOND * 8..=SECOND * 8, ..Scenario::default() };
        let record = |music: &str, at: u32| {
            let music = MusicTaskId::new(music).unwrap();
            let cover = Cover::begun(&scenario, SECOND, 0, request(music, Route::Jobs));
            (cover.record(SECOND * at, UnixMillis(0), "http://here"), cover.id)
        };
        let (waiting, id) = record("a", 1);
        let param = r#"{"callBackUrl":"u","input":"{\"task_id\":\"a\"}","model":"ai-music-api/cover-generate"}"#;
        let unfinished = json!({
            "taskId": id, "model": COVER_MODEL, "state": "waiting", "param": param, "resultJson": null, "response": null,
            "failCode": null, "failMsg": null, "successFlag": 0, "createTime": 1000, "completeTime": null,
            "creditsConsumed": null, "progress": null,
        });
        assert_eq!(waiting, unfinished);
        let running = record("a", 4).0;
        assert_eq!((&running["state"], &running["successFlag"]), (&json!("generating"), &json!(0)));
        let done = record("a", 9).0;
        let urls = [1, 2].map(|number| format!("http://here/images/{id}-{number}.png"));
        assert_eq!(done["response"], json!({"resultUrls": urls}));
        assert_eq!(done["resultJson"], json!(done["response"].to_string()));
        let told = ["state", "successFlag", "completeTime", "creditsConsumed"].map(|name| done[name].clone());
        assert_eq!(told, [json!("success"), json!(1), json!(9000), json!(1)]);
        let failed = record("genfail-1", 9).0;
        let told = ["state", "successFlag", "failCode", "failMsg"].map(|name| failed[name].clone());
        assert_eq!(told, [json!("fail"), json!(3), json!("500"), json!(FAILURE)]);
        assert!(record("foreign-1", 9).0["param"].as_str().unwrap().contains(ANOTHER_MUSIC_TASK));
    }

    #[test]
    fn by_chance_a_cover_may_fail() {
        let scenario = Scenario { generation_failure_percent: 100, ..Scenario::default() };
        let request = || request(MusicTaskId::new("a").unwrap(), Route::Jobs);
        let outcome = |cover: Cover| cover.outcome().map(|(_, ending)| ending);
        assert_eq!(outcome(Cover::begun(&scenario, SECOND, 0, request())), Some(Ending::Failure));
        assert_eq!(outcome(Cover::there_before(&scenario, SECOND, request())), Some(Ending::Images));
    }
}
