//! The service as a script, which remembers when it was asked and for whom it made a cover.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use coverbatch::api::CoverApi;
use coverbatch::api::wire::{Fault, RawAnswer, read_fault, read_submission};
use coverbatch::clock::Clock;
use coverbatch::domain::{MusicTaskId, Outcome, Rate, Verdict};
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

struct State {
    script: Script,
    limit: Option<Rate>,
    sent: Vec<Sent>,
    /// How often each music task was submitted.
    times: HashMap<String, usize>,
    covers: HashMap<String, usize>,
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
        let (times, covers) = (HashMap::new(), HashMap::new());
        Self { clock, state: Mutex::new(State { script, limit: None, sent: Vec::new(), times, covers }) }
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
        state.sent.push(Sent { id: id.to_owned(), at, answered_at: None, verdict: None, is_repeat });
        let reply = if state.is_over_the_limit(at) { Reply::code(429).after(reply.after) } else { reply };
        (number, state.act(id, reply), reply.after)
    }
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
        let said = |status, body: String| {
            read_submission(RawAnswer { status, body: body.as_bytes(), retry_after: reply.retry_after })
        };
        match reply.deed {
            Deed::Unreachable => read_fault(&Fault::NotSent("connection refused".to_owned())),
            Deed::Code(code) => said(200, format!(r#"{{"code":{code},"msg":"code {code}","data":null}}"#)),
            Deed::Page(status) => said(status, "<html>sorry</html>".to_owned()),
            Deed::Lost => {
                self.covers.entry(id.to_owned()).or_insert(1);
                read_fault(&Fault::TimedOut(reply.after))
            }
            Deed::Cover if self.covers.contains_key(id) => said(200, r#"{"code":400,"msg":"there is one"}"#.to_owned()),
            Deed::Cover => {
                *self.covers.entry(id.to_owned()).or_default() += 1;
                said(200, format!(r#"{{"code":200,"msg":"ok","data":{{"taskId":"cover-of-{id}"}}}}"#))
            }
        }
    }
}

impl CoverApi for Service {
    async fn submit(&self, task: &MusicTaskId) -> Outcome {
        let (number, outcome, after) = self.receive(task.as_str());
        tokio::time::sleep(after).await;
        let sent = &mut self.state().sent[number];
        sent.answered_at = Some(self.clock.now());
        sent.verdict = Some(outcome.verdict.clone());
        outcome
    }
}
