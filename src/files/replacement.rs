//! Output that takes the place of what is there: renamed over it, or written into it where that cannot be, or streamed to
//! standard output.
//!
//! Which of the three is found out when it is begun, so that beginning one and dropping it shows whether it could be
//! written at the end.

use std::env;
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Seek as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::atomic::{AtomicFile, remove_abandoned};
use super::place::{FileError, folder_of, is_pinned, is_stdout, real};

/// How the names of unfinished CSV and text files begin.
const TEMP_PREFIX: &str = ".coverbatch-csv-";

/// The mode of what only this process reads.
const PRIVATE_MODE: u32 = 0o600;

/// The bit of a folder's mode that lets only the owner of a file rename over it.
const STICKY: u32 = 0o1000;

/// How finished output gets to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As a whole or not at all.
    Rename,
    /// Over the content of the file that is there: nothing may be renamed over it.
    InPlace,
    Stdout,
}

/// Unfinished output for a path; gone if it is dropped before it is committed.
#[derive(Debug)]
pub struct Replacement {
    file: AtomicFile,
    way: Way,
    /// Whether it has the owner and the group of what it replaces.
    is_owner_kept: bool,
    /// As it was named.
    path: PathBuf,
    /// What that leads to.
    place: PathBuf,
}

impl Replacement {
    /// Empty output for `path`; `-` is standard output. What killed processes left beside it is removed.
    ///
    /// # Errors
    /// [`FileError`] if it could not be committed: there is no such folder, neither the folder nor the file may be
    /// written to, or what is there is no regular file.
    pub fn begin(path: &Path) -> Result<Self, FileError> {
        let place = real(path);
        let error = |cause| FileError::new(path, cause);
        let (file, way) = begin(path, &place).map_err(error)?;
        // At once: what may be read by few is not to be read by more while it is written.
        let is_owner_kept = take_over(file.file(), way, place.metadata().ok()).map_err(error)?;
        Ok(Self { file, way, is_owner_kept, path: path.to_owned(), place })
    }

    /// Puts the output into its place. Durable when this returns.
    ///
    /// # Errors
    /// [`FileError`]; what was there is as it was, unless the error says otherwise.
    pub fn commit(self) -> Result<(), FileError> {
        let Self { file, way, is_owner_kept, path, place } = self;
        if !is_owner_kept {
            warn!(file = %path.display(), "it has another owner or group now: those it had cannot be kept");
        }
        let done = match way {
            Way::Rename => rename(file, &place),
            Way::InPlace => overwrite(&file, &place),
            Way::Stdout => stream(&file),
        };
        done.map_err(|cause| FileError::new(path, cause))
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn begin(path: &Path, place: &Path) -> io::Result<(AtomicFile, Way)> {
    if is_stdout(path) {
        return Ok((AtomicFile::within(&env::temp_dir(), TEMP_PREFIX)?, Way::Stdout));
    }
    let before = match place.metadata() {
        Ok(file) if file.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        // Renaming over a device or a pipe would take it away from everyone on this machine.
        Ok(file) if !file.is_file() => return Err(io::Error::other("it is not a regular file")),
        before => before.ok(),
    };
    let folder = folder_of(place);
    let is_folder = path.as_os_str().as_bytes().ends_with(b"/");
    if is_folder || !folder.exists() {
        let missing = format!("there is no folder `{}`", if is_folder { path } else { folder_of(path) }.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, missing));
    }
    remove_abandoned(folder, TEMP_PREFIX);
    match (AtomicFile::within(folder, TEMP_PREFIX), before) {
        (Ok(file), Some(before)) if is_fixed(place, &before, &file.file().metadata()?) => {
            open_in_place(place).map(|_| (file, Way::InPlace))
        }
        (Ok(file), _) => Ok((file, Way::Rename)),
        // A file that we may write to in a folder that we may not: one that is mounted into a container, say.
        (Err(cause), Some(_)) if is_refusal(&cause) && open_in_place(place).is_ok() => {
            Ok((AtomicFile::within(&env::temp_dir(), TEMP_PREFIX)?, Way::InPlace))
        }
        (Err(cause), _) => Err(cause),
    }
}

/// Whether the system says that we may not, and not that it cannot.
fn is_refusal(cause: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(cause.kind(), CrossesDevices | PermissionDenied | ReadOnlyFilesystem | ResourceBusy)
}

/// Whether nothing may be renamed over the file at `place`, or not by us, who own `ours`.
fn is_fixed(place: &Path, before: &Metadata, ours: &Metadata) -> bool {
    let is_anothers = |file: &Metadata| ours.uid() != 0 && file.uid() != ours.uid();
    let is_kept = |folder: Metadata| folder.mode() & STICKY != 0 && is_anothers(&folder) && is_anothers(before);
    is_pinned(place) || folder_of(place).metadata().is_ok_and(is_kept)
}

fn open_in_place(place: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(place)
}

/// Renames the file over what is at `place`.
fn rename(file: AtomicFile, place: &Path) -> io::Result<()> {
    match file.commit_or_return(place) {
        Ok(()) => Ok(()),
        // What was found out at the start may have changed since.
        Err((cause, Some(file))) if is_refusal(&cause) => overwrite(&file, place).map_err(|_| cause),
        Err((cause, _)) => Err(cause),
    }
}

/// Gives `file` the mode of what was there `before`, and its owner and group where that is allowed. Whether it has them.
fn take_over(file: &File, way: Way, before: Option<Metadata>) -> io::Result<bool> {
    let Some(before) = before.filter(|_| way == Way::Rename) else {
        // Nobody else reads what is copied in the end. A new file is as the umask says.
        return if way == Way::Rename { Ok(true) } else { set_mode(file, PRIVATE_MODE).map(|()| true) };
    };
    let ours = file.metadata()?;
    let owner = Some(before.uid()).filter(|owner| *owner != ours.uid());
    let group = Some(before.gid()).filter(|group| *group != ours.gid());
    // Whoever may not give a file away may still give it to a group of their own.
    let is_kept = owner.or(group).is_none()
        || fchown(file, owner, group).is_ok()
        || (fchown(file, None, group).is_ok() && owner.is_none());
    set_mode(file, before.mode() & 0o777).map(|()| is_kept)
}

fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))
}

/// Writes the content of the file into the one at `place`.
fn overwrite(file: &AtomicFile, place: &Path) -> io::Result<()> {
    let mut target = open_in_place(place)?;
    let written = copy(file, &mut target).and_then(|length| target.set_len(length)).and_then(|()| target.sync_all());
    let incomplete =
        |cause| io::Error::other(format!("{cause}; it may be incomplete now, because nothing can be renamed over it"));
    written.map_err(incomplete)
}

/// Writes the content of the file to standard output. That its reader has gone away, as `head` does, is no failure.
fn stream(file: &AtomicFile) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match copy(file, &mut stdout).and_then(|_| stdout.flush()) {
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn copy(file: &AtomicFile, target: &mut impl Write) -> io::Result<u64> {
    let mut content = file.file();
    content.rewind()?;
    io::copy(&mut content, target)
}

/// Replaces what is at `path` by `content`. Durable when this returns.
///
/// # Errors
/// [`FileError`]
pub fn replace_whole(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let mut file = Replacement::begin(path)?;
    file.write_all(content).map_err(|cause| FileError::new(path, cause))?;
    file.commit()
}

/// Makes sure that `path` can be written, without touching it.
///
/// # Errors
/// [`FileError`]
pub fn check_writable(path: &Path) -> Result<(), FileError> {
    Replacement::begin(path).map(drop)
}
