//! The answers of kie.ai's endpoint for jobs, read into the same words as those of the endpoint for covers.
//!
//! What it says when a music task has its cover already is documented nowhere. So every word of it counts, and where a
//! request may have been acted upon though its answer is lost, that is not taken for a refusal.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::envelope::{Envelope, speaks_of};
use super::raw::RawAnswer;
use super::record::{Flag, Said, generated, image_urls, read_record};
use super::submission::{judge, read_judged};
use crate::api::json::{RawTask, id as id_of, object, text};
use crate::domain::{CoverProgress, CoverTaskId, Credits, Images, MusicTaskId, Outcome, Reading, Reason, Verdict};
use crate::secret::ApiKey;

/// Words that say that something is there.
const THERE: [&str; 5] = ["already", "exist", "duplicate", "已存在", "已生成"];

/// Words that turn that round if they stand close before it: "no existing task".
const NEGATIONS: [&str; 5] = ["no", "not", "cannot", "without", "never"];

/// Words that leave it open wherever they stand before it: "check that the task exists", "No task with that id exists". Only
/// what is already there is there all the same.
const LEAVING_OPEN: [&str; 7] = ["no", "check", "ensure", "sure", "verify", "whether", "if"];

/// How close, in words: "could not find an existing task".
const CLOSE: usize = 3;

/// What ends a clause: in "not allowed: it exists" nothing is turned round.
const CLAUSE_ENDS: [char; 12] = [',', '.', ';', ':', '!', '?', '(', '\n', '，', '。', '；', '：'];

/// Answers of who waited in vain for someone else: code 408, and the same of a gateway, in Cloudflare's number too.
const WAITED_IN_VAIN: [i64; 3] = [408, 504, 524];

/// What the answer to the submission of a job means.
#[must_use]
pub fn read_job_submission(raw: RawAnswer<'_>, key: &ApiKey) -> Outcome {
    read_judged(raw, key, judge_job)
}

/// The meaning that an answer has for a cover, unless its words or its number tell more of a job.
fn judge_job(raw: RawAnswer<'_>, envelope: &Envelope<'_>, key: &ApiKey) -> (Verdict, Reason) {
    let (verdict, reason) = judge(raw, envelope, key);
    let said = is_there(&envelope.words);
    let (is_missing, is_there) = (said == Some(false), said == Some(true) && envelope.code.is_some());
    let number = envelope.code.unwrap_or_else(|| raw.status.into());
    match &verdict {
        Verdict::Covered(_) if is_missing => (Verdict::Rejected, Reason::NotFound),
        Verdict::Rejected | Verdict::Troubled | Verdict::Lost if is_there => {
            (Verdict::Covered(envelope.cover(key)), Reason::AlreadyExists)
        }
        Verdict::Troubled | Verdict::Unavailable
            if WAITED_IN_VAIN.contains(&number) && reason != Reason::Maintenance =>
        {
            (Verdict::Lost, Reason::Timeout)
        }
        Verdict::Accepted(_)
        | Verdict::Covered(_)
        | Verdict::Throttled
        | Verdict::Unavailable
        | Verdict::NoCredits
        | Verdict::Unauthorized
        | Verdict::WrongAddress
        | Verdict::Rejected
        | Verdict::Troubled
        | Verdict::Lost => (verdict, reason),
    }
}

/// Whether it is there, by these words; `None` if they do not speak of that.
fn is_there(words: &str) -> Option<bool> {
    let words = words.to_lowercase().replace('’', "'");
    let clauses = words.split(CLAUSE_ENDS).filter(|clause| speaks_of(clause, &THERE));
    clauses.filter_map(says_it_is_there).reduce(|one, other| one || other)
}

/// Whether a clause that speaks of something that is there says so, or the opposite; `None` if it leaves that open.
fn says_it_is_there(clause: &str) -> Option<bool> {
    let words: Vec<&str> = clause.split_whitespace().collect();
    let at = words.iter().position(|word| speaks_of(word, &THERE)).unwrap_or(0);
    let is_negation = |word: &&str| NEGATIONS.contains(word) || word.ends_with("n't");
    let is_negated = words[at.saturating_sub(CLOSE)..at].iter().any(is_negation)
        || words.get(at).is_some_and(|word| word.starts_with("non"));
    let is_open = !clause.contains("already") && words[..at].iter().any(|word| LEAVING_OPEN.contains(word));
    (is_negated || !is_open).then_some(!is_negated)
}

