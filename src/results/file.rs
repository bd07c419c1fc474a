//! A CSV file that replaces its predecessor as a whole or not at all.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use csv::{Terminator, WriterBuilder};
use tempfile::NamedTempFile;
use thiserror::Error;

use crate::catalog::Dialect;

/// What a new file may be read and written by, before the umask; that of an existing one is kept.
const NEW_FILE_MODE: u32 = 0o666;

/// How the name of a CSV file in the making begins.
const IN_THE_MAKING: &str = ".coverbatch-csv-";

/// A file cannot be written.
#[derive(Debug, Error)]
#[error("cannot write `{}`", path.display())]
pub struct FileError {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

/// A CSV file in the making.
pub(super) struct Table {
    path: PathBuf,
    writer: csv::Writer<BufWriter<NamedTempFile>>,
}

impl Table {
    /// A file for `path`, beside it, in the dialect of the catalog.
    pub(super) fn new(path: &Path, dialect: Dialect) -> Result<Self, FileError> {
        // A link stays a link: what it leads to is replaced.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let error = |cause| FileError { path: path.clone(), cause };
        remove_abandoned(folder_of(&path));
        let mut file = BufWriter::new(temporary(&path).map_err(error)?);
        if dialect.bom {
            file.write_all(b"\xef\xbb\xbf").map_err(error)?;
        }
        let terminator = if dialect.crlf { Terminator::CRLF } else { Terminator::Any(b'\n') };
        let writer = WriterBuilder::new()
            .delimiter(dialect.delimiter.byte())
            .terminator(terminator)
            .flexible(true)
            .from_writer(file);
        Ok(Self { path, writer })
    }

    /// Adds a row.
    pub(super) fn write<'a>(&mut self, fields: impl Iterator<Item = &'a [u8]>) -> Result<(), FileError> {
        self.writer.write_record(fields).map_err(|error| FileError { path: self.path.clone(), cause: error.into() })
    }

    /// Puts the file into its place. Durable when this returns.
    pub(super) fn replace(self) -> Result<(), FileError> {
        let Self { path, writer } = self;
        replace(writer, &path).map_err(|cause| FileError { path, cause })
    }
}

fn replace(writer: csv::Writer<BufWriter<NamedTempFile>>, path: &Path) -> io::Result<()> {
    let file = writer.into_inner().map_err(|error| io::Error::from(error.error().kind()))?;
    put(file.into_inner().map_err(io::IntoInnerError::into_error)?, path)
}

/// Puts a finished file into its place.
fn put(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder_of(path))?.sync_all()
}

/// Replaces the file at `path` by one that holds `content`. Durable when this returns.
///
/// # Errors
/// [`FileError`]; the file is as it was then.
pub fn replace_whole(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let written = temporary(&real).and_then(|mut file| {
        file.write_all(content)?;
        put(file, &real)
    });
    written.map_err(|cause| FileError { path: path.to_owned(), cause })
}

/// An empty file in the folder of `path`.
fn temporary(path: &Path) -> io::Result<NamedTempFile> {
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
    loop {
        let file = tempfile::Builder::new()
            .prefix(IN_THE_MAKING)
            .permissions(Permissions::from_mode(mode & 0o777))
            .tempfile_in(folder)?;
        // Locked while it is written; before that another process may have taken it for abandoned. Where files cannot
        // be locked, none is.
        let _ = file.as_file().lock();
        if file.path().exists() {
            return Ok(file);
        }
    }
}

/// Removes what killed processes have left in the folder: files in the making that nobody holds a lock on.
///
/// A failure is of no account: such a file is only in the way of tidiness.
fn remove_abandoned(folder: &Path) {
    let is_ours = |name: &OsStr| name.as_bytes().starts_with(IN_THE_MAKING.as_bytes());
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

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes sure that `path` can be replaced, without touching it.
///
/// # Errors
/// [`FileError`] if its folder cannot be written to.
pub fn check_writable(path: &Path) -> Result<(), FileError> {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    temporary(&real).map(drop).map_err(|cause| FileError { path: path.to_owned(), cause })
}
