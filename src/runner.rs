//! The one loop: takes a row that is due, makes one call for it, writes down what came of it, and goes round again.
//!
//! There is no retry loop. A row that is to be sent again is put back with a later due time, so it holds no worker
//! while it waits. Rows that are due go before rows that have not been sent yet, and only so many may wait, so that
//! memory stays flat however much goes wrong.

mod flight;
mod following;
mod progress;
mod pursuit;
mod stop;
mod submissions;
mod waiting;

use std::future::pending;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::api::CoverApi;
use crate::clock::Clock;
use crate::domain::{Ended, MusicTaskId, RowState};
use crate::files::FileError;
use crate::gate::{Gate, OutageOver, Permit};
use crate::ledger::{Follower, Lane, Ledger, LedgerError, Pursuit, RunId, Step};
use crate::policy::{InDoubt, Jitter, MaxFailures, RowPolicy, Usual};
use crate::worklist::{Worklist, WorklistError};

use flight::{Fate, Landed, Pilot, Sequel};
use following::{FETCHES, Horizon};
use pursuit::Followed;
use submissions::Submissions;

pub use following::Following;
pub use progress::{Covers, Outcomes, Progress};
pub use stop::Stop;

/// What a run is set to.
#[derive(Debug, Clone, Copy)]
pub struct RunConfig {
    /// Requests in flight at most.
    pub concurrency: NonZeroU32,
    /// When a row is given up.
    pub rows: RowPolicy,
    /// When the run is.
    pub max_failures: MaxFailures,
    /// After how long nothing new is sent.
    pub deadline: Option<Duration>,
    /// What the dice start from.
    pub seed: u64,
}

/// What a run that only follows covers is set to.
#[derive(Debug, Clone, Copy)]
pub struct FollowConfig {
    /// Requests in flight at most.
    pub concurrency: NonZeroU32,
    /// Calls for one cover in trouble, one after the other, before it is given up for this run.
    pub max_attempts: NonZeroU32,
    /// What the dice start from.
    pub seed: u64,
}

/// Why a run cannot go on; nothing is sent after it.
#[derive(Debug, Error)]
pub enum RunError {
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The list of rows to send cannot be read.
    #[error(transparent)]
    Worklist(#[from] WorklistError),
    /// An image cannot be put into its file.
    #[error(transparent)]
    Image(#[from] FileError),
    /// A defect of this program.
    #[error("a submission ended in a defect of this program")]
    Defect(#[from] JoinError),
}

/// A music task on its way through this run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    task: MusicTaskId,
    /// Answers about it in this run that settled nothing.
    failures: u32,
    /// Whether its music is known to be finished.
    is_checked: bool,
}

/// One run over one worklist, or over the covers it follows.
pub struct Runner<A, L> {
    pilot: Arc<Pilot<A, L>>,
    submissions: Submissions,
    /// Where rows wait whose music is checked first; `None` if that is not wanted.
    music: Option<Arc<Gate>>,
    following: Option<Arc<Following>>,
    horizon: Horizon,
    usual: Usual,
    concurrency: usize,
    max_failures: MaxFailures,
    deadline: Option<Duration>,
    dice: fastrand::Rng,
    flights: JoinSet<Result<Landed, RunError>>,
    /// Looks and downloads that are on their way.
    looks: usize,
    fetches: usize,
    progress: watch::Sender<Progress>,
}

/// What may be begun as soon as its gate lets it pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Music,
    Cover,
}

impl<A: CoverApi, L: Ledger> Runner<A, L> {
    /// A run that has not begun; `run` is open in the ledger.
    #[must_use]
    pub fn new(
        (api, ledger): (Arc<A>, Arc<L>),
        (gate, clock): (Arc<Gate>, Clock),
        (run, worklist): (RunId, Worklist),
        config: RunConfig,
        stop: Stop,
    ) -> Self {
        let began = clock.unix();
        Self {
            pilot: Arc::new(Pilot { api, ledger, gate, clock, run, policy: config.rows, stop, began }),
            submissions: Submissions::of(worklist),
            music: None,
            following: None,
            horizon: Horizon::default(),
            usual: Usual::default(),
            concurrency: usize::try_from(config.concurrency.get()).unwrap_or(usize::MAX),
            max_failures: config.max_failures,
            deadline: config.deadline,
            dice: fastrand::Rng::with_seed(config.seed),
            flights: JoinSet::new(),
            looks: 0,
            fetches: 0,
            progress: watch::Sender::new(Progress::default()),
        }
    }

