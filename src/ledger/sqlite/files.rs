//! The files of a ledger: the one name that it is opened and locked by, what stands beside that, and whether they are still
//! those that were opened, as far as their names and times tell.
//!
//! SQLite keeps its log beside the name by which a database was opened. Under a second name it would not find what the
//! log beside the first one holds. What is committed into a file that has lost its name is durable for nobody, and what is
//! read without a lock may have been changed under the reader.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::failure::Failure;
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

/// Which file has a name; a file that is gone has none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mark {
    device: u64,
    inode: u64,
}

impl Mark {
    pub(super) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|file| Self { device: file.dev(), inode: file.ino() })
    }
}

/// What a file holds, as far as its length and the time of its last change tell.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    bytes: u64,
    changed_at: (i64, i64),
}

impl Content {
    fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        Some(Self { bytes: file.len(), changed_at: (file.mtime(), file.mtime_nsec()) })
    }
}

/// What must stay as it was of a file.
#[derive(Debug)]
enum Kept {
    Name(Option<Mark>),
    Content(Option<Content>),
}

/// Files that must stay as they were.
#[derive(Debug, Default)]
pub(super) struct Watch(Vec<(PathBuf, Kept)>);

impl Watch {
    /// For a writer: each name must lead to the same file.
    pub(super) fn names(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(paths.into_iter().map(|path| (path.clone(), Kept::Name(Mark::of(&path)))).collect())
    }

    /// For a reader that holds no lock: nobody may write to them.
    pub(super) fn contents(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(paths.into_iter().map(|path| (path.clone(), Kept::Content(Content::of(&path)))).collect())
    }

    /// Makes sure that nothing has changed.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.0.iter().try_for_each(|(path, kept)| match kept {
            Kept::Name(mark) if Mark::of(path) != *mark => Err(Failure::Moved(path.clone())),
            Kept::Content(content) if Content::of(path) != *content => Err(Failure::Changed(path.clone())),
            Kept::Name(_) | Kept::Content(_) => Ok(()),
        })
    }
}
