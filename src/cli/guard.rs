//! One guard over every path that a command writes: none may be an input, another output, or what belongs to the ledger,
//! by whatever name or link.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::files::{folder_of, is_same, is_stdout, real};
use crate::images::is_image_name;
use crate::ledger::LedgerPlace;

/// The files that stand beside a ledger, by what their names add to its name.
const COMPANIONS: [&str; 4] = ["-wal", "-shm", "-journal", ".runs"];

/// The paths of one command.
#[derive(Debug, Default)]
pub(super) struct Guard {
    paths: Vec<GuardedPath>,
    /// The folder that images are saved into, and the option that names it.
    images: Option<(&'static str, PathBuf)>,
}

/// A path, and what it is used for.
#[derive(Debug)]
struct GuardedPath {
    what: &'static str,
    path: PathBuf,
    /// The option to name another path with, if this one is written.
    written_by: Option<&'static str>,
}

impl Guard {
    /// A path that is read.
    pub(super) fn reads(mut self, what: &'static str, path: Option<impl Into<PathBuf>>) -> Self {
        self.paths.extend(path.map(|path| GuardedPath { what, path: path.into(), written_by: None }));
        self
    }

    /// A path that is written, as `option` says.
    pub(super) fn writes(mut self, option: &'static str, what: &'static str, path: Option<impl Into<PathBuf>>) -> Self {
        self.paths.extend(path.map(|path| GuardedPath { what, path: path.into(), written_by: Some(option) }));
        self
    }

    /// A ledger, with its companions, if it is a file.
    pub(super) fn ledger(mut self, ledger: &LedgerPlace) -> Self {
        let Some(ledger) = ledger.file() else { return self };
        for companion in COMPANIONS {
            let mut path = real(ledger).into_os_string();
            path.push(companion);
            self = self.writes("--ledger", "a file that belongs to the ledger", Some(path));
        }
        self.writes("--ledger", "the ledger", Some(ledger))
    }

    /// A folder that images are saved into or read from.
    pub(super) fn images(mut self, option: &'static str, folder: Option<&Path>) -> Self {
        self.images = folder.map(|folder| (option, folder.to_owned()));
        self
    }

    /// Refuses what would be written over something that is in use.
    pub(super) fn check(&self) -> Result<(), Error> {
        // The ledger last: whoever names it for something else means the other option to be wrong.
        let (ledger, others): (Vec<_>, Vec<_>) =
            self.paths.iter().partition(|path| path.written_by == Some("--ledger"));
        others.into_iter().chain(ledger).try_for_each(|path| self.check_path(path))?;
        let Some((option, folder)) = &self.images else { return Ok(()) };
        if is_stdout(folder) {
            return Err(no_file(option));
        }
        match self.paths.iter().find(|guarded| is_same(&guarded.path, folder) || is_image(&guarded.path, folder)) {
            Some(guarded) => Err(replaced(option, guarded)),
            None => Ok(()),
        }
    }

    /// Whether the path of this option is one that may be written, whatever is wrong with the others.
    pub(super) fn allows(&self, option: &str) -> bool {
        self.paths
            .iter()
            .filter(|guarded| guarded.written_by == Some(option))
            .all(|guarded| self.check_path(guarded).is_ok())
    }

    fn check_path(&self, guarded: &GuardedPath) -> Result<(), Error> {
        let Some(option) = guarded.written_by else { return Ok(()) };
        if option == "--ledger" && is_stdout(&guarded.path) {
            return Err(no_file(option));
        }
        let mut others = self.paths.iter().filter(|other| !std::ptr::eq(*other, guarded));
        let Some(other) = others.find(|other| is_same(&other.path, &guarded.path)) else { return Ok(()) };
        match other.written_by {
            Some(second) if is_stdout(&guarded.path) => Err(Error::usage(
                format!("{option} and {second} both write to standard output"),
                "give one of them a file",
            )),
            Some(_) | None => Err(replaced(option, other)),
        }
    }
}

fn no_file(option: &str) -> Error {
    Error::usage(format!("{option} cannot be standard output"), format!("name another path with {option}"))
}

fn replaced(option: &str, guarded: &GuardedPath) -> Error {
    let GuardedPath { what, path, .. } = guarded;
    Error::usage(
        format!("{option} would replace {what} `{}`", path.display()),
        format!("name another path with {option}"),
    )
}

/// Whether a path is in `folder` and named like an image that is saved there.
fn is_image(path: &Path, folder: &Path) -> bool {
    let path = real(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    is_image_name(&name) && is_same(folder_of(&path), folder)
}
