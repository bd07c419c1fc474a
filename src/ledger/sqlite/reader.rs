//! Opening a ledger to read it: without the right to write, and without leaving anything beside it.
//!
//! Whoever reads beside a writer takes part in its index of the log. Where there is none, nobody writes, and making one
//! could lock the next run out: a ledger without a log is read as it stands, one with a log is read from a copy.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags};

use super::connect::{connect, touch};
use super::failure::Failure;
use super::names::{INDEX, JOURNAL, LOG, companion};
use super::watch::Watch;

/// Opens the ledger at `path`, which has content, and reads it once.
pub(super) fn open(path: &Path) -> Result<(Connection, Watch), Failure> {
    let has = |end| fs::metadata(companion(path, end)).is_ok_and(|file| file.len() > 0);
    let (has_log, has_index) = (has(LOG), has(INDEX));
    if has_log && has_index {
        let opened = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(Failure::from).and_then(read_once);
        // Its log may have gone away meanwhile, or its index be another user's. What else is wrong is wrong with a copy too.
        if let Ok(connection) = opened {
            return Ok((connection, Watch::default()));
        }
    }
    if has_log || has(JOURNAL) { copy(path) } else { as_it_stands(path) }
}

/// A reader of a file that nobody writes to. SQLite takes no lock then, so it has to be looked at afterwards.
fn as_it_stands(path: &Path) -> Result<(Connection, Watch), Failure> {
    let unchanged = Watch::contents([path.to_owned()]);
    let name = format!("file:{}?immutable=1", percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Ok((read_once(connect(Path::new(&name), flags)?)?, unchanged))
}

/// A reader of a copy, whose names are gone as soon as it is open.
fn copy(path: &Path) -> Result<(Connection, Watch), Failure> {
    let files = ["", LOG, JOURNAL].map(|end| companion(path, end));
    let unchanged = Watch::contents(files.clone());
    let folder = tempfile::Builder::new().prefix(".coverbatch-ledger-").tempdir()?;
    let copied = folder.path().join("copy");
    for (file, end) in files.iter().zip(["", LOG, JOURNAL]).filter(|(file, _)| file.exists()) {
        fs::copy(file, companion(&copied, end))?;
    }
    unchanged.check()?;
    let connection = connect(&copied, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    Ok((read_once(connection)?, Watch::default()))
}

fn read_once(connection: Connection) -> Result<Connection, Failure> {
    touch(&connection)?;
    Ok(connection)
}
