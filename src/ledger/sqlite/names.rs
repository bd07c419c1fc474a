//! The names of a ledger: the one that it is opened and locked by, and the files that stand beside that.
//!
//! SQLite keeps its log beside the name by which a database was opened. Under a second name it would not find what the
//! log beside the first one holds.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::watch::Mark;
use crate::files::folder_of;
use crate::ledger::error::WrongLedger;

/// What SQLite appends to the name of a database for its write-ahead log, the index of that, and its older journal.
pub(super) const LOG: &str = "-wal";
pub(super) const INDEX: &str = "-shm";
pub(super) const JOURNAL: &str = "-journal";

/// The file that belongs to a ledger by the end of its name.
pub(super) fn companion(ledger: &Path, end: &str) -> PathBuf {
    let mut name = ledger.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// The one name of a ledger, whichever link leads to it: of several in its folder the one with a log, else the first.
pub(super) fn one_name(path: &Path) -> Result<PathBuf, WrongLedger> {
    let Ok(real) = path.canonicalize() else { return Ok(path.to_owned()) };
    let links = fs::metadata(&real).ok().filter(fs::Metadata::is_file).map_or(1, |file| file.nlink());
    if links == 1 {
        return Ok(real);
    }
    let (file, entries) = (Mark::of(&real), fs::read_dir(folder_of(&real)));
    let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    let mut names: Vec<PathBuf> = paths.filter(|path| !path.is_symlink() && Mark::of(path) == file).collect();
    names.sort();
    let mut logged = names.iter().filter(|name| companion(name, LOG).exists());
    match (logged.next().or(names.first()), logged.next()) {
        (Some(one), None) if names.len() as u64 == links => Ok(one.clone()),
        (Some(_) | None, _) => Err(WrongLedger::SeveralNames { links }),
    }
}