    /// One that submits nothing and follows covers.
    #[must_use]
    pub fn follower(
        (api, ledger): (Arc<A>, Arc<L>),
        (following, clock): (Following, Clock),
        config: FollowConfig,
        stop: Stop,
    ) -> Self {
        let run = match following.who {
            Follower::Run(run) => run,
            Follower::Everyone => RunId(0),
        };
        let rows = RowPolicy { max_attempts: config.max_attempts, in_doubt: InDoubt::Hold };
        let config = RunConfig {
            concurrency: config.concurrency,
            rows,
            max_failures: MaxFailures::Percent(100),
            deadline: None,
            seed: config.seed,
        };
        let gates = (Arc::clone(&following.gate), clock);
        Self::new((api, ledger), gates, (run, Worklist::empty()), config, stop).following(following)
    }

    /// The same, knowing how long covers usually take.
    #[must_use]
    pub fn knowing(self, usual: Usual) -> Self {
        Self { usual, ..self }
    }

    /// The same, following covers to their images.
    #[must_use]
    pub fn following(self, following: Following) -> Self {
        Self { following: Some(Arc::new(following)), ..self }
    }

    /// The same, submitting only what has finished music, whose record is read through `gate`.
    #[must_use]
    pub fn checking_music(self, gate: Arc<Gate>) -> Self {
        Self { music: Some(gate), ..self }
    }

    /// Where to read how far it has come, also while it runs.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Does what is to be done. When this returns, every answer that came is durable.
    ///
    /// # Errors
    /// [`RunError`]; answers still in flight are then lost, and the ledger knows which.
    pub async fn run(mut self) -> Result<Ended, RunError> {
        let timer = self.deadline.map(|deadline| self.pilot.stop.after(deadline, Ended::Deadline));
        let ended = self.go_round().await;
        if let Some(timer) = timer {
            timer.abort();
        }
        ended
    }

    /// The one loop.
    async fn go_round(&mut self) -> Result<Ended, RunError> {
        loop {
            while let Some(landed) = self.flights.try_join_next() {
                self.land(landed??);
            }
            self.take_rows().await?;
            self.look_ahead().await?;
            let read = self.read_at_hand();
            if self.is_over(read) {
                return Ok(self.pilot.stop.requested().unwrap_or(Ended::Finished));
            }
            match self.news(read).await? {
                News::Landed(landed) => self.land(landed),
                News::MaySubmit(permit) => self.submit(permit),
                News::MayRead(read, permit) => self.read(read, permit).await?,
                News::Outage => self.pilot.stop.request(Ended::Outage),
                News::Time => {}
            }
        }
    }

    /// Takes the next rows to submit, unless nothing more is to be submitted.
    async fn take_rows(&mut self) -> Result<(), RunError> {
        if self.pilot.stop.requested().is_some() {
            self.submissions.end();
            return Ok(());
        }
        let now = self.pilot.clock.now();
        self.submissions.take(now, self.concurrency, self.music.is_some()).await?;
        Ok(())
    }

