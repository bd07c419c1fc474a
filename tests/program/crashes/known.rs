//! What a ledger says of the rows of a catalog, read with the program's own commands from a copy of its files.
//!
//! A copy, so that looking is no repair: the next run finds the files as the crash left them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::counting::{Counting, cover_of};
use crate::story::{Batch, Running, Table, wait_for};

/// Where the ledger of a batch is.
pub(crate) const LEDGER: &str = "songs.db";

/// The results of another night, which tell of nothing.
pub(crate) const OLD_RESULTS: &str = "task_id,cover_status,cover_retryable,cover_reason,cover_http_status,cover_code,cover_message,cover_task_id,\
     cover_attempts,cover_first_sent_at,cover_finished_at,cover_duplicate_of_row,cover_image_1,cover_image_2,\
     cover_file_1,cover_file_2,cover_expires_at,cover_fallback,cover_route,cover_credits,\
     cover_width_1,cover_height_1,cover_bytes_1,cover_width_2,cover_height_2,cover_bytes_2\nold,pending,yes,outage,,,,,0,,,,,,,,,,,,,,,,,\n";

/// How far each row is known to be.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) settled: BTreeSet<String>,
    pub(crate) in_doubt: BTreeSet<String>,
}

impl Known {
    /// What the batch's own ledger says as it is now.
    pub(crate) fn of(batch: &Batch) -> Self {
        let copy = tempfile::tempdir().unwrap();
        copy_ledger(batch, copy.path());
        Self::at(batch, copy.path())
    }

    /// What the ledger in a folder says.
    pub(crate) fn at(batch: &Batch, folder: &Path) -> Self {
        Self::told(batch, &["--ledger", folder.join(LEDGER).to_str().unwrap()])
    }

    /// What the ledger says that these options name; `status` and `results` agree on it.
    pub(crate) fn told(batch: &Batch, ledger: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("now.csv").into_os_string().into_string().unwrap();
        let ran = batch.call("results", &[ledger, &["-o", &results]].concat());
        // A run that was killed before it made its ledger knows nothing.
        if ran.code == Some(2) && ran.stderr.starts_with("error: no ledger at") {
            return Self::default();
        }
        assert!(matches!(ran.code, Some(0 | 4)), "{ran:?}");
        let table = Table::read(Path::new(&results), b',');
        let known = Self::in_table(&table);
        let status = batch.call("status", &[ledger, &["--json"]].concat()).json();
        assert_eq!(status["rows"]["in_doubt"], known.in_doubt.len(), "{status}");
        assert_eq!(status["rerun_sends"], table.len() - known.settled.len(), "{status}");
        known
    }

    /// Every settled row must have its own cover.
    pub(crate) fn in_table(table: &Table) -> Self {
        let mut known = Self::default();
        let cells = table.column("task_id").into_iter().zip(table.column("cover_status"));
        for ((task, status), cover) in cells.zip(table.column("cover_task_id")) {
            match status {
                "submitted" | "exists" => {
                    assert_eq!(cover, cover_of(task), "the cover of {task}");
                    known.settled.insert(task.to_owned());
                }
                "in_doubt" => drop(known.in_doubt.insert(task.to_owned())),
                other => assert_eq!(other, "pending", "{task}"),
            }
        }
        known
    }

    /// Nothing that the service was asked for is unknown, and nothing is settled that it has not answered since.
    #[track_caller]
    pub(crate) fn holds_against(&self, asked: &BTreeSet<String>, answered: &BTreeSet<String>) {
        let invented: Vec<_> = self.settled.difference(answered).collect();
        assert_eq!(invented, Vec::<&String>::new(), "settled without an answer");
        let unknown: Vec<_> =
            asked.iter().filter(|task| !self.settled.contains(*task) && !self.in_doubt.contains(*task)).collect();
        assert_eq!(unknown, Vec::<&String>::new(), "the service was asked for them, and the ledger does not know");
    }
}

/// Runs to the end: every row settled, the results complete, every cover right.
#[track_caller]
pub(crate) fn finishes(batch: &Batch, options: &[&str], rows: usize) {
    let ran = batch.run(options).exit(0).silent();
    assert_eq!(ran.table().len(), rows);
    assert_eq!(Known::in_table(&ran.table()).settled.len(), rows);
}

/// What the service was asked for a second time after the first `count` submissions.
pub(crate) fn repeated(service: &Counting, count: usize) -> Vec<String> {
    let mut before: BTreeSet<String> = service.after(0)[..count].iter().cloned().collect();
    service.after(count).into_iter().filter(|task| !before.insert(task.clone())).collect()
}

/// The files of a batch's ledger as they are now, those of them that are there; not the index of the log, which is
/// shared memory and gone after a crash.
pub(crate) fn copy_ledger(batch: &Batch, folder: &Path) {
    for name in [LEDGER.to_owned(), log_name()] {
        let file = batch.path(&name);
        if file.exists() {
            fs::copy(file, folder.join(&name)).unwrap();
        }
    }
}

/// The name of the write-ahead log.
pub(crate) fn log_name() -> String {
    format!("{LEDGER}-wal")
}

/// Temporary files that nobody took away.
pub(crate) fn strays(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(".coverbatch-")).collect()
}

/// Sends any signal by its name.
pub(crate) fn signal(run: &Running, name: &str) {
    let line = format!("kill -{name} {}", run.pid());
    assert!(Command::new("/bin/sh").args(["-c", &line]).status().unwrap().success(), "{line}");
}

/// Stops all threads of a process where they are.
pub(crate) fn freeze(run: &Running) {
    signal(run, "STOP");
    let tasks = format!("/proc/{}/task", run.pid());
    wait_for("all threads to stop", || {
        fs::read_dir(&tasks).unwrap().all(|entry| {
            let stat = fs::read_to_string(entry.unwrap().path().join("stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_none_or(|rest| rest.starts_with(['T', 't', 'Z', 'X']))
        })
    });
}
