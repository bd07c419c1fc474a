//! One run per ledger at a time, by a lock that the kernel takes back when its holder dies, however it dies.
//!
//! The lock is on a file of its own beside the ledger, because closing a second handle of the database file would drop
//! SQLite's locks. The file is never deleted: two processes could otherwise hold locks on two files of one name.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use thiserror::Error;

use super::names::{companion, one_name};
use crate::clock::UnixMillis;

/// What the name of the lock file ends with.
const LOCK: &str = ".lock";

/// How every note about a holder begins, and bytes read of one.
const NOTE: &str = "pid ";
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
        // A ledger whose names disagree is refused once it is opened.
        let lock_path = companion(&one_name(path).unwrap_or_else(|_| path.to_owned()), LOCK);
        let io_error = |cause| LockError::Io { path: lock_path.clone(), cause };
        let mut file = open(&lock_path).map_err(io_error)?;
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

/// Opens the lock file, or makes it; never what a link leads to, which may be anything.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    let made = options.clone().create_new(true).open(path);
    if !made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
        return made;
    }
    // Looked at before it is opened, since opening a device may do something, and after, since it may be another by then.
    let named = || fs::symlink_metadata(path).map(|file| (file.is_file(), file.dev(), file.ino()));
    let (is_file, device, inode) = named()?;
    if !is_file {
        return Err(io::Error::other("it is not a regular file"));
    }
    let file = options.open(path)?;
    let opened = file.metadata()?;
    if named()? != (true, opened.dev(), opened.ino()) || (device, inode) != (opened.dev(), opened.ino()) {
        return Err(io::Error::other("it was replaced while it was opened"));
    }
    Ok(file)
}

/// Writes down who holds the lock, over what an earlier holder wrote and nothing else.
fn note_holder(file: &mut File, now: UnixMillis) -> io::Result<()> {
    if !(file.metadata()?.len() == 0 || note_in(file).starts_with(NOTE)) {
        return Err(io::Error::other("it holds something else; move it away if it is not needed"));
    }
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(format!("{NOTE}{}, started {now}\n", std::process::id()).as_bytes())
}

/// What the holder wrote down of itself. A note of one that is dead is not from the holder, which is still to write its own.
fn holder_in(file: &mut File) -> String {
    for _ in 0..LOOKS {
        let note = note_in(file);
        if is_alive(&note) {
            return note;
        }
        sleep(BETWEEN_LOOKS);
    }
    "one that has just started, or that cannot be seen from here".to_owned()
}

/// Whether the process of a note is there; where processes have no folder, every one that is named.
fn is_alive(note: &str) -> bool {
    let pid = note.strip_prefix(NOTE).and_then(|rest| rest.split_once(", started ")).map(|(pid, _)| pid);
    let processes = Path::new("/proc");
    pid.is_some_and(|pid| !processes.join("self").exists() || processes.join(pid).exists())
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
        fs::write(&real, "").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let _first = RunLock::take(&real, UnixMillis(0)).unwrap();
        assert!(matches!(RunLock::take(&link, UnixMillis(0)), Err(LockError::Held { .. })));
    }

    #[test]
    fn a_lock_file_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("x.db");
        let _lock = RunLock::take(&ledger, UnixMillis(0)).unwrap();
        assert_eq!(companion(&ledger, LOCK).metadata().unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn nothing_that_is_not_a_lock_file_is_emptied_or_made() {
        for content in ["a catalog, say", "pi", "\u{0}"] {
            let folder = tempfile::tempdir().unwrap();
            let ledger = folder.path().join("x.db");
            let (lock, other) = (companion(&ledger, LOCK), folder.path().join("other"));
            fs::write(&lock, content).unwrap();
            let refused = RunLock::take(&ledger, UnixMillis(0)).unwrap_err();
            assert!(matches!(refused, LockError::Io { path, .. } if path == lock));
            assert_eq!(fs::read(&lock).unwrap(), content.as_bytes());
            for target in [Some("pid 7, started then"), None] {
                fs::remove_file(&lock).unwrap();
                std::os::unix::fs::symlink(&other, &lock).unwrap();
                if let Some(content) = target {
                    fs::write(&other, content).unwrap();
                }
                assert!(RunLock::take(&ledger, UnixMillis(0)).is_err());
                assert_eq!(fs::read_to_string(&other).ok().as_deref(), target);
                let _ = fs::remove_file(&other);
            }
        }
    }

    #[test]
    fn a_dead_holder_is_not_named() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("x.db");
        let lock = companion(&ledger, LOCK);
        // No process has a number as high as this.
        fs::write(&lock, "pid 99999999, started 2026-11-22T02:10:00.000Z\n").unwrap();
        let holder = open(&lock).unwrap();
        holder.lock().unwrap();
        let refused = RunLock::take(&ledger, UnixMillis(0)).unwrap_err().to_string();
        assert!(refused.ends_with("one that has just started, or that cannot be seen from here"), "{refused}");
        drop(holder);
        RunLock::take(&ledger, UnixMillis(0)).unwrap();
        assert!(fs::read_to_string(&lock).unwrap().starts_with(&format!("pid {}, ", std::process::id())));
    }
}
