//! The real program from end to end: its own process, its own folder, and nothing of this machine's environment.
//!
//! It talks to its own stand-in, to a stand-in in another process, or to a scripted server where an exact answer
//! matters. Everything is read as its user reads it: exit code, standard output, standard error, files.

#![expect(clippy::unwrap_used, reason = "a test ends where it is surprised")]
#![expect(clippy::print_stdout, reason = "what could not be tested, and figures")]

mod story;

mod account;
mod as_documented;
mod catalogs;
mod check;
mod commands;
mod config;
mod covers;
mod crashes;
mod credits;
mod cron;
mod deciding;
mod digest;
mod exits;
mod hostile;
mod key;
mod mails;
mod monitors;
mod options;
mod outputs;
mod rows;
mod samples;
mod secure;
mod signals;
mod terminal;
mod wording;