    /// Finds out which covers are due, and begins to fetch images, which waits for no gate.
    async fn look_ahead(&mut self) -> Result<(), RunError> {
        let Some(following) = self.following.clone().filter(|_| !self.pilot.stop.ends_everything()) else {
            return Ok(());
        };
        let clock = self.pilot.clock;
        self.horizon.refresh(&*self.pilot.ledger, &following, clock).await?;
        let Some(store) = &following.images else { return Ok(()) };
        while self.fetches < FETCHES && self.horizon.is_due(Lane::Fetch, clock.unix()) {
            let Some(pursuit) = self.claim(&following, Lane::Fetch).await? else { continue };
            let Step::Fetch { number, url } = pursuit.step.clone() else { continue };
            let (jitter, to) = (self.jitter(), (Arc::clone(&following), store.clone()));
            self.fetches += 1;
            self.flights.spawn(Arc::clone(&self.pilot).fetch(pursuit, (number, url), to, jitter));
        }
        Ok(())
    }

    /// Claims the cover that has been due for longest.
    async fn claim(&mut self, following: &Following, lane: Lane) -> Result<Option<Pursuit>, RunError> {
        let (at, lease) = (self.pilot.clock.unix(), following.lease(lane));
        let due = self.pilot.ledger.claim_due(following.who, lane, at, lease, following.pace).await?;
        self.horizon.set(lane, due.next);
        Ok(due.pursuit)
    }

    /// What could be read as soon as the gate of reads lets it pass. Music goes first: covers can wait.
    fn read_at_hand(&self) -> Option<Read> {
        if self.pilot.stop.ends_everything() {
            return None;
        }
        if self.submissions.to_check.is_some() {
            return Some(Read::Music);
        }
        let is_due = self.horizon.is_due(Lane::Look, self.pilot.clock.unix()) && self.looks < self.concurrency;
        (self.following.is_some() && is_due).then_some(Read::Cover)
    }

    /// Whether nothing is on its way and nothing is left to begin.
    fn is_over(&self, read: Option<Read>) -> bool {
        let is_left = match &self.following {
            Some(following) if !self.pilot.stop.ends_everything() => {
                following.is_endless() || read.is_some() || !self.horizon.is_empty()
            }
            Some(_) | None => read.is_some(),
        };
        self.flights.is_empty() && self.submissions.is_over() && !is_left
    }

    /// Waits until something can be done.
    async fn news(&mut self, read: Option<Read>) -> Result<News, RunError> {
        let pilot = Arc::clone(&self.pilot);
        let submit_gate = self.submissions.to_submit.as_ref().map(|_| Arc::clone(&pilot.gate));
        let read_gate = read.and_then(|read| Some((read, self.gate_of(read)?)));
        let (stop, is_stopped) = (&pilot.stop, pilot.stop.requested().is_some());
        let wake = self.wake();
        Ok(tokio::select! {
            biased;
            () = stop.wait(), if !is_stopped => News::Time,
            () = stop.wait_for_everything(), if !stop.ends_everything() => News::Time,
            permit = ready(submit_gate.as_ref()) => permit.map_or(News::Outage, News::MaySubmit),
            permit = ready(read_gate.as_ref().map(|(_, gate)| gate)) => match (permit, read) {
                (Ok(permit), Some(read)) => News::MayRead(read, permit),
                (Ok(_), None) => News::Time,
                (Err(OutageOver), _) => News::Outage,
            },
            Some(landed) = self.flights.join_next(), if !self.flights.is_empty() => News::Landed(landed??),
            () = wait_until(wake) => News::Time,
        })
    }

    fn gate_of(&self, read: Read) -> Option<Arc<Gate>> {
        match read {
            Read::Music => self.music.clone(),
            Read::Cover => self.following.as_ref().map(|following| Arc::clone(&following.gate)),
        }
    }

    /// When to look again without other news: a row is due, or a cover may be.
    fn wake(&self) -> Option<Instant> {
        let row = self.submissions.next_due(self.concurrency);
        let follows = self.following.is_some() && !self.pilot.stop.ends_everything();
        let now = self.pilot.clock.now();
        let cover = follows.then(|| now + self.horizon.wait(self.pilot.clock.unix()));
        [row, cover].into_iter().flatten().min()
    }

