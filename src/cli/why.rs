//! `coverbatch why`: everything the ledger knows of one music task.

use std::fmt::Write as _;

use clap::Args;

use crate::cli::account::{AccountArgs, open_to_read};
use crate::cli::output::print;
use crate::domain::{Brief, ImageFile, Images, MusicTaskId, Route};
use crate::error::{Error, Exit};
use crate::ledger::{AnyLedger, Artwork, PollStats, ReadLedger as _, Record, Submission};

/// Candidates that are named for the beginning of an id.
const SHOWN: u32 = 5;

/// Print everything the ledger knows of one music task, also while a run is going on
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch why 73d6128b3523a0079df10da9471017c8")]
pub(super) struct WhyArgs {
    /// The music task id, or its beginning if no other begins so
    #[arg(value_name = "ID")]
    id: String,

    #[command(flatten)]
    account: AccountArgs,
}

pub(super) async fn run(args: WhyArgs) -> Result<Exit, Error> {
    let task = MusicTaskId::new(&args.id)
        .map_err(|bad| Error::usage(format!("`{}` cannot be a music task id: {bad}", args.id), ""))?;
    let place = args.account.ledger_to_ask()?;
    let ledger = open_to_read(&place).await?;
    let found = find(&ledger, task.clone()).await?;
    let unknown = || {
        let problem = format!("the ledger `{place}` knows nothing of `{task}`");
        Error::usage(problem, "it was never sent with this ledger")
    };
    let (task, record) = found.ok_or_else(unknown)?;
    let history = ledger.history(&task).await?;
    let poll_stats = ledger.poll_stats(&task).await?;
    print(&told(&task, &record, poll_stats, &history))?;
    Ok(Exit::Success)
}

/// The music task of this id, else the only one whose id begins so.
async fn find(ledger: &AnyLedger, start: MusicTaskId) -> Result<Option<(MusicTaskId, Record)>, Error> {
    let candidates = ledger.beginning_with(&start, SHOWN + 1).await?;
    let task = match candidates.as_slice() {
        [] => return Ok(None),
        // The shortest comes first.
        [only] => only.clone(),
        [exact, ..] if *exact == start => start,
        several => return Err(ambiguous(&start, several)),
    };
    let record = ledger.look_up(vec![task.clone()]).await?.pop().flatten();
    Ok(record.map(|record| (task, record)))
}

fn ambiguous(start: &MusicTaskId, several: &[MusicTaskId]) -> Error {
    let shown = SHOWN as usize;
    let names: Vec<&str> = several.iter().take(shown).map(MusicTaskId::as_str).collect();
    let more = if several.len() > shown { " …" } else { "" };
    let problem = format!("several music tasks begin with `{start}`: {}{more}", names.join(", "));
    Error::usage(problem, "give more of the one that is meant")
}

/// What is known of the images, a line each.
fn write_artwork(text: &mut String, art: &Artwork) {
    for url in art.images.iter().flat_map(Images::urls) {
        let _ = writeln!(text, "image        {url}");
    }
    for ImageFile { name, size } in art.files.iter().flatten() {
        let size = size.map(|size| format!(", {} x {} pixels, {} bytes", size.width, size.height, size.bytes));
        let _ = writeln!(text, "file         {name}{}", size.unwrap_or_default());
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
        let job = match record.route {
            Route::Legacy => "",
            Route::Jobs => " (a job of kie.ai)",
        };
        let _ = writeln!(text, "cover task   {cover}{job}");
    }
    if let Some(credits) = record.credits {
        let _ = writeln!(text, "credits      {credits}");
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
