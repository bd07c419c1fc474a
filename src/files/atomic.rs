//! Files that are in their place whole or not at all, also where the program is killed or the power fails.
//!
//! A file is written under a hidden name in the folder of its place, synchronised, and renamed. It is locked while it is
//! written, so that what killed processes leave can be told from what living ones are making.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use tempfile::NamedTempFile;

use super::place::{FileError, folder_of};

/// What a new file may be read and written by, before the umask.
const NEW_FILE_MODE: u32 = 0o666;

/// A file that is written beside its place and gone if it is dropped before it is committed.
#[derive(Debug)]
pub struct AtomicFile(NamedTempFile);

impl AtomicFile {
    /// An empty file in `folder`; its name begins with `prefix`.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn within(folder: &Path, prefix: &str) -> io::Result<Self> {
        loop {
            let file = tempfile::Builder::new()
                .prefix(prefix)
                .permissions(Permissions::from_mode(NEW_FILE_MODE))
                .tempfile_in(folder)?;
            // Locked while it is written; before that another process may have taken it for abandoned. Where files
            // cannot be locked, none is.
            let _ = file.as_file().lock();
            if file.path().exists() {
                return Ok(Self(file));
            }
        }
    }

    /// The file itself, to be read back.
    #[must_use]
    pub fn file(&self) -> &File {
        self.0.as_file()
    }

    /// Where it is until it is committed.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Puts the finished file into its place, whatever is there. Durable when this returns.
    ///
    /// # Errors
    /// If it cannot be synchronised or renamed.
    pub fn commit(self, path: &Path) -> io::Result<()> {
        self.commit_or_return(path).map_err(|(cause, _)| cause)
    }

    /// As [`Self::commit`]; a file that cannot be renamed comes back.
    pub(super) fn commit_or_return(self, path: &Path) -> Result<(), (io::Error, Option<Self>)> {
        self.0.as_file().sync_all().map_err(|cause| (cause, None))?;
        self.0.persist(path).map_err(|failed| (failed.error, Some(Self(failed.file))))?;
        fsync_dir(folder_of(path)).map_err(|cause| (cause, None))
    }

    /// Puts the finished file into its place unless something is there. Durable when this returns.
    ///
    /// Where the file system has neither links nor a rename that keeps what is there, it is looked at first.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if something is there; others as for [`Self::commit`].
    pub fn commit_noclobber(self, path: &Path) -> io::Result<()> {
        self.commit_noclobber_or_return(path).map_err(|(cause, _)| cause)
    }

    /// As [`Self::commit_noclobber`]; a file whose place is taken comes back.
    ///
    /// # Errors
    /// As for [`Self::commit_noclobber`].
    pub fn commit_noclobber_or_return(self, path: &Path) -> Result<(), (io::Error, Option<Self>)> {
        self.0.as_file().sync_all().map_err(|cause| (cause, None))?;
        match self.0.persist_noclobber(path) {
            Ok(_) => fsync_dir(folder_of(path)).map_err(|cause| (cause, None)),
            Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists || path.exists() => {
                Err((failed.error, Some(Self(failed.file))))
            }
            Err(failed) => Self(failed.file).commit(path).map_err(|cause| (cause, None)),
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// How the names of files begin that are made to see whether they can be.
const TRIAL_PREFIX: &str = ".coverbatch-trial-";

/// Makes sure that files can be made in `folder`; if it is not there, in the folder in which it would be made. Nothing is
/// left there.
///
/// # Errors
/// [`FileError`], which names the folder in the way.
pub fn check_folder(folder: &Path) -> Result<(), FileError> {
    let there = folder.ancestors().find(|part| part.exists()).unwrap_or(Path::new("."));
    AtomicFile::within(there, TRIAL_PREFIX).map(drop).map_err(|cause| FileError::new(there, cause))
}

/// Makes the names in a folder durable, where the file system knows how.
///
/// Shares of other machines, FUSE and WSL refuse it, and a folder that we may write to need not be one that we may read.
/// The file is in its place then, and a power failure is the server's affair.
///
/// # Errors
/// If the disk fails.
pub fn fsync_dir(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(cause) if is_unsupported(&cause) => Ok(()),
        result => result,
    }
}

/// Makes the folder, and those it is in, if they are not there, with this mode less the umask. Durable when this returns.
///
/// # Errors
/// If one of them cannot be made.
pub fn make_folder(folder: &Path, mode: u32) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    make_folder(folder_of(folder), mode)?;
    match DirBuilder::new().mode(mode).create(folder) {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists || !folder.is_dir() => Err(cause),
        Ok(()) | Err(_) => fsync_dir(folder_of(folder)),
    }
}

fn is_unsupported(cause: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, IsADirectory, PermissionDenied, Unsupported};
    matches!(cause.kind(), InvalidInput | IsADirectory | PermissionDenied | Unsupported)
}

/// Removes what killed processes have left in the folder: unfinished files that nobody holds a lock on.
///
/// A failure is of no account: such a file is only in the way of tidiness.
pub fn remove_abandoned(folder: &Path, prefix: &str) {
    let is_ours = |name: &OsStr| name.as_bytes().starts_with(prefix.as_bytes());
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in files.filter(|file| is_ours(&file.file_name())).map(|file| file.path()).filter(|path| path.is_file()) {
        if let Ok(file) = File::open(&path)
            && file.try_lock().is_ok()
        {
            // The lock ends with `file`, so nobody can have begun to write it meanwhile.
            let _ = fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = ".coverbatch-test-";

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_a_living_one_makes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let abandoned = folder.path().join(".coverbatch-test-abandoned");
        let foreign = folder.path().join(".other-abandoned");
        fs::write(&abandoned, "half").unwrap();
        fs::write(&foreign, "theirs").unwrap();
        let mut living = AtomicFile::within(folder.path(), PREFIX).unwrap();
        remove_abandoned(folder.path(), PREFIX);
        assert!(!abandoned.exists() && foreign.exists());
        living.write_all(b"whole").unwrap();
        let place = folder.path().join("place");
        living.commit(&place).unwrap();
        assert_eq!(fs::read(place).unwrap(), b"whole");
    }

    #[test]
    fn commit_noclobber_never_replaces_anything() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("place");
        fs::write(&place, "first").unwrap();
        let refused = AtomicFile::within(folder.path(), PREFIX).unwrap().commit_noclobber(&place).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&place).unwrap(), b"first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn only_the_errors_of_file_systems_that_cannot_synchronise_a_folder_are_no_failure() {
        // EINVAL, ENOSYS, EOPNOTSUPP, EACCES, EISDIR; EIO, ENOSPC, EDQUOT, ENOENT.
        for (errors, expected) in [(&[22, 38, 95, 13, 21][..], true), (&[5, 28, 122, 2][..], false)] {
            for number in errors {
                assert_eq!(is_unsupported(&io::Error::from_raw_os_error(*number)), expected, "{number}");
            }
        }
        assert!(fsync_dir(Path::new("/no/such/folder")).is_err());
    }
}
