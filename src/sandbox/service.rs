//! What the stand-in remembers and decides. No sockets and no clock: a request and its time come in, a reply goes out.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::UnixMillis;
use crate::domain::MusicTaskId;

use super::answer::{Answer, Envelope, Reply};
use super::call::{Call, Caller, CoverRequest};
use super::callback::Notice;
use super::course::MusicCourse;
use super::covers::{Cover, Covers};
use super::dice::Draw;
use super::door::{Door, Refusal};
use super::fate::{Fate, Fault};
use super::images::{ImageFate, ImageFile, ImageRequest};
use super::scenario::Scenario;
use super::window::Recent;

/// The balance shown when credits are endless.
const ENDLESS: u64 = 1_000_000;
/// What the record of failed music says.
const MUSIC_FAILURE: &str = "Audio generation failed (sandbox)";

/// What a stand-in has seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests on the paths it knows, of every kind.
    pub requests: u64,
    /// Covers it made, whether or not the answer got through.
    pub accepted: u64,
    /// Generate requests refused because they came too fast.
    pub refused_for_pace: u64,
    /// Most generate requests, of all keys and refused ones included, in any window of the limit's period.
    pub most_in_a_window: usize,
    /// Reads of records, refused ones included.
    pub reads: u64,
    /// Reads refused because they came too fast.
    pub refused_reads: u64,
    /// Downloads of images, also of those that are not there.
    pub images: u64,
    /// Downloads that carried an `Authorization` header.
    pub keys_at_images: u64,
    /// Callbacks sent, retries and repeats included.
    pub callbacks: u64,
    /// Callbacks answered 200 in time.
    pub callbacks_answered_200: u64,
}

/// The service: its scenario and its memory. All times are since its start.
#[derive(Debug)]
pub(super) struct Service {
    scenario: Scenario,
    base_url: String,
    started: UnixMillis,
    stats: Stats,
    credits: Option<u64>,
    arrivals: Recent,
    door: Door,
    /// How many requests about each subject were let in.
    let_in: HashMap<u64, u32>,
    covers: Covers,
    /// The callback for the cover that the request at hand has made.
    notice: Option<Notice>,
}

impl Service {
    /// A service that nobody has called yet.
    pub(super) fn new(scenario: Scenario, base_url: String, started: UnixMillis) -> Self {
        Self {
            base_url,
            started,
            stats: Stats::default(),
            credits: scenario.credits,
            arrivals: Recent::new(scenario.limit.period),
            door: Door::new(&scenario),
            let_in: HashMap::new(),
            covers: Covers::default(),
            notice: None,
            scenario,
        }
    }

    /// What it has seen so far.
    pub(super) const fn stats(&self) -> Stats {
        self.stats
    }

    /// The reply to a call that arrives `now`.
    ///
    /// What the call changes is changed when this returns, whatever then becomes of the reply.
    pub(super) fn reply(&mut self, now: Duration, caller: Option<Caller>, call: Call) -> Reply {
        let subject = call.subject(self.scenario.seed);
        let before = self.let_in.get(&subject).copied().unwrap_or(0);
        let draw = Draw::new(&self.scenario, subject, before);
        self.note_arrival(now, &call);
        let mut reply = if let Some(refusal) = self.door.refuses(now, caller, &call) {
            self.note_refusal(refusal);
            Envelope::bare(refusal.code()).carried_by(draw.carrier).into()
        } else {
            self.let_in.insert(subject, before.saturating_add(1));
            self.served(now, call, before, draw)
        };
        reply.wait += draw.latency;
        reply.notice = self.notice.take();
        reply
    }

    /// Counts a callback that was sent.
    pub(super) fn note_callback(&mut self, is_taken: bool) {
        self.stats.callbacks += 1;
        self.stats.callbacks_answered_200 += u64::from(is_taken);
    }

    /// The reply to a download that arrives `now`.
    pub(super) fn image_reply(&mut self, now: Duration, request: &ImageRequest) -> Reply {
        self.stats.requests += 1;
        self.stats.images += 1;
        self.stats.keys_at_images += u64::from(request.shows_key);
        let there = request.file.as_ref().and_then(|file| Some((file, self.music_of(now, file)?)));
        let Some((file, music)) = there else { return Answer::image_host(404).into() };
        let subject = file.subject(self.scenario.seed);
        let before = self.let_in.get(&subject).copied().unwrap_or(0);
        let draw = Draw::new(&self.scenario, subject, before);
        let fate = match (file.fate(music.as_str(), before), draw.fault) {
            (ImageFate::Ordinary, Some(fault)) => fault.into(),
            (fate, _) => fate,
        };
        self.let_in.insert(subject, before.saturating_add(1));
        let picture = file.picture(self.scenario.seed, self.scenario.image_pixels);
        Reply { wait: draw.latency, ..fate.reply(file, picture, &self.base_url) }
    }

