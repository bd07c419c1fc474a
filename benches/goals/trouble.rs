//! Why something could not be measured. A missed bound is no trouble.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why something could not be measured.
#[derive(Debug, Error)]
pub(crate) enum Trouble {
    /// Tools are not installed.
    #[error("these tools are missing:\n{0}")]
    Missing(String),
    /// A file or folder cannot be used.
    #[error("cannot use `{0}`")]
    File(PathBuf, #[source] io::Error),
    /// A port of this machine cannot be used.
    #[error("cannot listen on a port of 127.0.0.1")]
    Port(#[from] io::Error),
    /// A command did not do what it was called for.
    #[error("`{command}` failed: {said}")]
    Command {
        /// Its first words.
        command: String,
        /// How it ended and what it said.
        said: String,
    },
}

impl Trouble {
    /// An error of this file or folder.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |error| Self::File(path, error)
    }
}
