//! The service as a script, which remembers when it was asked and for whom it made a cover.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use coverbatch::api::wire::{Fault, RawAnswer, Wait, read_balance, read_fault, read_music_record, read_no_answer};
use coverbatch::api::{CoverApi, ImageSink};
use coverbatch::clock::{Clock, UnixMillis};
use coverbatch::domain::{
    Answer, CoverProgress, CoverTaskId, Credits, Found, MusicProgress, MusicTaskId, Outcome, Rate, Reading, Reason,
    Route, Verdict,
};
use coverbatch::secret::ApiKey;
use serde_json::{Value, json};
use tokio::time::Instant;

/// A submission as the script sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) id: &'a str,
    /// Which submission for this music task, from 1.
    pub(crate) nth: usize,
    /// Which submission of all, from 1.
    pub(crate) number: usize,
    /// Since the night began.
    pub(crate) at: Duration,
}

/// What the service does with a submission.
#[derive(Debug, Clone, Copy)]
enum Deed {
    /// Makes a cover, or says that there is one.
    Cover,
    /// Says that there is one, and which.
    Existing,
    /// Makes a cover, and the answer is the one to `song-0001`.
    Foreign,
    /// Makes a cover, and the answer is lost.
    Lost,
    /// Never hears of it.
    Unreachable,
    /// Says this code, in HTTP 200.
    Code(u16),
    /// A gateway's page with this HTTP status.
    Page(u16),
}

/// What is answered, and how long that takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reply {
    deed: Deed,
    after: Duration,
    retry_after: Option<Duration>,
}

impl Reply {
    const fn new(deed: Deed) -> Self {
        Self { deed, after: Duration::from_millis(130), retry_after: None }
    }

    pub(crate) const fn cover() -> Self {
        Self::new(Deed::Cover)
    }

    pub(crate) const fn existing() -> Self {
        Self::new(Deed::Existing)
    }

    pub(crate) const fn foreign() -> Self {
        Self::new(Deed::Foreign)
    }

    pub(crate) const fn lost() -> Self {
        Self::new(Deed::Lost)
    }

    pub(crate) const fn unreachable() -> Self {
        Self::new(Deed::Unreachable)
    }

    pub(crate) const fn code(code: u16) -> Self {
        Self::new(Deed::Code(code))
    }

    pub(crate) const fn page(status: u16) -> Self {
        Self::new(Deed::Page(status))
    }

    pub(crate) const fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    pub(crate) const fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(Duration::from_secs(seconds)), ..self }
    }
}

/// A submission that was made.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) id: String,
    pub(crate) at: Instant,
    /// When its answer came, if it has come.
    pub(crate) answered_at: Option<Instant>,
    /// What the answer meant.
    pub(crate) verdict: Option<Verdict>,
    /// Whether the music task had a cover already.
    pub(crate) is_repeat: bool,
}

impl Sent {
    pub(crate) fn answered(&self) -> Instant {
        self.answered_at.unwrap()
    }
}

type Script = Box<dyn FnMut(Call<'_>) -> Reply + Send>;

/// What the record of a cover says, given how long ago the cover was made.
type Records = Box<dyn FnMut(Look<'_>) -> Seen + Send>;

/// A look at the record of a cover, as the script sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) id: &'a str,
    /// Which look at this cover, from 1.
    pub(crate) nth: usize,
    /// How long ago the cover was made.
    pub(crate) age: Duration,
}

/// What a record says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seen {
    Running,
    Done,
    /// It was finished so long after it was made, which its record says.
    DoneAfter(Duration),
    Failed,
    /// The record of another music task.
    Foreign,
    /// This code, and no record.
    Code(u16),
    Lost,
}

/// What a look at the balance says, given which look it is and how many covers were made.
type Bank = Box<dyn FnMut(usize, u32) -> String + Send>;

/// What was read: when, and of which music task.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) id: String,
    pub(crate) at: Instant,
}

/// The smallest whole image: a PNG of one pixel.
pub(crate) const IMAGE: &[u8] = include_bytes!("pixel.png");

