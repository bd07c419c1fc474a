//! Covers followed to their images, put together as the program does it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coverbatch::catalog::Catalog;
use coverbatch::clock::UnixMillis;
use coverbatch::covers;
use coverbatch::domain::{Ended, MusicTaskId, Signal};
use coverbatch::images::{ImageFolder, Store};
use coverbatch::join::{self, Trust};
use coverbatch::ledger::{CoverScope, FollowLedger, Ledger, ReadLedger as _, RunId, Waiter};
use coverbatch::policy::{GenerationEstimate, PollPolicy};
use coverbatch::ratelimit::Gate;
use coverbatch::results::Tally;
use coverbatch::runner::{CoverTracking, Covers, Parts, Rounds, Runner, Stop};
use tokio::time::{Instant, timeout};

use super::night::Broken;
use super::service::Read;
use super::{Night, Table, seconds};

/// What following the covers of a catalog left behind.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) ended: Ended,
    pub(crate) covers: Covers,
    pub(crate) results: Table,
    pub(crate) tally: Tally,
    pub(crate) took: Duration,
    /// How often the covers were taken up.
    pub(crate) rounds: u32,
}

impl Night {
    /// Covers are waited for, for half an hour each.
    pub(crate) fn waiting(self) -> Self {
        self.with(|with| with.wait = Some(seconds(1800)))
    }

    /// Covers are waited for, and their images saved.
    pub(crate) fn downloading(self) -> Self {
        self.waiting().with(|with| with.downloads = true)
    }

    /// Follows the covers of the catalog; submits nothing.
    pub(crate) async fn follow(&self) -> Followed {
        timeout(self.settings.longest, self.rounds(&self.ledger)).await.expect("following hangs").unwrap()
    }

    /// Follows all covers for some time, until a signal.
    pub(crate) async fn receive_for(&self, time: Duration) -> Covers {
        let stop = Stop::default();
        let _timer = stop.after(time, Ended::Interrupted(Signal::Terminate));
        let gate = self.gate_of_reads();
        let parts = Parts { stop, ..self.parts(&self.ledger) };
        let tracking = self.tracking(CoverScope::All, gate);
        let usual = GenerationEstimate::new(self.ledger.generation_times().await.unwrap());
        let runner = Runner::new(parts, self.settings.run).tracking(tracking).knowing(usual);
        let progress = runner.progress();
        let ended = timeout(time + seconds(120), runner.run()).await.expect("the follower hangs").unwrap();
        assert_eq!(ended, Ended::Interrupted(Signal::Terminate));
        progress.borrow().covers
    }

    /// Takes a callback in.
    pub(crate) async fn hint(&self, id: &str) {
        self.ledger.wake(&MusicTaskId::new(id).unwrap(), self.clock.unix()).await.unwrap();
    }

    /// The rounds of a command that follows and submits nothing.
    async fn rounds<L: Ledger>(&self, ledger: &Arc<L>) -> Result<Followed, Broken> {
        let (catalog, started, began) = (self.catalog()?, self.clock.unix(), self.clock.now());
        if catalog.is_results() {
            join::take_over(&catalog, Some(&**ledger), &**ledger, Trust::All).await?;
        }
        let run = ledger.begin_follow("songs", "again", started).await?;
        let rounds = Rounds {
            parts: self.parts(ledger),
            catalog: Arc::clone(&catalog),
            trust: Trust::All,
            waiter: self.waiter(run, started),
            tracking: self.tracking(CoverScope::OfRun(run), self.gate_of_reads()),
            config: self.settings.run,
        };
        let count = Cell::new(0);
        let round = async |runner: Runner<_, _>, _| {
            count.update(|count| count + 1);
            runner.run().await
        };
        let (ended, progress) = rounds.follow(started, round).await?;
        let covers = progress.covers;
        ledger.end_run(run, ended, self.clock.unix()).await?;
        let took = self.clock.now() - began;
        let (results, tally) = self.write_results(&catalog, &**ledger, ended).await?;
        Ok(Followed { ended, covers, results, tally, took, rounds: count.get() })
    }

    pub(super) async fn take_up(
        &self,
        catalog: &Arc<Catalog>,
        ledger: &impl Ledger,
        run: RunId,
        started: UnixMillis,
    ) -> Result<u64, Broken> {
        Ok(covers::take_up(catalog, ledger, Trust::All, self.waiter(run, started), started).await?)
    }

    pub(super) fn waiter(&self, run: RunId, began: UnixMillis) -> Waiter {
        let longest = self.settings.wait.unwrap_or(Duration::MAX);
        Waiter { run, wants_files: self.settings.downloads, began, longest }
    }

    pub(super) fn gate_of_reads(&self) -> Arc<Gate> {
        let (rate, max_outage) = (self.settings.poll, self.settings.max_outage);
        Gate::new(rate, max_outage, self.clock)
    }

    pub(super) fn tracking(&self, scope: CoverScope, gate: Arc<Gate>) -> CoverTracking {
        let wait = match scope {
            CoverScope::OfRun(_) => self.settings.wait,
            CoverScope::All => None,
        };
        CoverTracking {
            scope,
            began: self.clock.unix(),
            gate,
            pace: self.settings.poll,
            policy: PollPolicy { wait, max_attempts: self.settings.submit.rows.max_attempts },
            images: self.settings.downloads.then(|| self.image_folder()),
            timeout: seconds(30),
            longest_download: seconds(60),
            woken: Arc::default(),
        }
    }

    fn image_folder(&self) -> ImageFolder {
        ImageFolder::new(Store::open(&self.images_path()).unwrap(), 2, seconds(60))
    }

    fn images_path(&self) -> PathBuf {
        self.folder.path().join("covers")
    }

    /// Every file in the folder of images, hidden ones too.
    pub(crate) fn images(&self) -> BTreeMap<String, Vec<u8>> {
        let files = std::fs::read_dir(self.images_path()).into_iter().flatten().map(Result::unwrap);
        files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())).collect()
    }

    /// When the record of this cover was read.
    pub(crate) fn looks_at(&self, id: &str) -> Vec<Instant> {
        self.service.looks().iter().filter(|look| look.id == id).map(|look| look.at).collect()
    }

    /// Every read of a record, of covers and of music, in order.
    pub(crate) fn reads(&self) -> Vec<Instant> {
        let reads = [self.service.looks(), self.service.listens()].concat();
        let mut times: Vec<Instant> = reads.iter().map(|Read { at, .. }| *at).collect();
        times.sort_unstable();
        times
    }

    /// Whether no window of the read pace holds more reads than it may.
    pub(crate) fn is_read_in_pace(&self) -> bool {
        let (times, poll) = (self.reads(), self.settings.poll);
        let count = usize::try_from(poll.count.get()).unwrap();
        times.iter().zip(times.iter().skip(count)).all(|(first, next)| *next - *first >= poll.period)
    }
}
