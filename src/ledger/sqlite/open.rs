//! Opening a ledger, and the settings that the promises rest on.
//!
//! Whoever reads beside a writer takes part in its index of the log. Where there is none, nobody writes, and making one
//! could lock the next run out: a ledger without a log is read as it stands, one with a log is read from a copy.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;
use std::{fs, io};

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags};

use super::failure::Failure;
use super::files::{INDEX, JOURNAL, LOG, Watch, companion, one_name};
use super::{check, schema};
use crate::ledger::error::WrongLedger;

/// Pages in the write-ahead log before they are copied into the database: 64 MB. A page that many transactions have
/// changed by then is copied once.
const CHECKPOINT_PAGES: i32 = 16_000;

/// Between two attempts to switch to the write-ahead log, for which SQLite itself does not wait.
const SWITCH_PAUSE: Duration = Duration::from_millis(10);

/// Longest wait for another process that is writing.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What is done where no ledger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing<'a> {
    /// One is made for this API.
    Make(&'a str),
    /// Nothing; one that is there has to be for this API, if one is given.
    Leave(Option<&'a str>),
}

impl<'a> Missing<'a> {
    /// The API that a ledger has to be for.
    const fn api_url(self) -> Option<&'a str> {
        match self {
            Self::Make(api_url) => Some(api_url),
            Self::Leave(api_url) => api_url,
        }
    }
}

/// A ledger that is open.
pub(super) struct Opened {
    pub(super) connection: Connection,
    /// Its files must keep their names.
    pub(super) watch: Watch,
    /// The one name that it has.
    pub(super) name: PathBuf,
    pub(super) is_new: bool,
}

/// Opens the ledger at `path`, or makes it; `None` if it is not there and is not to be made.
pub(super) fn open(path: &Path, missing: Missing<'_>) -> Result<Option<Opened>, Failure> {
    if matches!(missing, Missing::Leave(_)) && is_nothing(path) {
        return Ok(None);
    }
    let real = one_name(path)?;
    let mut connection = connect(&real, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    configure(&connection)?;
    // Looked at before anything is changed: a file of another program stays as it is.
    let is_new = schema::is_absent(&connection)?;
    if is_new {
        let Missing::Make(api_url) = missing else { return Ok(None) };
        switch_to_log(&connection)?;
        schema::create(&mut connection, api_url)?;
    }
    schema::check(&connection, missing.api_url())?;
    check::check(&connection)?;
    switch_to_log(&connection)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    touch(&connection)?;
    let watch = Watch::names([path.to_owned(), companion(&real, LOG), companion(&real, INDEX)]);
    Ok(Some(Opened { connection, watch, name: real, is_new }))
}

/// Whether nothing is there, or a file that a killed run has made and not filled, which says nothing of any row.
fn is_nothing(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(file) => file.len() == 0,
        // What else is wrong with it SQLite will say.
        Err(cause) => cause.kind() == io::ErrorKind::NotFound,
    }
}

/// Opens the ledger at `path` to read it, if it is there; nothing in it is changed.
pub(super) fn open_to_read(path: &Path, api_url: Option<&str>) -> Result<Option<(Connection, Watch)>, Failure> {
    if is_nothing(path) {
        return Ok(None);
    }
    let (connection, watch) = reader(&one_name(path)?)?;
    if schema::is_absent(&connection)? {
        return Ok(None);
    }
    schema::check(&connection, api_url)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(Some((connection, watch)))
}

/// An empty ledger in memory.
pub(super) fn in_memory(api_url: &str) -> Result<Connection, Failure> {
    let mut connection = Connection::open_in_memory()?;
    configure(&connection)?;
    schema::create(&mut connection, api_url)?;
    Ok(connection)
}

/// The settings of a connection that writes.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // The words of states are our own. Comparing each with the list in the schema would be two fifths of the work of a
    // row; the check is there for other hands.
    connection.pragma_update(None, "ignore_check_constraints", true)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// Lets commits go into a write-ahead log, as is kept in the file from then on.
fn switch_to_log(connection: &Connection) -> Result<(), Failure> {
    let mut waited = Duration::ZERO;
    loop {
        let mode = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0));
        match mode.map_err(Failure::from) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => return Err(WrongLedger::NoWriteAheadLog.into()),
            // Whoever opens a new ledger at the same moment switches too.
            Err(busy) if busy.is_busy() && waited < LONGEST_WAIT => {
                sleep(SWITCH_PAUSE);
                waited += SWITCH_PAUSE;
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// A connection to a database file that waits for others.
fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(LONGEST_WAIT)?;
    Ok(connection)
}

/// Reads a database: only then does SQLite open its files, and make those that it needs.
fn touch(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

/// A reader of the ledger at `path`, which has content, that needs no right to write and leaves nothing beside it.
fn reader(path: &Path) -> Result<(Connection, Watch), Failure> {
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

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::ledger::error::LedgerErrorKind;

    #[test]
    fn where_there_is_no_write_ahead_log_there_is_no_ledger() {
        let failure = switch_to_log(&Connection::open_in_memory().unwrap()).unwrap_err();
        assert_eq!(failure.at("open", Path::new("x.db")).kind, LedgerErrorKind::Unsuitable);
    }

    #[test]
    fn whoever_writes_while_the_log_is_switched_to_is_waited_for_but_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let [ours, theirs] = [(); 2].map(|()| Connection::open(folder.path().join("x.db")).unwrap());
        ours.busy_timeout(Duration::ZERO).unwrap();
        theirs.execute_batch("CREATE TABLE some (x); BEGIN IMMEDIATE").unwrap();
        assert!(switch_to_log(&ours).unwrap_err().is_busy());
        thread::scope(|threads| {
            threads.spawn(move || {
                sleep(10 * SWITCH_PAUSE);
                theirs.execute_batch("COMMIT").unwrap();
            });
            switch_to_log(&ours).unwrap();
        });
    }
}