struct State {
    script: Script,
    /// The route that submissions take.
    route: Route,
    /// By which route each cover was asked for.
    routes: HashMap<String, Route>,
    limit: Option<Rate>,
    sent: Vec<Sent>,
    /// How often each music task was submitted.
    times: HashMap<String, usize>,
    covers: HashMap<String, usize>,
    records: Records,
    made: HashMap<String, Instant>,
    looks: Vec<Read>,
    /// How often each cover was looked at, and found to have failed.
    looked: HashMap<String, usize>,
    failures: HashMap<String, usize>,
    listens: Vec<Read>,
    fetches: Vec<Read>,
    /// Music tasks that are not finished before a time.
    unfinished: HashMap<String, Option<Instant>>,
    /// Images that fail so often before they are handed out.
    broken: HashMap<String, usize>,
    /// Music tasks whose images are not there.
    without_images: HashSet<String>,
    /// Whether nothing can be written any more where images go.
    is_disk_full: bool,
    /// How often its connections were dropped.
    dropped: usize,
    bank: Bank,
    /// When the balance was read, and how many submissions had no answer then.
    balances: Vec<(Instant, usize)>,
}

/// A scripted service.
pub(crate) struct Service {
    clock: Clock,
    state: Mutex<State>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("sent", &self.state().sent).finish_non_exhaustive()
    }
}

impl Service {
    pub(crate) fn new(clock: Clock) -> Self {
        let script: Script = Box::new(|_| Reply::cover());
        let records: Records =
            Box::new(|look| if look.age >= Duration::from_secs(50) { Seen::Done } else { Seen::Running });
        let state = State {
            script,
            route: Route::Legacy,
            routes: HashMap::new(),
            limit: None,
            sent: Vec::new(),
            times: HashMap::new(),
            covers: HashMap::new(),
            records,
            made: HashMap::new(),
            looks: Vec::new(),
            looked: HashMap::new(),
            failures: HashMap::new(),
            listens: Vec::new(),
            fetches: Vec::new(),
            unfinished: HashMap::new(),
            broken: HashMap::new(),
            without_images: HashSet::new(),
            is_disk_full: false,
            dropped: 0,
            bank: Box::new(|_, _| unreachable!("nobody asked for the balance to be read")),
            balances: Vec::new(),
        };
        Self { clock, state: Mutex::new(state) }
    }

    /// From now on submissions take this route.
    pub(crate) fn goes_by(&self, route: Route) {
        self.state().route = route;
    }

