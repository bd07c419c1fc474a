//! What the stand-in remembers and decides. No sockets and no clock: a request and its time come in, a reply goes out.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::UnixMillis;
use crate::domain::{MusicTaskId, Route};

use super::behavior::{Behavior, Canned, Fault, MusicFault, Script};
use super::covers::{Cover, Covers};
use super::reply::{Envelope, ImageFile, ImageRequest, Reply};
use super::request::{Admission, ApiKeyId, ApiRequest, CoverRequest, Denial, SlidingWindow};
use super::scenario::{RequestDraw, Scenario};
use super::webhook::Webhook;

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
    arrivals: SlidingWindow,
    admission: Admission,
    /// How many requests about each subject were let in.
    let_in: HashMap<u64, u32>,
    covers: Covers,
    /// The callback for the cover that the request at hand has made.
    webhook: Option<Webhook>,
}

impl Service {
    /// A service that nobody has called yet.
    pub(super) fn new(scenario: Scenario, base_url: String, started: UnixMillis) -> Self {
        Self {
            base_url,
            started,
            stats: Stats::default(),
            credits: scenario.credits,
            arrivals: SlidingWindow::new(scenario.limit.period),
            admission: Admission::new(&scenario),
            let_in: HashMap::new(),
            covers: Covers::default(),
            webhook: None,
            scenario,
        }
    }

    pub(super) const fn stats(&self) -> Stats {
        self.stats
    }

    /// The reply to a request that arrives `now`.
    ///
    /// What the request changes is changed when this returns, whatever then becomes of the reply.
    pub(super) fn reply(&mut self, now: Duration, key: Option<ApiKeyId>, request: ApiRequest) -> Reply {
        let subject = request.subject(self.scenario.seed);
        let before = self.let_in.get(&subject).copied().unwrap_or(0);
        let draw = RequestDraw::new(&self.scenario, subject, before);
        self.note_arrival(now, &request);
        let reply = if let Some(denial) = self.admission.denies(now, key, &request) {
            self.note_denial(denial);
            if denial == Denial::Maintenance && self.scenario.spoken_maintenance {
                Reply::canned(Canned::Maintenance, draw.carrier)
            } else {
                Envelope::bare(denial.code()).carried_by(draw.carrier)
            }
        } else {
            self.let_in.insert(subject, before.saturating_add(1));
            self.admitted(now, request, before, draw)
        };
        Reply { latency: draw.latency, webhook: self.webhook.take(), ..reply }
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
        let Some((file, music)) = there else { return Reply::image_host(404) };
        let subject = file.subject(self.scenario.seed);
        let before = self.let_in.get(&subject).copied().unwrap_or(0);
        let draw = RequestDraw::new(&self.scenario, subject, before);
        self.let_in.insert(subject, before.saturating_add(1));
        let fault = file.fault(music.as_str(), before, draw.fault);
        let gradient = file.gradient(self.scenario.seed, self.scenario.image_pixels);
        Reply { latency: draw.latency, ..file.reply(fault, gradient, &self.base_url) }
    }

    /// The music task of an image that can be had.
    fn music_of(&self, now: Duration, file: &ImageFile) -> Option<MusicTaskId> {
        let cover = self.covers.get(&file.cover_id)?;
        cover.has_images(now, self.scenario.retention).then(|| cover.request.music.clone())
    }

    fn note_arrival(&mut self, now: Duration, request: &ApiRequest) {
        self.stats.requests += 1;
        match request {
            ApiRequest::Generate(_) => {
                self.arrivals.note(now);
                self.stats.most_in_a_window = self.stats.most_in_a_window.max(self.arrivals.count(now));
            }
            ApiRequest::CoverRecord(..) | ApiRequest::MusicRecord(_) => self.stats.reads += 1,
            ApiRequest::Credit => {}
        }
    }

    const fn note_denial(&mut self, denial: Denial) {
        match denial {
            Denial::Maintenance | Denial::NoKey => {}
            Denial::FastSubmission => self.stats.refused_for_pace += 1,
            Denial::FastRead => self.stats.refused_reads += 1,
        }
    }

