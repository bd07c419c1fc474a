//! `coverbatch man`: manual pages of all commands, made from what `--help` is made from.

use std::io;
use std::path::PathBuf;

use clap::builder::StyledStr;
use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::error::{Error, Exit};
use crate::files::{FileError, make_folder, replace_whole};

/// The mode of the folder, if it is made.
const OPEN: u32 = 0o755;

/// Write manual pages of all commands into a folder
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch man /usr/local/share/man/man1")]
pub(super) struct ManArgs {
    /// The folder, which is made if it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Writes the pages of `program`.
pub(super) fn run(args: &ManArgs, program: Command) -> Result<Exit, Error> {
    make_folder(&args.folder, OPEN).map_err(|cause| FileError::new(&args.folder, cause))?;
    let mut program = program.disable_help_subcommand(true);
    program.build();
    write(&program, args)?;
    Ok(Exit::Success)
}

/// Writes the page of a command and those of the commands within it.
fn write(command: &Command, args: &ManArgs) -> Result<(), FileError> {
    let usage = command.clone().render_usage().to_string();
    let brief = command.clone().override_usage(usage.trim_start_matches("Usage: ").to_owned());
    let man = Man::new(brief).source(concat!("coverbatch ", env!("CARGO_PKG_VERSION")));
    let path = args.folder.join(man.get_filename());
    let page = page(&man, command).map_err(|cause| FileError::new(&path, cause))?;
    replace_whole(&path, &page)?;
    command.get_subcommands().try_for_each(|command| write(command, args))
}

fn page(man: &Man, command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    section("NOTES", command.get_after_help()).to_writer(&mut page)?;
    section("EXAMPLE", command.get_before_help()).to_writer(&mut page)?;
    Ok(page)
}

/// What a help begins or ends with, its lines as they are.
fn section(name: &str, text: Option<&StyledStr>) -> Roff {
    let mut roff = Roff::new();
    let Some(text) = text.map(ToString::to_string) else { return roff };
    roff.control("SH", [name]).control("nf", []);
    for line in text.trim_start_matches("Example:").lines() {
        roff.text([roman(line.trim())]);
    }
    roff.control("fi", []);
    roff
}