/// The record of a job, each field as it stands.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
#[serde(bound(deserialize = "'de: 'a"))]
struct RawJob<'a> {
    #[serde(alias = "task_id")]
    task_id: Option<&'a RawValue>,
    param: Option<&'a RawValue>,
    state: Option<&'a RawValue>,
    success_flag: Option<&'a RawValue>,
    result_json: Option<&'a RawValue>,
    response: Option<&'a RawValue>,
    create_time: Option<&'a RawValue>,
    complete_time: Option<&'a RawValue>,
    fail_code: Option<&'a RawValue>,
    fail_msg: Option<&'a RawValue>,
    credits_consumed: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawParam<'a> {
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawResult<'a> {
    #[serde(borrow)]
    result_urls: Option<&'a RawValue>,
}

/// What the record of `cover` says, which was made as a job. It is believed only if it was asked for with `task`.
#[must_use]
pub fn read_job_record(
    raw: RawAnswer<'_>,
    key: &ApiKey,
    cover: &CoverTaskId,
    task: &MusicTaskId,
) -> Reading<CoverProgress> {
    read_record(raw, key, |data| match data {
        None => (Ok(CoverProgress::Unfinished), String::new()),
        Some(data) => object::<RawJob<'_>>(data.get().as_bytes())
            .map_or((Err("a record that is no object"), String::new()), |job| job_progress(&job, key, cover, task)),
    })
}

fn job_progress(job: &RawJob<'_>, key: &ApiKey, cover: &CoverTaskId, task: &MusicTaskId) -> Said<CoverProgress> {
    let words = words(job);
    match music_of(job) {
        Some(id) if id == task.as_str() => {}
        Some(_) => return (Err("the record belongs to another music task"), words),
        None => return (Err("the record does not name its music task"), words),
    }
    if job.task_id.is_some() && job.task_id.and_then(id_of).is_none_or(|id| id != cover.as_str()) {
        return (Err("the record is that of another cover"), words);
    }
    let credits = job.credits_consumed.and_then(credits);
    match state(job) {
        Some(Flag::Waiting | Flag::Running) => (Ok(CoverProgress::Unfinished), words),
        Some(Flag::Failed) => (Ok(CoverProgress::Failed { credits }), words),
        Some(Flag::Done) => match images(job, key) {
            Some(images) => {
                let cover = generated((job.create_time, job.complete_time), images, credits);
                (Ok(CoverProgress::Generated(cover)), words)
            }
            None => (Err("the cover is done and has no images"), words),
        },
        None => (Err("the record does not say how far the cover has come"), words),
    }
}

/// Why it failed, in the service's words.
fn words(job: &RawJob<'_>) -> String {
    let said = |field: Option<&RawValue>| field.and_then(text).filter(|text| !text.trim().is_empty());
    match (said(job.fail_msg), job.fail_code.and_then(id_of).filter(|code| !code.trim().is_empty())) {
        (Some(words), Some(code)) => format!("{words} (code {code})"),
        (Some(words), None) => words,
        (None, Some(code)) => format!("code {code}"),
        (None, None) => String::new(),
    }
}

/// The music task that the job was asked for with: `param.input.task_id`, where `param` is JSON as text, and `input` within
/// it may be so once more.
fn music_of(job: &RawJob<'_>) -> Option<String> {
    let param = embedded(job.param?);
    let RawParam { input } = object(param.as_bytes())?;
    let input = embedded(input?);
    object::<RawTask<'_>>(input.as_bytes())?.read(id_of)
}

/// JSON, whether it stands as it is or as text.
fn embedded(raw: &RawValue) -> Cow<'_, str> {
    text(raw).map_or(Cow::Borrowed(raw.get()), Cow::Owned)
}

/// The `state` of a job; where that is missing, its flag, which is that of a cover.
fn state(job: &RawJob<'_>) -> Option<Flag> {
    match job.state.and_then(text).as_deref() {
        Some("waiting" | "queuing") => Some(Flag::Waiting),
        Some("generating") => Some(Flag::Running),
        Some("success") => Some(Flag::Done),
        Some("fail") => Some(Flag::Failed),
        Some(_) => None,
        None => Flag::read(job.success_flag?),
    }
}

/// The addresses of the images: in `resultJson`, which is JSON as text, or in its parsed form.
fn images(job: &RawJob<'_>, key: &ApiKey) -> Option<Images> {
    let in_result = |raw: &RawValue| {
        let result = embedded(raw);
        image_urls(object::<RawResult<'_>>(result.as_bytes())?.result_urls?, key)
    };
    job.result_json.and_then(in_result).or_else(|| in_result(job.response?))
}

/// A number of credits, also one that is written as text.
fn credits(raw: &RawValue) -> Option<Credits> {
    text(raw).as_deref().unwrap_or(raw.get()).parse().ok()
}

#[cfg(test)]
mod tests;
