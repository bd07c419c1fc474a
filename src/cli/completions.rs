//! `coverbatch completions`.

use std::io;

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use crate::error::{Error, Exit};

/// Print completions for a shell.
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch completions bash > /etc/bash_completion.d/coverbatch")]
pub(super) struct CompletionsArgs {
    /// Which shell.
    shell: Shell,
}

#[expect(clippy::unnecessary_wraps, reason = "the same shape as every command")]
pub(super) fn run(args: &CompletionsArgs, command: &mut Command) -> Result<Exit, Error> {
    generate(args.shell, command, "coverbatch", &mut io::stdout());
    Ok(Exit::Success)
}
