//! Standard output, which is data, and standard error, which is talk.

use std::io::{self, Write as _};

use crate::error::Error;

/// Tells a person something. That standard error is closed is no reason to fail.
pub(super) fn eprint(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Prints what was asked for. That its reader has gone away, as `head` does, is no reason to fail.
pub(super) fn print(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => Err(Error::Stdout(cause)),
        Ok(()) | Err(_) => Ok(()),
    }
}
