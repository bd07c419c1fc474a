//! `coverbatch completions`.

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use crate::cli::output::print;
use crate::error::{Error, Exit};

/// Print completions for a shell.
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch completions bash > /etc/bash_completion.d/coverbatch")]
pub(super) struct CompletionsArgs {
    /// Which shell.
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, command: &mut Command) -> Result<Exit, Error> {
    let mut script = Vec::new();
    generate(args.shell, command, "coverbatch", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