    /// The music task of an image that can be had.
    fn music_of(&self, now: Duration, file: &ImageFile) -> Option<MusicTaskId> {
        let cover = self.covers.get(&file.cover_id)?;
        cover.has_images(now, self.scenario.retention).then(|| cover.request.music.clone())
    }

    fn note_arrival(&mut self, now: Duration, call: &Call) {
        self.stats.requests += 1;
        match call {
            Call::Generate(_) => {
                self.arrivals.note(now);
                self.stats.most_in_a_window = self.stats.most_in_a_window.max(self.arrivals.count(now));
            }
            Call::CoverRecord(_) | Call::MusicRecord(_) => self.stats.reads += 1,
            Call::Credit => {}
        }
    }

    const fn note_refusal(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::Closed | Refusal::Stranger => {}
            Refusal::FastSubmission => self.stats.refused_for_pace += 1,
            Refusal::FastRead => self.stats.refused_reads += 1,
        }
    }

    fn served(&mut self, now: Duration, call: Call, before: u32, draw: Draw) -> Reply {
        match fate_of(&call).fault(before).or(draw.fault) {
            Some(Fault::Instead(canned)) => canned.answer(draw.carrier).into(),
            Some(Fault::Spoilt(damage)) => damage.done_to(self.envelope(now, call, before).carried_by(draw.carrier)),
            None => self.envelope(now, call, before).carried_by(draw.carrier).into(),
        }
    }

    fn envelope(&mut self, now: Duration, call: Call, before: u32) -> Envelope {
        match call {
            Call::Generate(Ok(request)) => self.generate(now, request),
            Call::CoverRecord(Ok(id)) => Envelope::success(self.cover_record(now, &id)),
            Call::MusicRecord(Ok(id)) => Envelope::success(music_record(&id, before)),
            Call::Credit => Envelope::success(json!(self.credits.unwrap_or(ENDLESS))),
            Call::Generate(Err(complaint)) | Call::CoverRecord(Err(complaint)) | Call::MusicRecord(Err(complaint)) => {
                Envelope::complaint(complaint.words())
            }
        }
    }

    fn generate(&mut self, now: Duration, request: CoverRequest) -> Envelope {
        match Fate::of(request.music.as_str()) {
            Fate::CoveredWithoutId => Envelope::bare(400),
            Fate::Conflict => Envelope::bare(409),
            Fate::Covered => {
                if self.covers.standing(now, &request.music).0.is_none() {
                    self.covers.keep(Cover::there_before(&self.scenario, now, request.clone()));
                }
                self.make_cover(now, request)
            }
            Fate::Ordinary | Fate::Faulted(..) => self.make_cover(now, request),
        }
    }

    fn make_cover(&mut self, now: Duration, request: CoverRequest) -> Envelope {
        let (standing, failed) = self.covers.standing(now, &request.music);
        if let Some(cover) = standing {
            return Envelope::already_covered(&cover.id);
        }
        if self.credits == Some(0) {
            return Envelope::bare(402);
        }
        self.credits = self.credits.map(|left| left - 1);
        self.stats.accepted += 1;
        let cover = self.covers.keep(Cover::begun(&self.scenario, now, failed, request));
        let told = self.scenario.callbacks.as_ref();
        self.notice = told.and_then(|told| Notice::of(cover, told, self.scenario.seed, &self.base_url));
        Envelope::success(json!({"taskId": cover.id}))
    }

    /// Null for an id that is not known, as recorded of the service.
    fn cover_record(&self, now: Duration, id: &str) -> Value {
        self.covers.get(id).map_or(Value::Null, |cover| cover.record(now, self.started, &self.base_url))
    }
}

fn fate_of(call: &Call) -> Fate {
    match call {
        Call::Generate(Ok(request)) => Fate::of(request.music.as_str()),
        Call::Generate(Err(_)) | Call::CoverRecord(_) | Call::MusicRecord(_) | Call::Credit => Fate::Ordinary,
    }
}

/// The record that the read of a music task finds which has `before` others before it; null for an unknown one.
fn music_record(id: &str, before: u32) -> Value {
    let tracks = json!({"taskId": id, "sunoData": []});
    if MusicTaskId::new(id).is_err() {
        return Value::Null;
    }
    let (status, response, error_code, error_message) = match MusicCourse::of(id) {
        MusicCourse::Unknown => return Value::Null,
        MusicCourse::Unfinished(times) if times.include(before) => ("PENDING", Value::Null, None, None),
        MusicCourse::Unfinished(_) | MusicCourse::Finished => ("SUCCESS", tracks, None, None),
        MusicCourse::Failed => ("GENERATE_AUDIO_FAILED", Value::Null, Some(500), Some(MUSIC_FAILURE)),
    };
    json!({
        "taskId": id,
        "status": status,
        "type": "GENERATE",
        "response": response,
        "errorCode": error_code,
        "errorMessage": error_message,
    })
}