    /// What records say from now on.
    pub(crate) fn shows(&self, records: impl FnMut(Look<'_>) -> Seen + Send + 'static) {
        self.state().records = Box::new(records);
    }

    /// What looks at the balance say from now on, as JSON bodies: by the number of the look, from 1, and of covers made.
    pub(crate) fn banks(&self, bank: impl FnMut(usize, u32) -> String + Send + 'static) {
        self.state().bank = Box::new(bank);
    }

    /// From now on covers cost so much each.
    pub(crate) fn charges(&self, at_start: f64, price: f64) {
        self.banks(move |_, made| json!({"code": 200, "data": at_start - price * f64::from(made)}).to_string());
    }

    /// When the balance was read, and how many submissions had no answer then.
    pub(crate) fn balances(&self) -> Vec<(Instant, usize)> {
        self.state().balances.clone()
    }

    /// The music of a task is not finished before a time; never, if there is none.
    pub(crate) fn still_plays(&self, id: &str, until: Option<Instant>) {
        self.state().unfinished.insert(id.to_owned(), until);
    }

    /// The images of a task are broken so often.
    pub(crate) fn breaks_images(&self, id: &str, times: usize) {
        self.state().broken.insert(id.to_owned(), times);
    }

    /// Whether the host of its images has those of a task.
    pub(crate) fn has_images(&self, id: &str, has: bool) {
        let mut state = self.state();
        let _ = if has { state.without_images.remove(id) } else { state.without_images.insert(id.to_owned()) };
    }

    /// The records of covers that were read.
    pub(crate) fn looks(&self) -> Vec<Read> {
        self.state().looks.clone()
    }

    /// The records of music that were read.
    pub(crate) fn listens(&self) -> Vec<Read> {
        self.state().listens.clone()
    }

    /// The images that were fetched.
    pub(crate) fn fetches(&self) -> Vec<Read> {
        self.state().fetches.clone()
    }

    /// How often its connections were dropped.
    pub(crate) fn dropped(&self) -> usize {
        self.state().dropped
    }

    /// A cover that was made before the night.
    pub(crate) fn made_before(&self, id: &str, at: Instant) {
        let mut state = self.state();
        state.covers.insert(id.to_owned(), 1);
        state.made.insert(id.to_owned(), at);
    }

    /// How often the record of its cover said that it had failed.
    pub(crate) fn failures_of(&self, id: &str) -> usize {
        self.state().failures.get(id).copied().unwrap_or(0)
    }

    fn looked_at(&self, route: Route, cover: &CoverTaskId, task: &MusicTaskId) -> (Reading<CoverProgress>, Duration) {
        let mut state = self.state();
        let (id, now) = (task.as_str(), self.clock.now());
        state.looks.push(Read { id: id.to_owned(), at: now });
        let times = state.looked.entry(id.to_owned()).or_default();
        *times += 1;
        let nth = *times;
        let made = state.made.get(id).copied().unwrap_or(now);
        let mut seen = (state.records)(Look { id, nth, age: now - made });
        let mut done = self.clock.unix();
        if let Seen::DoneAfter(time) = seen {
            (seen, done) = if now - made < time {
                (Seen::Running, done)
            } else {
                (Seen::Done, self.clock.unix().before(now - made).after(time))
            };
        }
        if matches!(seen, Seen::Failed) {
            // It can be asked for again.
            *state.failures.entry(id.to_owned()).or_default() += 1;
            state.made.remove(id);
            state.covers.remove(id);
        }
        let is_there = state.routes.get(id).is_none_or(|asked| *asked == route);
        drop(state);
        let record = |flag: u8, parent: &str| {
            let urls = [1, 2].map(|number| format!("https://images.example/{id}-{number}.png"));
            let created = self.clock.unix().before(now - made);
            if route == Route::Jobs {
                return job_record(cover, (flag, parent), &urls, (created, done));
            }
            json!({"code": 200, "msg": "success", "data": {
                "taskId": cover.as_str(), "parentTaskId": parent, "successFlag": flag,
                "createTime": created.to_string(), "completeTime": (flag == 1).then(|| done.to_string()),
                "response": (flag == 1).then(|| json!({ "images": urls })), "errorCode": 200, "errorMessage": "",
            }})
        };
        let body = match seen {
            _ if !is_there && route == Route::Legacy => json!({"code": 200, "msg": "success", "data": null}),
            _ if !is_there => json!({"code": 422, "msg": "recordInfo is null", "data": null}),
            Seen::Running => record(2, id),
            Seen::Done | Seen::DoneAfter(_) => record(1, id),
            Seen::Failed => record(3, id),
            Seen::Foreign => record(1, "another"),
            Seen::Code(code) => json!({"code": code, "msg": "words", "data": null}),
            Seen::Lost => return (read_no_answer(&Fault::TimedOut(Duration::from_secs(30))), Duration::from_secs(30)),
        };
        let key = ApiKey::new("key-of-the-nights").unwrap();
        let body = body.to_string();
        let raw = RawAnswer::new(200, body.as_bytes());
        (route.read_record(raw, &key, cover, task), Duration::from_millis(130))
    }

    fn listened_to(&self, task: &MusicTaskId) -> Reading<MusicProgress> {
        let mut state = self.state();
        let now = self.clock.now();
        state.listens.push(Read { id: task.to_string(), at: now });
        let finished = state.unfinished.get(task.as_str()).is_none_or(|until| until.is_some_and(|until| until <= now));
        let status = if finished { "SUCCESS" } else { "PENDING" };
        let status = if task.as_str().starts_with("sour") { "GENERATE_AUDIO_FAILED" } else { status };
        let record = json!({"taskId": task.as_str(), "status": status});
        let record = if task.as_str().starts_with("unknown") { Value::Null } else { record };
        let times = state.listens.iter().filter(|listen| listen.id == task.as_str()).count();
        let code = if task.as_str().starts_with("shaky") && times <= 4 { 500 } else { 200 };
        let body = json!({"code": code, "msg": "success", "data": record}).to_string();
        let raw = RawAnswer::new(200, body.as_bytes());
        read_music_record(raw, &ApiKey::new("key-of-the-nights").unwrap())
    }

    /// From now on the disk is full, or is not.
    pub(crate) fn disk_is_full(&self, is_full: bool) {
        self.state().is_disk_full = is_full;
    }

    /// The image at an address, if it is there.
    fn handed_out(&self, url: &str) -> io::Result<Option<&'static [u8]>> {
        let mut state = self.state();
        if state.is_disk_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.fetches.push(Read { id: url.to_owned(), at: self.clock.now() });
        let name = url.rsplit('/').next().unwrap();
        let id = name.rsplit_once('-').unwrap().0;
        if state.without_images.contains(id) {
            return Ok(None);
        }
        let is_broken =
            state.broken.get_mut(id).is_some_and(|left| std::mem::replace(left, left.saturating_sub(1)) > 0);
        Ok(Some(if is_broken { &IMAGE[..IMAGE.len() / 2] } else { IMAGE }))
    }

