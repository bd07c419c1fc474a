//! Which rows of the catalog a run sends, in which order: found out before anything is sent.
//!
//! The ids are kept in temporary files, so that a run over millions of rows needs no more memory than one over ten,
//! and so that catalog and ledger are joined once and not again while sending.

use std::io::{self, BufRead as _, BufReader, BufWriter, IntoInnerError, Seek as _, Write as _};
use std::num::NonZeroU32;
use std::sync::Arc;

use tempfile::SpooledTempFile;
use thiserror::Error;
use tokio::task::spawn_blocking;

use crate::catalog::{Catalog, CatalogError};
use crate::domain::{BadId, MusicTaskId, RowState};
use crate::join::{JoinError, RowTask, StateJoin};
use crate::ledger::{KnownState, LedgerError, SubmitLedger};
use crate::policy::{InDoubt, Plan, Retry, plan};

/// Bytes of ids that are kept in memory before they go to a file.
const IN_MEMORY: usize = 1024 * 1024;

/// Ids that are read back together.
const CHUNK: usize = 1000;

/// The list cannot be made or read.
#[derive(Debug, Error)]
pub enum WorklistError {
    /// Catalog or ledger.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// Temporary files.
    #[error("temporary space in `{}` ran out or cannot be used", std::env::temp_dir().display())]
    Spool(#[source] io::Error),
    /// Temporary files hold something else than was written.
    #[error("a temporary file was changed")]
    Changed(#[source] BadId),
}

impl From<CatalogError> for WorklistError {
    fn from(error: CatalogError) -> Self {
        Self::Join(error.into())
    }
}

impl From<LedgerError> for WorklistError {
    fn from(error: LedgerError) -> Self {
        Self::Join(error.into())
    }
}

/// What a run takes on.
#[derive(Debug, Clone, Copy)]
pub struct Selection {
    /// Which earlier failures.
    pub retry: Retry,
    /// Whether rows in doubt.
    pub in_doubt: InDoubt,
    /// At most so many music tasks: those that would be sent first.
    pub limit: Option<NonZeroU32>,
}

/// What the rows of a catalog come to before a run; every row is in one of these numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Data rows.
    pub rows: u64,
    /// Rows that repeat the id of an earlier one.
    pub duplicates: u64,
    /// Unusable rows.
    pub invalid: u64,
    /// Music tasks that have their cover.
    pub settled: u64,
    /// Music tasks of which a person wants nothing.
    pub ignored: u64,
    /// Music tasks that this run sends.
    pub to_send: u64,
    /// Those of them whose earlier answer was lost.
    pub to_send_in_doubt: u64,
    /// Music tasks that would be sent, had this run no limit.
    pub over_limit: u64,
    /// Music tasks that are neither settled nor sent: failed for good, or held back.
    pub left: u64,
    /// Rows that are not taken up.
    pub others: u64,
}

impl Counts {
    /// The same, if no more than `limit` music tasks are sent; those in doubt come last.
    fn within(self, limit: Option<NonZeroU32>) -> Self {
        let to_send = limit.map_or(self.to_send, |limit| self.to_send.min(limit.get().into()));
        let not_in_doubt = self.to_send - self.to_send_in_doubt;
        Self {
            to_send,
            to_send_in_doubt: to_send.saturating_sub(not_in_doubt),
            over_limit: self.to_send - to_send,
            ..self
        }
    }
}

/// The music tasks to send; by default none.
#[derive(Debug, Default)]
pub struct Worklist {
    first: Option<Spool>,
    last: Option<Spool>,
    chunk: std::vec::IntoIter<MusicTaskId>,
    /// How many are still to be sent.
    remaining: u64,
}

impl Worklist {
    /// The list for a catalog, and what its rows come to by what these ledgers know; writes nothing.
    ///
    /// # Errors
    /// [`WorklistError`]
    pub async fn plan<L: SubmitLedger>(
        catalog: &Arc<Catalog>,
        ledgers: Vec<&L>,
        selection: Selection,
    ) -> Result<(Self, Counts), WorklistError> {
        let mut planner = Planner::new(Arc::clone(catalog), selection);
        let mut states = StateJoin::new(catalog, ledgers)?;
        while let Some(chunk) = Some(states.next().await?).filter(|chunk| !chunk.is_empty()) {
            chunk.iter().try_for_each(|(row, known)| planner.add(row, *known))?;
        }
        planner.finish()
    }

