//! Files that replace their predecessors as a whole or not at all, also where the program is killed or the power fails.
//!
//! A file is written beside its place under a hidden name, synchronised, and renamed. It is locked while it is written,
//! so that what killed processes leave can be told from what living ones are making. Knows nothing of any format.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use thiserror::Error;

/// What a new file may be read and written by, before the umask; that of an existing one is kept.
const NEW_FILE_MODE: u32 = 0o666;

/// How the names of unfinished CSV and text files begin; other kinds of file have their own prefix.
pub const CSV_TEMP_PREFIX: &str = ".coverbatch-csv-";

/// A file cannot be written.
#[derive(Debug, Error)]
#[error("cannot write `{}`", path.display())]
pub struct FileError {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

impl FileError {
    /// The file at `path` cannot be written because of `cause`.
    pub fn new(path: impl Into<PathBuf>, cause: io::Error) -> Self {
        Self { path: path.into(), cause }
    }
}

/// A file that is written beside its place and gone if it is dropped before it is committed.
#[derive(Debug)]
pub struct AtomicFile(NamedTempFile);

impl AtomicFile {
    /// An empty file beside `path`, whose permissions it takes over; its name begins with `prefix`.
    ///
    /// # Errors
    /// If there is no such folder, it cannot be written to, or what is at `path` is no regular file.
    pub fn beside(path: &Path, prefix: &str) -> io::Result<Self> {
        let mode = match path.metadata() {
            Ok(file) if file.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            // Renaming over a device or a pipe would take it away from everyone on this machine.
            Ok(file) if !file.is_file() => return Err(io::Error::other("it is not a regular file")),
            Ok(file) => file.permissions().mode(),
            Err(_) => NEW_FILE_MODE,
        };
        let folder = folder_of(path);
        if !folder.exists() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no folder `{}`", folder.display())));
        }
        Self::with_mode(folder, prefix, mode)
    }

    /// An empty file in `folder`; its name begins with `prefix`.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn within(folder: &Path, prefix: &str) -> io::Result<Self> {
        Self::with_mode(folder, prefix, NEW_FILE_MODE)
    }

    fn with_mode(folder: &Path, prefix: &str, mode: u32) -> io::Result<Self> {
        loop {
            let file = tempfile::Builder::new()
                .prefix(prefix)
                .permissions(Permissions::from_mode(mode & 0o777))
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

    /// Puts the finished file into its place, whatever is there. Durable when this returns.
    ///
    /// # Errors
    /// If it cannot be synchronised or renamed.
    pub fn commit(self, path: &Path) -> io::Result<()> {
        self.0.as_file().sync_all()?;
        self.0.persist(path)?;
        fsync_dir(folder_of(path))
    }

    /// Puts the finished file into its place unless something is there. Durable when this returns.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if something is there; others as for [`Self::commit`].
    pub fn commit_noclobber(self, path: &Path) -> io::Result<()> {
        self.0.as_file().sync_all()?;
        self.0.persist_noclobber(path)?;
        fsync_dir(folder_of(path))
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

/// Makes the names in a folder durable.
///
/// # Errors
/// If the folder cannot be opened or synchronised.
pub fn fsync_dir(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Replaces the file at `path` by one that holds `content`. Durable when this returns.
///
/// # Errors
/// [`FileError`]; the file is as it was then.
pub fn replace_whole(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let real = real(path);
    let written = AtomicFile::beside(&real, CSV_TEMP_PREFIX).and_then(|mut file| {
        file.write_all(content)?;
        file.commit(&real)
    });
    written.map_err(|cause| FileError::new(path, cause))
}

/// Makes sure that `path` can be replaced, without touching it.
///
/// # Errors
/// [`FileError`] if its folder cannot be written to.
pub fn check_writable(path: &Path) -> Result<(), FileError> {
    AtomicFile::beside(&real(path), CSV_TEMP_PREFIX).map(drop).map_err(|cause| FileError::new(path, cause))
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

/// What a path leads to: a link stays a link, and the file behind it is replaced.
#[must_use]
pub fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The folder that a path is in.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_a_living_one_makes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let abandoned = folder.path().join(".coverbatch-csv-abandoned");
        let foreign = folder.path().join(".other-abandoned");
        fs::write(&abandoned, "half").unwrap();
        fs::write(&foreign, "theirs").unwrap();
        let mut living = AtomicFile::within(folder.path(), CSV_TEMP_PREFIX).unwrap();
        remove_abandoned(folder.path(), CSV_TEMP_PREFIX);
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
        let refused = AtomicFile::within(folder.path(), CSV_TEMP_PREFIX).unwrap().commit_noclobber(&place).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&place).unwrap(), b"first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }
}
