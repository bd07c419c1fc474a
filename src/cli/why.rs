//! `coverbatch why`: everything the ledger knows of one music task.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use clap::Args;

use crate::cli::output::print;
use crate::domain::{Brief, Images, MusicTaskId};
use crate::error::{Error, Exit};
use crate::ledger::{Artwork, PollStats, ReadLedger as _, Record, SqliteLedger, Submission};

/// How a ledger is named if nobody says otherwise.
const LEDGER_SUFFIX: &str = ".coverbatch.db";

/// How the ledger of a stand-in service is named.
const SANDBOX_SUFFIX: &str = ".sandbox.db";

/// Print everything the ledger knows of one music task, also while a run is going on
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch why 73d6128b3523a0079df10da9471017c8 --ledger catalog.coverbatch.db")]
pub(super) struct WhyArgs {
    /// The music task id
    #[arg(value_name = "ID")]
    id: String,

    /// The ledger [default: the only *.coverbatch.db in this folder]
    #[arg(long, value_name = "PATH", env = "COVERBATCH_LEDGER", hide_env = true)]
    ledger: Option<PathBuf>,
}

pub(super) async fn run(args: WhyArgs) -> Result<Exit, Error> {
    let task = MusicTaskId::new(&args.id)
        .map_err(|bad| Error::usage(format!("`{}` cannot be a music task id: {bad}", args.id), ""))?;
    let path = args.ledger.map_or_else(only_ledger, Ok)?;
    let missing = || Error::usage(format!("there is no ledger `{}`", path.display()), "name it with --ledger");
    let ledger = SqliteLedger::open_to_read(&path, None)?.ok_or_else(missing)?;
    let Some(record) = ledger.look_up(vec![task.clone()]).await?.pop().flatten() else {
        let problem = format!("the ledger `{}` knows nothing of `{task}`", path.display());
        return Err(Error::usage(problem, "it was never sent with this ledger"));
    };
    let history = ledger.history(&task).await?;
    let poll_stats = ledger.poll_stats(&task).await?;
    print(&told(&task, &record, poll_stats, &history))?;
    Ok(Exit::Success)
}

/// The ledger in this folder, if there is one and only one.
fn only_ledger() -> Result<PathBuf, Error> {
    let entries = fs::read_dir(".").map_err(|cause| Error::System { what: "list this folder", cause })?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.retain(|name| name.ends_with(LEDGER_SUFFIX) || name.ends_with(SANDBOX_SUFFIX));
    names.sort();
    let mut real = names.iter().filter(|name| name.ends_with(LEDGER_SUFFIX));
    let problem = match (real.next(), real.next()) {
        (Some(only), None) => return Ok(PathBuf::from(only)),
        (Some(_), Some(_)) => "there are several ledgers in this folder",
        (None, _) => "there is no ledger in this folder",
    };
    let found = if names.is_empty() { String::new() } else { format!("; there are `{}`", names.join("`, `")) };
    Err(Error::usage(problem, format!("name one with --ledger{found}")))
}

/// What is known of the images, a line each.
fn write_artwork(text: &mut String, art: &Artwork) {
    for url in art.images.iter().flat_map(Images::urls) {
        let _ = writeln!(text, "image        {url}");
    }
    for file in art.files.iter().flatten() {
        let _ = writeln!(text, "file         {file}");
    }
    if let Some(fallback) = &art.fallback {
        let _ = writeln!(text, "stand-in     {fallback}");
    }
    if let Some(expires) = art.expires_at() {
        let _ = writeln!(text, "expires      {expires}");
    }
}

/// `, the next is due 2026-11-22T02:10:00.000Z`.
fn due(poll_stats: PollStats) -> String {
    poll_stats.due_at.map(|at| format!(", the next is due {at}")).unwrap_or_default()
}

fn told(task: &MusicTaskId, record: &Record, poll_stats: Option<PollStats>, history: &[Submission]) -> String {
    let mut text = format!("music task   {task}\nstatus       {}", record.state.status());
    match record.reason {
        Some(reason) => drop(writeln!(text, " ({reason})")),
        None => text.push('\n'),
    }
    if let Some(cover) = &record.cover {
        let _ = writeln!(text, "cover task   {cover}");
    }
    let _ = writeln!(text, "submissions  {}", record.submissions);
    if record.failed_runs > 0 {
        let _ = writeln!(text, "rejected in  {} of at most {} runs", record.failed_runs, crate::policy::REJECTED_RUNS);
    }
    write_artwork(&mut text, &record.artwork);
    if let Some(poll_stats) = poll_stats {
        let _ = writeln!(text, "polls        {}{}", poll_stats.polls, due(poll_stats));
    }
    text.push('\n');
    for submission in history {
        let _ = writeln!(text, "{}", line(submission));
    }
    let elsewhere = u64::from(record.submissions).saturating_sub(u64::try_from(history.len()).unwrap_or(u64::MAX));
    if elsewhere > 0 {
        let _ = writeln!(text, "and {elsewhere} that an earlier results CSV tells of");
    }
    text
}

/// `2026-11-22T02:10:00.000Z  run 1  server_error, HTTP 200, code 500, after 312ms: Unexpected server error`.
fn line(submission: &Submission) -> String {
    let Submission { run, sent_at, answered_at, reason, answer } = submission;
    let mut text = format!("{sent_at}  run {run}  {}", reason.map_or("no answer yet", crate::domain::Reason::word));
    if let Some(status) = answer.http_status {
        let _ = write!(text, ", HTTP {status}");
    }
    if let Some(code) = answer.code {
        let _ = write!(text, ", code {code}");
    }
    match answered_at {
        Some(at) => drop(write!(text, ", after {}", Brief(sent_at.until(*at)))),
        None => text.push_str(", no answer recorded"),
    }
    if !answer.message.is_empty() {
        let _ = write!(text, ": {}", answer.message);
    }
    text
}
