//! Records of covers and of music, read into a [`Reading`].
//!
//! The answer is judged like that of a submission, and only `data` is read in another way. `errorCode` 200 means no
//! error, and an id that is not known gives `data: null` or, of a job, code 422 "recordInfo is null": not a failure, but
//! "not yet".

use serde::Deserialize;
use serde_json::value::RawValue;

use super::envelope::{Envelope, speaks_of};
use super::raw::{Fault, RawAnswer};
use super::submission::{judge, message_of, read_fault};
use crate::api::json::{id as id_of, object, text, whole_number};
use crate::clock::UnixMillis;
use crate::domain::{
    Answer, CoverProgress, CoverTaskId, Credits, Found, Generated, Images, MusicProgress, MusicTaskId, Outcome,
    Reading, Reason, Verdict,
};
use crate::secret::ApiKey;

/// Most entries looked at in a list of images.
const MOST_ENTRIES: usize = 100;

/// The record of a cover, each field as it stands.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
#[serde(bound(deserialize = "'de: 'a"))]
struct RawCover<'a> {
    #[serde(alias = "task_id")]
    task_id: Option<&'a RawValue>,
    #[serde(alias = "parent_task_id")]
    parent_task_id: Option<&'a RawValue>,
    success_flag: Option<&'a RawValue>,
    status: Option<&'a RawValue>,
    response: Option<&'a RawValue>,
    create_time: Option<&'a RawValue>,
    complete_time: Option<&'a RawValue>,
    error_message: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawResponse<'a> {
    #[serde(borrow)]
    images: Option<&'a RawValue>,
}

/// The record of a music task, as far as it is read.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
#[serde(bound(deserialize = "'de: 'a"))]
struct RawMusic<'a> {
    status: Option<&'a RawValue>,
    error_code: Option<&'a RawValue>,
    error_message: Option<&'a RawValue>,
}

/// Midnight of 2020-01-01, long before the service began: an earlier time is in another unit, or no time at all.
const NO_COVERS_BEFORE: UnixMillis = UnixMillis(1_577_836_800_000);

/// That there is no record, in the words of the endpoint for jobs.
const NO_RECORD: [&str; 1] = ["recordinfo is null"];

