//! One run per ledger at a time, by a lock that the kernel takes back when its holder dies, however it dies.
//!
//! The lock is on a file of its own beside the ledger, because closing a second handle of the database file would drop
//! SQLite's locks. The file is never deleted: two processes could otherwise hold locks on two files of one name.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use thiserror::Error;

use crate::clock::UnixMillis;

/// Bytes read of a note about the holder.
const LONGEST_NOTE: u64 = 200;

/// Looks at that note, and the time between two of them: a holder that has just started is still writing it.
const LOOKS: u32 = 25;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Why the ledger cannot be had alone.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another run holds it.
    #[error("another run holds the ledger `{}`: {holder}", path.display())]
    Held {
        /// The ledger.
        path: PathBuf,
        /// Its pid and the time it started.
        holder: String,
    },
    /// The lock file cannot be opened or locked.
    #[error("cannot lock the ledger by `{}`", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
}

/// The exclusive right to run on a ledger; ends when this is dropped or the process dies.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock of the ledger at `path` at once, or names its holder.
    ///
    /// # Errors
    /// [`LockError`]
    pub fn take(path: &Path, now: UnixMillis) -> Result<Self, LockError> {
        let lock_path = lock_path(path);
        let io_error = |cause| LockError::Io { path: lock_path.clone(), cause };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => {
                note_holder(&mut file, now).map_err(io_error)?;
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                Err(LockError::Held { path: path.to_owned(), holder: holder_in(&mut file) })
            }
            Err(TryLockError::Error(cause)) => Err(io_error(cause)),
        }
    }
}

/// The lock file of a ledger, whichever name or link leads to it.
fn lock_path(ledger: &Path) -> PathBuf {
    let real = ledger.canonicalize().unwrap_or_else(|_| ledger.to_owned());
    let mut name: OsString = real.into_os_string();
    name.push(".lock");
    PathBuf::from(name)
}

/// Writes down who holds the lock.
fn note_holder(file: &mut File, now: UnixMillis) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(format!("pid {}, started {now}\n", std::process::id()).as_bytes())
}

/// What the holder wrote down of itself: what stands there in two looks, since the first may have met the note of a dead
/// holder, or none yet.
fn holder_in(file: &mut File) -> String {
    let mut before = String::new();
    for _ in 0..LOOKS {
        let note = note_in(file);
        if !note.is_empty() && note == before {
            return note;
        }
        before = note;
        sleep(BETWEEN_LOOKS);
    }
    "one that has just started".to_owned()
}

/// What stands in the lock file; nothing, if that cannot be read.
fn note_in(file: &mut File) -> String {
    let mut note = String::new();
    let read = file.rewind().and_then(|()| file.take(LONGEST_NOTE).read_to_string(&mut note));
    read.map_or_else(|_| String::new(), |_| note.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_the_lock_and_gets_it_once_that_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("x.db");
        let now = UnixMillis::from_rfc3339("2026-11-22T02:10:00Z").unwrap();
        let first = RunLock::take(&ledger, now).unwrap();
        let refused = RunLock::take(&ledger, now).unwrap_err().to_string();
        let holder = format!("pid {}, started 2026-11-22T02:10:00.000Z", std::process::id());
        assert!(refused.ends_with(&holder), "{refused}");
        drop(first);
        RunLock::take(&ledger, now).unwrap();
    }

    #[test]
    fn a_link_to_a_ledger_shares_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("x.db"), folder.path().join("y.db"));
        std::fs::write(&real, "").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let _first = RunLock::take(&real, UnixMillis(0)).unwrap();
        assert!(matches!(RunLock::take(&link, UnixMillis(0)), Err(LockError::Held { .. })));
    }
}