    /// The next music task; those in doubt come last, once `others_are_done`.
    ///
    /// # Errors
    /// [`WorklistError`] if the temporary file cannot be read back.
    pub async fn next(&mut self, others_are_done: bool) -> Result<Option<MusicTaskId>, WorklistError> {
        loop {
            if self.remaining == 0 {
                return Ok(None);
            }
            if let Some(task) = self.chunk.next() {
                self.remaining -= 1;
                return Ok(Some(task));
            }
            if self.first.is_none() && others_are_done {
                self.first = self.last.take();
            }
            let Some(spool) = self.first.take() else { return Ok(None) };
            let (spool, chunk) = read_back(spool).await?;
            if !chunk.is_empty() {
                self.first = Some(spool);
            }
            self.chunk = chunk.into_iter();
        }
    }
}

/// A worklist being made.
struct Planner {
    catalog: Arc<Catalog>,
    selection: Selection,
    counts: Counts,
    first: List,
    last: List,
}

/// A list that is being written: one id a line, since no id holds white space.
type List = BufWriter<SpooledTempFile>;

impl Planner {
    fn new(catalog: Arc<Catalog>, selection: Selection) -> Self {
        let list = || BufWriter::new(SpooledTempFile::new(IN_MEMORY));
        Self { catalog, selection, counts: Counts::default(), first: list(), last: list() }
    }

    /// Counts a row, and lists its music task if it is to be sent.
    fn add(&mut self, row: &RowTask, known: Option<KnownState>) -> Result<(), WorklistError> {
        self.counts.rows += 1;
        if !self.catalog.takes_up(&row.id) {
            self.counts.others += 1;
            return Ok(());
        }
        let Ok(task) = &row.id else {
            self.counts.invalid += 1;
            return Ok(());
        };
        if self.catalog.first_row_of(row.number).is_some() {
            self.counts.duplicates += 1;
            return Ok(());
        }
        let KnownState { state, failed_runs } =
            known.unwrap_or(KnownState { state: RowState::Pending, failed_runs: 0 });
        match plan(state, failed_runs, self.selection.retry, self.selection.in_doubt) {
            Plan::Leave if state == RowState::Ignored => self.counts.ignored += 1,
            Plan::Leave if state.is_settled() => self.counts.settled += 1,
            Plan::Leave => self.counts.left += 1,
            Plan::Send => {
                self.counts.to_send += 1;
                list(&mut self.first, task)?;
            }
            Plan::SendLast => {
                self.counts.to_send += 1;
                self.counts.to_send_in_doubt += 1;
                list(&mut self.last, task)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(Worklist, Counts), WorklistError> {
        let (first, last) = (Some(rewound(self.first)?), Some(rewound(self.last)?));
        let counts = self.counts.within(self.selection.limit);
        Ok((Worklist { first, last, remaining: counts.to_send, ..Worklist::default() }, counts))
    }
}

/// A list that is being read back.
type Spool = BufReader<SpooledTempFile>;

fn list(list: &mut List, task: &MusicTaskId) -> Result<(), WorklistError> {
    writeln!(list, "{task}").map_err(WorklistError::Spool)
}

fn rewound(list: List) -> Result<Spool, WorklistError> {
    let mut spool = list.into_inner().map_err(IntoInnerError::into_error).map_err(WorklistError::Spool)?;
    spool.rewind().map_err(WorklistError::Spool)?;
    Ok(BufReader::new(spool))
}

async fn read_back(mut spool: Spool) -> Result<(Spool, Vec<MusicTaskId>), WorklistError> {
    let work = spawn_blocking(move || {
        let mut chunk = Vec::new();
        let mut line = Vec::new();
        while chunk.len() < CHUNK && spool.read_until(b'\n', &mut line).map_err(WorklistError::Spool)? > 0 {
            chunk.push(MusicTaskId::new(&line).map_err(WorklistError::Changed)?);
            line.clear();
        }
        Ok((spool, chunk))
    });
    work.await.unwrap_or_else(|defect| std::panic::resume_unwind(defect.into_panic()))
}