/// What a record says: how far it has come, or why it says nothing; and the words to keep.
pub(super) type Said<T> = (Result<T, &'static str>, String);

/// What the record of `cover` says. It is believed only if it names `task` as its music task.
#[must_use]
pub fn read_cover_record(
    raw: RawAnswer<'_>,
    key: &ApiKey,
    cover: &CoverTaskId,
    task: &MusicTaskId,
) -> Reading<CoverProgress> {
    read_record(raw, key, |data| match data {
        None => (Ok(CoverProgress::Unfinished), String::new()),
        Some(data) => object::<RawCover<'_>>(data.get().as_bytes())
            .map_or((Err("a record that is no object"), String::new()), |record| {
                cover_progress(&record, key, (cover, task))
            }),
    })
}

/// What the record of a music task says.
#[must_use]
pub fn read_music_record(raw: RawAnswer<'_>, key: &ApiKey) -> Reading<MusicProgress> {
    read_record(raw, key, |data| match data {
        None => (Ok(MusicProgress::Unknown), "the service knows no such music task".to_owned()),
        Some(data) => object::<RawMusic<'_>>(data.get().as_bytes())
            .map_or((Err("a record that is no object"), String::new()), |record| music_progress(&record)),
    })
}

/// The balance that an answer tells; that of an account which is told to be empty is nothing.
///
/// Balances come with decimals, though documented as whole numbers.
#[must_use]
pub fn read_balance(raw: RawAnswer<'_>, key: &ApiKey) -> Reading<Credits> {
    let reading =
        read_record(raw, key, |data| (data.and_then(balance).ok_or("an answer without a balance"), String::new()));
    let is_empty = reading.reason == Reason::NoCredits;
    Reading { found: if is_empty { Found::Known(Credits::ZERO) } else { reading.found }, ..reading }
}

/// An amount, also one that is written as text; what an account owes is as good as nothing.
fn balance(raw: &RawValue) -> Option<Credits> {
    let text = text(raw);
    let amount = text.as_deref().unwrap_or(raw.get()).trim();
    let debt = amount.strip_prefix('-').map(|debt| debt.parse().map(|_: Credits| Credits::ZERO));
    debt.unwrap_or_else(|| amount.parse()).ok()
}

/// What the lack of an answer to a reading call means.
#[must_use]
pub fn read_no_answer<T>(fault: &Fault) -> Reading<T> {
    let Outcome { verdict, reason, answer, retry_after } = read_fault(fault);
    Reading { found: refusal(&verdict), reason, answer, retry_after }
}

/// Judges an answer; `read` is asked for the meaning of its data if it is a success.
pub(super) fn read_record<T>(
    raw: RawAnswer<'_>,
    key: &ApiKey,
    read: impl FnOnce(Option<&RawValue>) -> Said<T>,
) -> Reading<T> {
    let text = raw.text();
    let envelope = Envelope::read(&text);
    let has_none = envelope.code == Some(422) && speaks_of(&envelope.words, &NO_RECORD);
    let (found, reason, message) = if has_none || (envelope.code == Some(200) && raw.is_success()) {
        match read(envelope.data.filter(|_| !has_none)) {
            (Ok(known), words) => (Found::Known(known), Reason::Accepted, words),
            (Err(why), words) => {
                let message = if words.is_empty() { why.to_owned() } else { format!("{why}: {words}") };
                (Found::Troubled, Reason::BadResponse, message)
            }
        }
    } else {
        let (verdict, reason) = judge(raw, &envelope, key);
        (refusal(&verdict), reason, message_of(raw, &envelope, (&verdict, reason)))
    };
    let is_throttled = matches!(found, Found::Throttled);
    let answer = Answer { http_status: Some(raw.status), code: envelope.code, message: key.masked_line(&message) };
    Reading { found, reason, answer, retry_after: raw.wait.asked(is_throttled) }
}

/// What an answer that holds no record means for reading. An empty account refuses everyone, and may be filled again.
const fn refusal<T>(verdict: &Verdict) -> Found<T> {
    match verdict {
        Verdict::Throttled => Found::Throttled,
        Verdict::Unavailable | Verdict::NoCredits => Found::Unavailable,
        Verdict::Unauthorized => Found::Unauthorized,
        Verdict::WrongAddress => Found::WrongAddress,
        Verdict::Accepted(_) | Verdict::Covered(_) | Verdict::Rejected | Verdict::Troubled | Verdict::Lost => {
            Found::Troubled
        }
    }
}

fn cover_progress(
    record: &RawCover<'_>,
    key: &ApiKey,
    (cover, task): (&CoverTaskId, &MusicTaskId),
) -> Said<CoverProgress> {
    let is = |field: Option<&RawValue>, id: &str| field.and_then(id_of).is_some_and(|said| said == id);
    let words = record.error_message.and_then(text).unwrap_or_default();
    if !is(record.parent_task_id, task.as_str()) {
        return (Err("the record belongs to another music task"), words);
    }
    if record.task_id.is_some() && !is(record.task_id, cover.as_str()) {
        return (Err("the record is that of another cover"), words);
    }
    match flag(record) {
        Some(Flag::Waiting | Flag::Running) => (Ok(CoverProgress::Unfinished), words),
        Some(Flag::Failed) => (Ok(CoverProgress::Failed { credits: None }), words),
        Some(Flag::Done) => match images(record, key) {
            Some(images) => {
                let cover = generated((record.create_time, record.complete_time), images, None);
                (Ok(CoverProgress::Generated(cover)), words)
            }
            None => (Err("the cover is done and has no images"), words),
        },
        None => (Err("the record does not say how far the cover has come"), words),
    }
}

/// `successFlag` of a cover's record.
pub(super) enum Flag {
    Waiting,
    Done,
    Running,
    Failed,
}

impl Flag {
    pub(super) fn read(raw: &RawValue) -> Option<Self> {
        match whole_number(raw)? {
            0 => Some(Self::Waiting),
            1 => Some(Self::Done),
            2 => Some(Self::Running),
            3 => Some(Self::Failed),
            _ => None,
        }
    }
}

/// The flag; where it is missing, the status that older documentation speaks of.
fn flag(record: &RawCover<'_>) -> Option<Flag> {
    if let Some(flag) = record.success_flag.filter(|flag| whole_number(flag).is_some()) {
        return Flag::read(flag);
    }
    match record.status.and_then(text)?.as_str() {
        "PENDING" => Some(Flag::Waiting),
        "SUCCESS" => Some(Flag::Done),
        "CREATE_TASK_FAILED" | "GENERATE_COVER_FAILED" => Some(Flag::Failed),
        _ => None,
    }
}

/// The addresses of the images.
fn images(record: &RawCover<'_>, key: &ApiKey) -> Option<Images> {
    let response: RawResponse<'_> = object(record.response?.get().as_bytes())?;
    image_urls(response.images?, key)
}

/// The addresses in a list. One that holds the key would carry it into the results and to another host.
pub(super) fn image_urls(list: &RawValue, key: &ApiKey) -> Option<Images> {
    let entries: Vec<&RawValue> = serde_json::from_str(list.get()).ok()?;
    Images::new(entries.into_iter().take(MOST_ENTRIES).filter_map(text).filter(|url| !key.is_in(url)))
}

/// A finished cover, by the times of its record.
pub(super) fn generated(
    (created, completed): (Option<&RawValue>, Option<&RawValue>),
    images: Images,
    credits: Option<Credits>,
) -> Generated {
    let (created, completed) = (created.and_then(moment), completed.and_then(moment));
    let took = created.zip(completed).filter(|(from, to)| to >= from).map(|(from, to)| from.until(to));
    Generated { images, completed_at: completed, took, credits }
}

/// A time as ISO-8601 text, or in milliseconds since 1970 as a sibling endpoint sends it.
fn moment(raw: &RawValue) -> Option<UnixMillis> {
    whole_number(raw)
        .map(UnixMillis)
        .or_else(|| UnixMillis::from_rfc3339(&text(raw)?))
        .filter(|time| *time >= NO_COVERS_BEFORE)
}

/// Statuses of a music task that it never leaves for `SUCCESS`.
const MUSIC_FAILED: [&str; 3] = ["CREATE_TASK_FAILED", "GENERATE_AUDIO_FAILED", "SENSITIVE_WORD_ERROR"];

/// Statuses on the way to `SUCCESS`, and one that speaks of the notification only.
const MUSIC_UNFINISHED: [&str; 4] = ["PENDING", "TEXT_SUCCESS", "FIRST_SUCCESS", "CALLBACK_EXCEPTION"];

fn music_progress(record: &RawMusic<'_>) -> Said<MusicProgress> {
    let words = record.error_message.and_then(text).unwrap_or_default();
    let status = record.status.and_then(text).unwrap_or_default();
    // PENDING can linger while the error fields already report a failure; 200 there means no error.
    let has_error = record.error_code.and_then(whole_number).is_some_and(|code| code != 0 && code != 200);
    match status.as_str() {
        "SUCCESS" => (Ok(MusicProgress::Finished), words),
        failed if MUSIC_FAILED.contains(&failed) => (Ok(MusicProgress::Failed), or(words, failed)),
        "PENDING" if has_error => (Ok(MusicProgress::Failed), or(words, "reported as failed")),
        unfinished if MUSIC_UNFINISHED.contains(&unfinished) => (Ok(MusicProgress::Unfinished), or(words, unfinished)),
        _ => (Err("the record does not say how far the music has come"), words),
    }
}

/// The words, or the status where there are none.
fn or(words: String, status: &str) -> String {
    if words.is_empty() { format!("the music is {status}") } else { words }
}

#[cfg(test)]
mod tests;
