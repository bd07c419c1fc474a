//! The options of `coverbatch run`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

use crate::api::{BadCallback, CallbackUrl};
use crate::cli::account::LedgerArgs;
use crate::cli::cover_args::{RequestArgs, WaitArgs};
use crate::cli::guard::Guard;
use crate::cli::options::{CatalogArgs, LabelArgs, OutputArgs};
use crate::cli::outcome::TellArgs;
use crate::cli::output::LogArgs;
use crate::cli::service::{KeyArgs, callback_secret};
use crate::cli::settings::{Origin, Settings};
use crate::clock::UnixMillis;
use crate::domain::{Credits, Rate};
use crate::error::Error;
use crate::policy::{Budget, InDoubt, MaxFailures, Retry, RowPolicy};
use crate::results::Goal;
use crate::runner::SubmitConfig;
use crate::secret::masked_url;

use super::deadline::Deadline;
use super::rows::RowArgs;

/// Send what is not settled, and write the results CSV
#[derive(Debug, Args)]
#[command(
    // The last one counts, so that the commands of a digest can add an option that is there already.
    args_override_self = true,
    before_help = "Example: coverbatch run catalog.csv --no-callback --api-key-file /etc/coverbatch/key",
    after_help = "Every option can also be set as COVERBATCH_<NAME>, such as COVERBATCH_RATE, and in the file of --config;\n\
                  flags win over variables, and those over the file."
)]
pub(in crate::cli) struct RunArgs {
    #[command(flatten)]
    pub(super) catalog: CatalogArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) ledger: LedgerArgs,
    #[command(flatten)]
    callback: CallbackArgs,
    #[command(flatten)]
    pub(super) key: KeyArgs,
    #[command(flatten)]
    pub(super) pace: PaceArgs,
    #[command(flatten)]
    pub(super) request: RequestArgs,
    #[command(flatten)]
    pub(super) rows: RowArgs,
    #[command(flatten)]
    pub(super) rerun: RerunArgs,
    #[command(flatten)]
    covers: CoverArgs,
    #[command(flatten)]
    pub(super) wait: WaitArgs,
    #[command(flatten)]
    pub(super) dry: DryArgs,
    #[command(flatten)]
    pub(super) label: LabelArgs,
    #[command(flatten)]
    pub(super) tell: TellArgs,
    #[command(flatten)]
    pub(super) log: LogArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub(super) struct CallbackArgs {
    /// Address that the service calls when a cover is done; `{task_id}` and `{token}` are filled in
    #[arg(long, value_name = "URL", env = "COVERBATCH_CALLBACK_URL", hide_env = true)]
    callback_url: Option<String>,

    /// Give the service an address that reaches nobody; covers are then found by --wait or `follow`
    #[arg(long, env = "COVERBATCH_NO_CALLBACK", hide_env = true, value_parser = FalseyValueParser::new())]
    no_callback: bool,

    /// File whose first line is the secret behind `{token}` [default:
    /// `$COVERBATCH_CALLBACK_SECRET`]
    #[arg(long, value_name = "PATH", env = "COVERBATCH_CALLBACK_SECRET_FILE", hide_env = true)]
    callback_secret_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Pace")]
pub(super) struct PaceArgs {
    /// At most N submissions in any window of PERIOD
    #[arg(long, value_name = "N/PERIOD", default_value = "20/10s", env = "COVERBATCH_RATE", hide_env = true)]
    pub(super) rate: Rate,

    /// Spend at most N credits, as the balance tells, which is read at the start, now and then, and at the end. The first
    /// cover shows what one costs; whatever else spends from the account meanwhile counts too [default: none]
    #[arg(long, value_name = "N", allow_negative_numbers = true, env = "COVERBATCH_MAX_CREDITS", hide_env = true)]
    max_credits: Option<Credits>,

    /// Send nothing new after this long, or from this time of day on by the clock of this machine [default: none]
    #[arg(long, value_name = "DUR|HH:MM", allow_hyphen_values = true, env = "COVERBATCH_DEADLINE", hide_env = true)]
    deadline: Option<Deadline>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Reruns and failures")]
pub(super) struct RerunArgs {
    /// Which earlier failures to send again
    #[arg(long, value_enum, default_value_t, env = "COVERBATCH_RETRY", hide_env = true)]
    retry: RetryName,

    /// What to do with rows that were sent and whose answer was lost [default: resend; hold with --kie-api jobs]
    #[arg(long, value_enum, env = "COVERBATCH_IN_DOUBT", hide_env = true)]
    in_doubt: Option<InDoubtName>,

    /// Stop when N rows have failed, or P percent of at least 100 rows
    #[arg(long, value_name = "N|P%", default_value = "50%", value_parser = max_failures, env = "COVERBATCH_MAX_FAILURES", hide_env = true)]
    max_failures: MaxFailures,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum RetryName {
    /// Given up, or rejected in fewer than 3 runs
    #[default]
    Retryable,
    /// All of them
    All,
    /// None of them
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InDoubtName {
    /// Send them again once all others are done
    Resend,
    /// Leave them to a person
    Hold,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Covers")]
struct CoverArgs {
    /// Submit only music that is finished: its record is read first
    #[arg(long, env = "COVERBATCH_CHECK_MUSIC", hide_env = true, value_parser = FalseyValueParser::new())]
    check_music: bool,

    /// Wait for accepted covers until they are finished; --download implies it
    #[arg(long, env = "COVERBATCH_WAIT", hide_env = true, value_parser = FalseyValueParser::new())]
    wait: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct DryArgs {
    /// Check everything and print the plan; send and write nothing
    #[arg(short = 'n', long, env = "COVERBATCH_DRY_RUN", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(super) dry_run: bool,
}

impl RunArgs {
    /// The paths of the run.
    pub(super) fn guard(&self) -> Guard {
        let guard = self.output.guarded(self.catalog.guard(&self.ledger), &self.catalog, &self.ledger);
        let guard = self.wait.guarded(self.tell.guarded(self.key.guarded(guard)));
        guard.reads("the file of the callback secret", self.callback.callback_secret_file.as_deref())
    }

    /// Refuses two readers of standard input.
    pub(super) fn check_input(&self) -> Result<(), Error> {
        if !self.catalog.is_stdin() || !self.rows.reads_list() {
            return Ok(());
        }
        Err(Error::usage("the catalog and the list of --only both come from standard input", "give one of them a file"))
    }

    /// Refuses --sandbox together with --api-url. A flag wins over the environment and the file, but not over the stand-in:
    /// whoever asks for that there does not want to send anything.
    pub(super) fn check_sandbox(&self, settings: &Settings) -> Result<(), Error> {
        let is_chosen = settings.origin("sandbox") > settings.origin("api-url");
        if !self.ledger.sandbox || self.ledger.account.api_url.is_none() || is_chosen {
            return Ok(());
        }
        Err(Error::usage("--sandbox and --api-url exclude each other", "give one of them"))
    }

    /// What becomes of rows in doubt.
    pub(super) fn in_doubt(&self) -> Result<InDoubt, Error> {
        Ok(match self.rerun.in_doubt {
            Some(InDoubtName::Resend) => InDoubt::Resend,
            Some(InDoubtName::Hold) => InDoubt::Hold,
            None => InDoubt::usual(self.ledger.account.route()?),
        })
    }

    /// After how long a command that began then sends nothing new.
    pub(super) fn deadline(&self, began: UnixMillis) -> Option<Duration> {
        self.pace.deadline.map(|deadline| deadline.since(began))
    }

    /// What submissions are set to.
    pub(super) fn config(&self, in_doubt: InDoubt) -> SubmitConfig {
        let rows = RowPolicy { max_attempts: self.request.max_attempts, in_doubt };
        SubmitConfig { rows, max_failures: self.rerun.max_failures }
    }

    /// Refuses a --wait-timeout on the command line of a run that does not wait.
    pub(super) fn check_waits(&self, settings: &Settings) -> Result<(), Error> {
        if self.waits() || settings.origin("wait-timeout") != Origin::Flag {
            return Ok(());
        }
        Err(Error::usage("--wait-timeout has no effect without --wait", "give --wait or --download DIR too"))
    }

    /// Whether covers are followed once they are accepted.
    pub(super) const fn waits(&self) -> bool {
        self.covers.wait || self.wait.read.download.is_some()
    }

    /// What may be spent, if there is a limit.
    pub(super) fn budget(&self) -> Option<Budget> {
        self.pace.max_credits.map(Budget::new)
    }

    /// Whether music is checked first.
    pub(super) const fn checks_music(&self) -> bool {
        self.covers.check_music
    }

    /// What is wanted of accepted rows.
    pub(super) const fn goal(&self) -> Goal {
        if self.waits() { self.wait.goal() } else { Goal::Accepted }
    }

    /// The address to call. What wins over an option also wins over its opposite.
    pub(super) fn callback(&self, settings: &Settings) -> Result<CallbackUrl, Error> {
        let (url_origin, inert_origin) = (settings.origin("callback-url"), settings.origin("no-callback"));
        let secret = || callback_secret(self.callback.callback_secret_file.as_deref());
        match (&self.callback.callback_url, self.callback.no_callback) {
            (Some(_), true) if url_origin == inert_origin => {
                Err(Error::usage("--callback-url and --no-callback exclude each other", "give one of them"))
            }
            (Some(url), inert) if !inert || url_origin > inert_origin => {
                let secret = if url.contains("{token}") { secret()? } else { None };
                CallbackUrl::with_secret(url, secret).map_err(|bad| {
                    let hint = match &bad {
                        BadCallback::NoSecret => {
                            "put it into COVERBATCH_CALLBACK_SECRET, the same as for `coverbatch receive`"
                        }
                        BadCallback::Placeholder(_) => "write a brace that is meant as such as %7B or %7D",
                        BadCallback::NotAUrl(_) | BadCallback::Scheme(_) => "give an absolute http or https URL",
                    };
                    Error::usage(format!("--callback-url `{}` cannot be called: {bad}", masked_url(url)), hint)
                })
            }
            (_, true) => Ok(CallbackUrl::inert()),
            (_, false) if self.ledger.sandbox => Ok(CallbackUrl::inert()),
            (_, false) => Err(Error::usage(
                "the service demands a callback address",
                "give --callback-url URL, or --no-callback to read the outcome later",
            )),
        }
    }
}

impl RerunArgs {
    pub(super) const fn retry(&self) -> Retry {
        match self.retry {
            RetryName::Retryable => Retry::Retryable,
            RetryName::All => Retry::All,
            RetryName::None => Retry::Nothing,
        }
    }
}

/// `10` or `50%`.
fn max_failures(text: &str) -> Result<MaxFailures, String> {
    let wrong = || "expected a number of rows such as `10`, or a percentage from 1% to 100%".to_owned();
    match text.strip_suffix('%') {
        Some(percent) => match percent.trim().parse() {
            Ok(percent @ 1..=100) => Ok(MaxFailures::Percent(percent)),
            Ok(_) | Err(_) => Err(wrong()),
        },
        None => text.parse().map(MaxFailures::Rows).map_err(|_| wrong()),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn failures_are_limited_by_rows_or_by_percent() {
        let rows = |n| Ok(MaxFailures::Rows(NonZeroU32::new(n).unwrap()));
        assert_eq!(max_failures("10"), rows(10));
        assert_eq!(max_failures("100%"), Ok(MaxFailures::Percent(100)));
        for wrong in ["", "0", "-1", "0%", "101%", "5.5%", "%", "ten"] {
            assert!(max_failures(wrong).is_err(), "{wrong}");
        }
    }
}
