//! The locks by which a run is known to be alive.
//!
//! A run holds a lock on a small file of its own beside the ledger, which the kernel takes back when its process dies,
//! however it dies. Such a file is not the database itself, because closing a second handle of that would drop SQLite's
//! locks.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::files::companion;

/// What the name of the folder of locks ends with.
const RUNS: &str = ".runs";

/// The locks of runs.
#[derive(Debug)]
pub(super) struct Locks {
    folder: PathBuf,
    held: Option<(String, File)>,
    /// Of a ledger in memory: gone with it.
    _temporary: Option<TempDir>,
}

impl Locks {
    /// Those of the ledger at `path`.
    pub(super) fn beside(path: &Path) -> Self {
        Self { folder: companion(path, RUNS), held: None, _temporary: None }
    }

    /// Those of a ledger in memory.
    pub(super) fn temporary() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self { folder: folder.path().to_owned(), held: None, _temporary: Some(folder) })
    }

    /// Takes a new lock; its name.
    pub(super) fn take(&mut self) -> io::Result<String> {
        let name = format!("{}-{:016x}", std::process::id(), fastrand::u64(..));
        let file = loop {
            let made = DirBuilder::new().mode(0o700).create(&self.folder);
            made.or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })?;
            let path = self.folder.join(&name);
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
                Ok(file) => break file,
                // The last of the others has just gone, and its folder with it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        };
        file.lock()?;
        self.held = Some((name.clone(), file));
        Ok(name)
    }

    /// Lets the lock go, and removes its file, which nobody else looks for once the run is ended.
    pub(super) fn release(&mut self) {
        if let Some((name, _file)) = self.held.take() {
            self.remove(&name);
        }
    }

    /// Whether the run with this lock is alive.
    pub(super) fn is_alive(&self, name: &str) -> io::Result<bool> {
        let file = match File::open(self.folder.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Removes the file of a run that is over, and the folder if it was the last one.
    pub(super) fn remove(&self, name: &str) {
        // One that stays is empty, and in nobody's way.
        let _ = fs::remove_file(self.folder.join(name)).and_then(|()| fs::remove_dir(&self.folder));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn a_run_is_alive_for_as_long_as_its_lock_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let [mut run, other] = [(); 2].map(|()| Locks::beside(&folder.path().join("x.db")));
        let name = run.take().unwrap();
        assert!(other.is_alive(&name).unwrap());
        // As its death lets it go: its file stays.
        drop(run);
        assert!(!other.is_alive(&name).unwrap());
        other.remove(&name);
        assert!(!other.is_alive(&name).unwrap(), "no file, no run");
    }

    #[test]
    fn the_last_run_leaves_no_folder_and_one_before_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let [mut first, mut last] = [(); 2].map(|()| Locks::beside(&path));
        first.take().unwrap();
        last.take().unwrap();
        first.release();
        assert!(companion(&path, RUNS).exists());
        last.release();
        assert!(!companion(&path, RUNS).exists());
    }

    /// Whoever ends takes away the folder that another is about to put its lock into.
    #[test]
    fn a_run_that_begins_while_others_end_has_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let (mut locks, is_done) = (Locks::beside(&path), AtomicBool::new(false));
        thread::scope(|threads| {
            threads.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    let _ = fs::remove_dir(companion(&path, RUNS));
                }
            });
            let taken = (0..200).try_for_each(|_| locks.take().map(|_| locks.release()));
            is_done.store(true, Ordering::Relaxed);
            taken.unwrap();
        });
    }

    /// Whoever took such a run for dead would pay for its rows a second time.
    #[test]
    fn a_lock_that_cannot_be_looked_at_is_an_error_and_no_death() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        fs::write(companion(&path, RUNS), "no folder").unwrap();
        let mut locks = Locks::beside(&path);
        assert!(locks.is_alive("1-0123456789abcdef").is_err());
        assert!(locks.take().is_err());
    }
}
