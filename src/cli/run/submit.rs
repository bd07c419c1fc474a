//! A run from its beginning in the ledger to the results.

use std::path::Path;
use std::sync::Arc;

use crate::cli::batch::RunOutcome;
use crate::cli::cover_args::ImageSettings;
use crate::cli::options::bad_rows;
use crate::cli::outcome::CommandOutcome;
use crate::cli::output::eprint;
use crate::clock::UnixMillis;
use crate::covers;
use crate::domain::Ended;
use crate::error::Error;
use crate::files::{check_writable, folder_of, is_stdout};
use crate::ledger::{AnyLedger, Begin, Begun, NewRun, SubmitLedger as _};
use crate::worklist::Worklist;

use super::prepared::PreparedRun;
use super::send::ToDo;

impl PreparedRun<'_> {
    /// Sends what is to be sent, and writes down what came of it.
    pub(super) async fn run(self) -> Result<CommandOutcome, Error> {
        check_writable(&self.batch.paths.results)?;
        self.batch.paths.failures.as_deref().map_or(Ok(()), check_writable)?;
        let image_settings = self.args.wait.image_settings()?;
        let started = self.batch.clock.unix();
        let place = &self.batch.ledger_place;
        self.args.ledger.make_folder(place)?;
        let max_outage = self.args.request.max_outage;
        let ledger = Arc::new(AnyLedger::open(place, self.service.identity(), max_outage).await?);
        let results = &self.batch.paths.results;
        let new = NewRun {
            catalog: self.batch.identity.clone(),
            is_partial: self.batch.is_partial,
            results: full_name(results),
            command: self.next().rerun,
            at: started,
        };
        let submitted = match ledger.begin_run(new).await {
            Ok(Begin::Begun(begun)) => self.submit(&ledger, &image_settings, begun, started).await,
            // The results are not ours to write.
            Ok(Begin::ResultsInUse(holder)) => return Err(Error::ResultsInUse { results: results.clone(), holder }),
            Err(error) => Err(error.into()),
        };
        self.batch.conclude(ledger, &image_settings, submitted).await
    }

    async fn submit(
        &self,
        ledger: &Arc<AnyLedger>,
        image_settings: &ImageSettings,
        begun: Begun,
        started: UnixMillis,
    ) -> Result<RunOutcome, Error> {
        if self.is_watched() && !self.catalog().is_confined() {
            // In a mail, the digest tells of them.
            eprint(&bad_rows(self.catalog()));
        }
        let run = begun.run;
        let taken_over = self.batch.take_over(ledger).await?;
        self.batch.name_files(ledger).await?;
        let (worklist, counts) = Worklist::plan(self.catalog(), vec![&**ledger], self.selection()).await?;
        let mut to_follow = 0;
        if self.args.waits() {
            let waiter = self.args.wait.waiter(run, started);
            to_follow = covers::take_up(self.catalog(), &**ledger, self.batch.trust, waiter, started)
                .await
                .map_err(worklist_error)?;
        }
        let gates = self.gates();
        let to_do = ToDo { began: started, rows: counts.to_send, covers: to_follow };
        let sent = self.send(ledger, &gates, image_settings, begun, worklist, to_do).await;
        let (ended, progress) = self.batch.released(ledger, run, sent).await?;
        let ended = if ended == Ended::Finished && counts.over_limit > 0 { Ended::Limit } else { ended };
        Ok(RunOutcome {
            run,
            ended,
            started,
            progress,
            taken_over,
            submissions: Some((self.args.pace.rate, gates.submissions)),
            reads: gates.reads.map(|gate| (self.args.wait.read.poll_rate, gate)),
            next: self.next(),
        })
    }
}

/// Rows that cannot be read before anything was sent.
fn worklist_error(error: crate::join::JoinError) -> Error {
    Error::Worklist(error.into())
}

/// The full name of a file that is written, whichever links lead to it; `None` for standard output.
fn full_name(path: &Path) -> Option<String> {
    let folder = folder_of(path).canonicalize().ok().filter(|_| !is_stdout(path));
    let full = path.canonicalize().ok().filter(|_| !is_stdout(path)).or_else(|| Some(folder?.join(path.file_name()?)));
    full.map(|full| full.to_string_lossy().into_owned())
}
