//! A file that cannot be written.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::place::is_stdout;

/// A file cannot be written.
#[derive(Debug, Error)]
#[error("cannot write {}", name(path))]
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

fn name(path: &Path) -> String {
    if is_stdout(path) { "to standard output".to_owned() } else { format!("`{}`", path.display()) }
}
