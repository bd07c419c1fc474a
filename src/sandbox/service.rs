//! What the stand-in remembers and decides. No sockets and no clock: a request and its time come in, a reply goes out.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::UnixMillis;
use crate::domain::MusicTaskId;

use super::answer::{Envelope, Reply};
use super::call::{Call, Caller, CoverRequest};
use super::dice::{Draw, cover_id_for};
use super::fate::{Fate, Fault};
use super::scenario::Scenario;
use super::window::{Limiter, Recent};

/// The balance shown when credits are endless.
const ENDLESS: u64 = 1_000_000;

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
}

/// A cover that is made or being made.
#[derive(Debug)]
struct Cover {
    request: CoverRequest,
    made: Duration,
    done: Duration,
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
    limiters: HashMap<Caller, Limiter>,
    /// How many requests about each subject were let in.
    let_in: HashMap<u64, u32>,
    /// By cover task id, which follows from the music task id.
    covers: HashMap<String, Cover>,
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
            limiters: HashMap::new(),
            let_in: HashMap::new(),
            covers: HashMap::new(),
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
        let mut reply = if let Some(code) = self.turned_away(now, caller, &call) {
            Envelope::bare(code).carried_by(draw.carrier).into()
        } else {
            self.let_in.insert(subject, before.saturating_add(1));
            self.served(now, call, before, draw)
        };
        reply.wait += draw.latency;
        reply
    }

    fn note_arrival(&mut self, now: Duration, call: &Call) {
        self.stats.requests += 1;
        if let Call::Generate(_) = call {
            self.arrivals.note(now);
            self.stats.most_in_a_window = self.stats.most_in_a_window.max(self.arrivals.count(now));
        }
    }

    /// The code with which the call is refused before anyone looks at what it asks for.
    fn turned_away(&mut self, now: Duration, caller: Option<Caller>, call: &Call) -> Option<u16> {
        if self.scenario.maintenance.iter().any(|window| window.contains(now)) {
            return Some(455);
        }
        let Some(caller) = caller else { return Some(401) };
        let Call::Generate(_) = call else { return None };
        let limit = self.scenario.limit;
        if self.limiters.entry(caller).or_insert_with(|| Limiter::new(limit)).admits(now) {
            return None;
        }
        self.stats.refused_for_pace += 1;
        Some(429)
    }

    fn served(&mut self, now: Duration, call: Call, before: u32, draw: Draw) -> Reply {
        match fate_of(&call).fault(before).or(draw.fault) {
            Some(Fault::Instead(canned)) => canned.answer(draw.carrier).into(),
            Some(Fault::Spoilt(damage)) => damage.done_to(self.envelope(now, call).carried_by(draw.carrier)),
            None => self.envelope(now, call).carried_by(draw.carrier).into(),
        }
    }

    fn envelope(&mut self, now: Duration, call: Call) -> Envelope {
        match call {
            Call::Generate(Ok(request)) => self.generate(now, request),
            Call::CoverRecord(Ok(id)) => Envelope::success(self.cover_record(now, &id)),
            Call::MusicRecord(Ok(id)) => Envelope::success(music_record(&id)),
            Call::Credit => Envelope::success(json!(self.credits.unwrap_or(ENDLESS))),
            Call::Generate(Err(complaint)) | Call::CoverRecord(Err(complaint)) | Call::MusicRecord(Err(complaint)) => {
                Envelope::complaint(complaint.words())
            }
        }
    }

    fn generate(&mut self, now: Duration, request: CoverRequest) -> Envelope {
        let id = cover_id_for(self.scenario.seed, &request.music);
        match Fate::of(request.music.as_str()) {
            Fate::CoveredWithoutId => Envelope::bare(400),
            Fate::Conflict => Envelope::bare(409),
            Fate::Covered => {
                let answer = Envelope::already_covered(&id);
                self.covers.entry(id).or_insert(Cover { request, made: now, done: now });
                answer
            }
            Fate::Ordinary | Fate::Faulted(..) => self.make_cover(now, id, request),
        }
    }

    fn make_cover(&mut self, now: Duration, id: String, request: CoverRequest) -> Envelope {
        if self.covers.contains_key(&id) {
            return Envelope::already_covered(&id);
        }
        if self.credits == Some(0) {
            return Envelope::bare(402);
        }
        self.credits = self.credits.map(|left| left - 1);
        self.stats.accepted += 1;
        let answer = Envelope::success(json!({"taskId": id}));
        let done = now.saturating_add(self.scenario.generation);
        self.covers.insert(id, Cover { request, made: now, done });
        answer
    }

    /// Null for an id that is not known, as recorded of the service.
    fn cover_record(&self, now: Duration, id: &str) -> Value {
        let Some(cover) = self.covers.get(id) else { return Value::Null };
        let moment = |since_start| self.started.after(since_start).to_string();
        let image = |number| format!("{}/images/{id}-{number}.png", self.base_url);
        let is_done = now >= cover.done;
        json!({
            "taskId": id,
            "parentTaskId": cover.request.music.as_str(),
            "callbackUrl": cover.request.callback_url,
            "createTime": moment(cover.made),
            "completeTime": is_done.then(|| moment(cover.done)),
            "response": is_done.then(|| json!({"images": [image(1), image(2)]})),
            "successFlag": if is_done { 1 } else { 2 },
            "errorCode": is_done.then_some(200),
            "errorMessage": is_done.then_some(""),
        })
    }
}

fn fate_of(call: &Call) -> Fate {
    match call {
        Call::Generate(Ok(request)) => Fate::of(request.music.as_str()),
        Call::Generate(Err(_)) | Call::CoverRecord(_) | Call::MusicRecord(_) | Call::Credit => Fate::Ordinary,
    }
}

/// A finished music task, or null for an id that the service does not know.
fn music_record(id: &str) -> Value {
    if MusicTaskId::new(id).is_err() || Fate::of(id).is_unknown() {
        return Value::Null;
    }
    json!({
        "taskId": id,
        "status": "SUCCESS",
        "type": "GENERATE",
        "response": {"taskId": id, "sunoData": []},
        "errorCode": null,
        "errorMessage": null,
    })
}