    fn submit(&mut self, permit: Permit) {
        let Some(row) = self.submissions.depart() else { return };
        let followed = self.following.as_ref().and_then(|following| following.mark());
        let longest = followed.map_or(Duration::MAX, |followed| followed.wait);
        let sequel = Sequel { usual: self.usual.time().min(longest), followed };
        let jitter = self.jitter();
        self.flights.spawn(Arc::clone(&self.pilot).fly(row, permit, sequel, jitter));
    }

    async fn read(&mut self, read: Read, permit: Permit) -> Result<(), RunError> {
        let jitter = self.jitter();
        match (read, self.following.clone()) {
            (Read::Music, _) => {
                if let Some(row) = self.submissions.depart_to_check() {
                    self.flights.spawn(Arc::clone(&self.pilot).check(row, permit, jitter));
                }
            }
            (Read::Cover, Some(following)) => {
                if let Some(pursuit) = self.claim(&following, Lane::Look).await? {
                    self.looks += 1;
                    self.flights.spawn(Arc::clone(&self.pilot).look(pursuit, permit, following, jitter));
                }
            }
            (Read::Cover, None) => {}
        }
        Ok(())
    }

    fn jitter(&mut self) -> Jitter {
        Jitter::new(self.dice.f64())
    }

    /// Counts what became of a flight; everything about it is durable already.
    fn land(&mut self, landed: Landed) {
        let mut progress = *self.progress.borrow();
        match landed {
            Landed::Submitted { reason, fate, look_at } => {
                if let Some(reason) = reason {
                    progress.sent += 1;
                    progress.outcomes.add(reason);
                }
                if let Some(look_at) = look_at {
                    self.horizon.includes(look_at);
                }
                self.land_row(fate, &mut progress);
            }
            Landed::Checked(row) => self.submissions.checked(row),
            Landed::Looked(followed) => {
                self.looks -= 1;
                progress.covers.looks += 1;
                self.land_cover(followed, &mut progress.covers);
            }
            Landed::Fetched(followed) => {
                self.fetches -= 1;
                self.land_cover(followed, &mut progress.covers);
            }
        }
        progress.waiting = self.submissions.waiting();
        self.progress.send_replace(progress);
        if self.max_failures.reached(progress.failed, progress.done) {
            self.pilot.stop.request(Ended::TooManyFailures);
        }
    }

    fn land_row(&mut self, fate: Fate, progress: &mut Progress) {
        match fate {
            Fate::Done(state) => {
                progress.done += 1;
                progress.failed += u64::from(matches!(state, RowState::Failed | RowState::GaveUp));
                self.submissions.returned(None);
            }
            Fate::Again(row, due) => self.submissions.returned(Some((row, due))),
            Fate::Stopped => self.submissions.returned(None),
            Fate::Refused => {
                progress.done += 1;
                self.submissions.returned(None);
            }
        }
    }

    fn land_cover(&mut self, followed: Followed, covers: &mut Covers) {
        self.horizon.forget();
        match followed {
            Followed::Later => {}
            Followed::GivenUp => covers.given_up += 1,
            Followed::Failed => covers.failed += 1,
            Followed::Saved => covers.saved += 1,
            Followed::Generated(took) => {
                covers.generated += 1;
                if let Some(took) = took {
                    self.usual.learn(took);
                }
            }
        }
    }
}

/// Something that happened.
enum News {
    Landed(Landed),
    MaySubmit(Permit),
    MayRead(Read, Permit),
    Outage,
    Time,
}

/// Leave of a gate; never, if nothing waits for it.
async fn ready(gate: Option<&Arc<Gate>>) -> Result<Permit, OutageOver> {
    match gate {
        Some(gate) => gate.ready().await,
        None => pending().await,
    }
}

/// Waits until a time; for ever if there is none.
async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