    pub(crate) fn follow(&self, script: impl FnMut(Call<'_>) -> Reply + Send + 'static) {
        self.state().script = Box::new(script);
    }

    /// From now on answers 429 to every submission that is one too many in a sliding window.
    pub(crate) fn limit(&self, rate: Rate) {
        self.state().limit = Some(rate);
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.state().sent.clone()
    }

    /// How many covers were made for a music task.
    pub(crate) fn covers_of(&self, id: &str) -> usize {
        self.state().covers.get(id).copied().unwrap_or(0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Takes a submission in: its number, what it will be answered, and when.
    fn receive(&self, id: &str) -> (usize, Outcome, Duration) {
        let mut state = self.state();
        let (at, number) = (self.clock.now(), state.sent.len());
        let times = state.times.entry(id.to_owned()).or_default();
        *times += 1;
        let nth = *times;
        let reply = (state.script)(Call { id, nth, number: number + 1, at: self.clock.elapsed() });
        let is_repeat = state.covers.contains_key(id);
        state.made.entry(id.to_owned()).or_insert(at);
        if !is_repeat {
            let route = state.route;
            state.routes.insert(id.to_owned(), route);
        }
        state.sent.push(Sent { id: id.to_owned(), at, answered_at: None, verdict: None, is_repeat });
        let reply = if state.is_over_the_limit(at) { Reply::code(429).after(reply.after) } else { reply };
        (number, state.act(id, reply), reply.after)
    }
}

/// The record of a cover that was asked for as a job.
fn job_record(
    cover: &CoverTaskId,
    (flag, parent): (u8, &str),
    urls: &[String; 2],
    (created, done): (UnixMillis, UnixMillis),
) -> Value {
    let state = ["waiting", "success", "generating", "fail"][usize::from(flag)];
    let input = json!({"task_id": parent}).to_string();
    let result = json!({"resultUrls": urls}).to_string();
    json!({"code": 200, "msg": "success", "data": {
        "taskId": cover.as_str(), "state": state, "param": json!({"input": input}).to_string(),
        "resultJson": (flag == 1).then_some(result), "createTime": created.0,
        "completeTime": (flag == 1).then_some(done.0), "creditsConsumed": (flag == 1).then_some(0.4),
    }})
}

impl State {
    fn is_over_the_limit(&self, now: Instant) -> bool {
        self.limit.is_some_and(|rate| {
            let recent = self.sent.iter().filter(|sent| now - sent.at < rate.period).count();
            recent > usize::try_from(rate.count.get()).unwrap()
        })
    }

    /// Does what the reply says, once per music task.
    fn act(&mut self, id: &str, reply: Reply) -> Outcome {
        let (key, route) = (ApiKey::new("key-of-the-nights").unwrap(), self.route);
        let said = |status, body: String| {
            let wait = Wait { retry_after: reply.retry_after, reset: None };
            route.read_submission(RawAnswer { wait, ..RawAnswer::new(status, body.as_bytes()) }, &key)
        };
        match reply.deed {
            Deed::Unreachable => read_fault(&Fault::NotSent("connection refused".to_owned())),
            Deed::Code(code) => said(200, format!(r#"{{"code":{code},"msg":"code {code}","data":null}}"#)),
            Deed::Page(status) => said(status, "<html>sorry</html>".to_owned()),
            Deed::Existing => {
                said(200, format!(r#"{{"code":409,"msg":"there is one","data":{{"taskId":"cover-of-{id}"}}}}"#))
            }
            Deed::Foreign => {
                self.covers.entry(id.to_owned()).or_insert(1);
                said(200, r#"{"code":200,"msg":"ok","data":{"taskId":"cover-of-song-0001"}}"#.to_owned())
            }
            Deed::Lost => {
                self.covers.entry(id.to_owned()).or_insert(1);
                read_fault(&Fault::TimedOut(reply.after))
            }
            Deed::Cover if self.covers.contains_key(id) => {
                let code = if route == Route::Jobs { 422 } else { 400 };
                said(200, format!(r#"{{"code":{code},"msg":"it already has one"}}"#))
            }
            Deed::Cover => {
                *self.covers.entry(id.to_owned()).or_default() += 1;
                said(200, format!(r#"{{"code":200,"msg":"ok","data":{{"taskId":"cover-of-{id}"}}}}"#))
            }
        }
    }
}

impl CoverApi for Service {
    fn route(&self) -> Route {
        self.state().route
    }

    async fn submit(&self, task: &MusicTaskId) -> Outcome {
        let (number, outcome, after) = self.receive(task.as_str());
        tokio::time::sleep(after).await;
        let sent = &mut self.state().sent[number];
        sent.answered_at = Some(self.clock.now());
        sent.verdict = Some(outcome.verdict.clone());
        outcome
    }

    fn drop_connections(&self) {
        self.state().dropped += 1;
    }

    async fn read_cover(&self, route: Route, cover: &CoverTaskId, task: &MusicTaskId) -> Reading<CoverProgress> {
        let (reading, after) = self.looked_at(route, cover, task);
        tokio::time::sleep(after).await;
        reading
    }

    async fn read_music(&self, task: &MusicTaskId) -> Reading<MusicProgress> {
        let reading = self.listened_to(task);
        tokio::time::sleep(Duration::from_millis(130)).await;
        reading
    }

    async fn read_balance(&self) -> Reading<Credits> {
        let body = {
            let mut state = self.state();
            let open = state.sent.iter().filter(|sent| sent.answered_at.is_none()).count();
            state.balances.push((self.clock.now(), open));
            let (nth, made) = (state.balances.len(), u32::try_from(state.covers.values().sum::<usize>()).unwrap());
            (state.bank)(nth, made)
        };
        tokio::time::sleep(Duration::from_millis(130)).await;
        read_balance(RawAnswer::new(200, body.as_bytes()), &ApiKey::new("key-of-the-nights").unwrap())
    }

    async fn fetch_image<S: ImageSink>(&self, url: &str, sink: &mut S) -> io::Result<Reading<u64>> {
        tokio::time::sleep(Duration::from_millis(130)).await;
        let Some(bytes) = self.handed_out(url)? else {
            let answer = Answer { http_status: Some(404), code: None, message: "not there".to_owned() };
            return Ok(Reading { found: Found::Troubled, reason: Reason::NotFound, answer, retry_after: None });
        };
        sink.write(bytes.to_owned()).await?;
        let answer = Answer { http_status: Some(200), code: None, message: String::new() };
        let found = Found::Known(u64::try_from(bytes.len()).unwrap());
        Ok(Reading { found, reason: Reason::Generated, answer, retry_after: None })
    }
}
