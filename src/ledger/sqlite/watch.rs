//! Whether the files of an open ledger are still those that were opened, as far as their names and times tell.
//!
//! What is committed into a file that has lost its name is durable for nobody, and what is read without a lock may have
//! been changed under the reader.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::failure::Failure;

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