    fn admitted(&mut self, now: Duration, request: ApiRequest, before: u32, draw: RequestDraw) -> Reply {
        let behavior = match &request {
            ApiRequest::Generate(Ok(request)) => Script::of(request.music.as_str()).at(before),
            ApiRequest::Generate(Err(_))
            | ApiRequest::CoverRecord(..)
            | ApiRequest::MusicRecord(_)
            | ApiRequest::Credit => Behavior::Ordinary,
        };
        let fault = if let Behavior::Answer(fault) = behavior { Some(fault) } else { draw.fault };
        match fault {
            Some(Fault::Canned(canned)) => Reply::canned(canned, draw.carrier),
            Some(Fault::Delivery(delivery)) => {
                Reply { delivery, ..self.envelope(now, request, before).carried_by(draw.carrier) }
            }
            None => self.envelope(now, request, before).carried_by(draw.carrier),
        }
    }

    fn envelope(&mut self, now: Duration, request: ApiRequest, before: u32) -> Envelope {
        match request {
            ApiRequest::Generate(Ok(request)) => self.generate(now, request),
            ApiRequest::CoverRecord(route, Ok(id)) => self.cover_record(now, route, &id),
            ApiRequest::MusicRecord(Ok(id)) => Envelope::success(music_record(&id, before)),
            ApiRequest::Credit => Envelope::success(json!(self.credits.unwrap_or(ENDLESS))),
            ApiRequest::Generate(Err(words))
            | ApiRequest::CoverRecord(_, Err(words))
            | ApiRequest::MusicRecord(Err(words)) => Envelope::invalid(words),
        }
    }

    fn generate(&mut self, now: Duration, request: CoverRequest) -> Envelope {
        match Script::of(request.music.as_str()).at(0) {
            Behavior::CoveredWithoutId => Envelope::bare(400),
            Behavior::Conflict => Envelope::bare(409),
            Behavior::Covered => {
                if self.covers.standing(now, &request.music).0.is_none() {
                    self.covers.keep(Cover::there_before(&self.scenario, now, request.clone()));
                }
                self.make_cover(now, request)
            }
            Behavior::Ordinary | Behavior::Answer(_) | Behavior::Cover(_) | Behavior::Music(_) | Behavior::Image(_) => {
                self.make_cover(now, request)
            }
        }
    }

    fn make_cover(&mut self, now: Duration, request: CoverRequest) -> Envelope {
        let (standing, failed) = self.covers.standing(now, &request.music);
        if let Some(cover) = standing {
            return Envelope::already_covered(request.route, &cover.id);
        }
        if self.credits == Some(0) {
            return Envelope::bare(402);
        }
        self.credits = self.credits.map(|left| left - 1);
        self.stats.accepted += 1;
        let cover = self.covers.keep(Cover::begun(&self.scenario, now, failed, request));
        let callbacks = self.scenario.callbacks.as_ref();
        self.webhook = callbacks.and_then(|how| Webhook::of(cover, how, self.scenario.seed, &self.base_url));
        Envelope::success(cover.acceptance())
    }

    /// Null for an id that is not known, as recorded of the service; of a job, its own words for that.
    fn cover_record(&self, now: Duration, route: Route, id: &str) -> Envelope {
        let cover = self.covers.get(id).filter(|cover| cover.request.route == route);
        match (cover, route) {
            (Some(cover), _) => Envelope::success(cover.record(now, self.started, &self.base_url)),
            (None, Route::Legacy) => Envelope::success(Value::Null),
            (None, Route::Jobs) => Envelope::invalid("recordInfo is null"),
        }
    }
}

/// The record that the read of a music task finds which has `before` others before it; null for an unknown one.
fn music_record(id: &str, before: u32) -> Value {
    let script = Script::of(id);
    if MusicTaskId::new(id).is_err() || script.is_unknown() {
        return Value::Null;
    }
    let tracks = json!({"taskId": id, "sunoData": []});
    let (status, response, error_code, error_message) = match script.at(before) {
        Behavior::Music(MusicFault::Unfinished) => ("PENDING", Value::Null, None, None),
        Behavior::Music(MusicFault::Failed) => ("GENERATE_AUDIO_FAILED", Value::Null, Some(500), Some(MUSIC_FAILURE)),
        Behavior::Ordinary
        | Behavior::Covered
        | Behavior::CoveredWithoutId
        | Behavior::Conflict
        | Behavior::Answer(_)
        | Behavior::Cover(_)
        | Behavior::Image(_) => ("SUCCESS", tracks, None, None),
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
