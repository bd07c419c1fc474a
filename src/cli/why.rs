//! `coverbatch why`: everything the ledger knows of one music task.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::account::{AccountArgs, open_to_read};
use crate::cli::ids::find;
use crate::cli::output::print;
use crate::domain::{Brief, CoverTaskId, ImageFile, Images, MusicTaskId, Route, RowState};
use crate::error::{Error, Exit};
use crate::ledger::{Artwork, DecideLedger as _, PastDecision, PollStats, ReadLedger as _, Record, Submission};

/// Print everything the ledger knows of one music task, also while a run is going on
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch why 73d6128b3523a0079df10da9471017c8")]
pub(super) struct WhyArgs {
    /// The music task id, or its beginning if no other begins so
    #[arg(value_name = "ID")]
    id: String,

    #[command(flatten)]
    account: AccountArgs,

    /// One JSON document on standard output
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: WhyArgs) -> Result<Exit, Error> {
    let task = MusicTaskId::new(&args.id)
        .map_err(|bad| Error::usage(format!("`{}` cannot be a music task id: {bad}", args.id), ""))?;
    let place = args.account.ledger_to_ask()?;
    let ledger = open_to_read(&place).await?;
    let unknown = || {
        let problem = format!("the ledger `{place}` knows nothing of `{task}`");
        Error::usage(problem, "it was never sent with this ledger")
    };
    let task = find(&ledger, &task).await?.ok_or_else(unknown)?;
    let record = ledger.look_up(vec![task.clone()]).await?.pop().flatten().ok_or_else(unknown)?;
    let known = Known {
        poll_stats: ledger.poll_stats(&task).await?,
        history: ledger.history(&task).await?,
        decisions: ledger.decisions(&task).await?,
        task,
        record,
    };
    let tell = if args.json { json } else { told };
    print(&tell(&known))?;
    Ok(Exit::Success)
}

/// Everything that is known of a music task.
struct Known {
    task: MusicTaskId,
    record: Record,
    poll_stats: Option<PollStats>,
    history: Vec<Submission>,
    decisions: Vec<PastDecision>,
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

fn told(Known { task, record, poll_stats, history, decisions }: &Known) -> String {
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
        let _ = writeln!(text, "polls        {}{}", poll_stats.polls, due(*poll_stats));
    }
    for decision in decisions {
        let _ = writeln!(text, "decided      {}", decided(decision));
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

/// `2026-11-22T02:10:00.000Z forget on night-1, was submitted with the cover 8f1c: made again; taken back 2026-…`.
fn decided(decision: &PastDecision) -> String {
    let PastDecision { kind, reason, host, at, before, cover, undone_at } = decision;
    let mut text = format!("{at} {kind} on {host}, was {}", before.map_or("unknown", |state| state.status().word()));
    if let Some(cover) = cover {
        let _ = write!(text, " with the cover {cover}");
    }
    if !reason.is_empty() {
        let _ = write!(text, ": {reason}");
    }
    if let Some(undone) = undone_at {
        let _ = write!(text, "; taken back {undone}");
    }
    text
}

/// The same as one JSON document.
fn json(Known { task, record, poll_stats, history, decisions }: &Known) -> String {
    let Artwork { images, completed_at, files, fallback, is_forgotten } = &record.artwork;
    let document = json!({
        "music_task_id": task.as_str(),
        "status": record.state.status(),
        "reason": record.reason,
        "http_status": record.answer.http_status,
        "code": record.answer.code,
        "message": record.answer.message,
        "cover_task_id": record.cover.as_ref().map(CoverTaskId::as_str),
        "route": record.route.word(),
        "credits": record.credits,
        "submissions": record.submissions,
        "rejected_in_runs": record.failed_runs,
        "first_sent_at": record.first_sent_at,
        "finished_at": record.finished_at,
        "images": images.as_ref().map(Images::urls),
        "completed_at": completed_at,
        "expires_at": record.artwork.expires_at(),
        "files": files.iter().flatten().map(file_json).collect::<Vec<Value>>(),
        "default_cover": fallback,
        "is_forgotten": is_forgotten,
        "polls": poll_stats.map(|stats| stats.polls),
        "next_poll_at": poll_stats.and_then(|stats| stats.due_at),
        "decisions": decisions.iter().map(decision_json).collect::<Vec<Value>>(),
        "history": history.iter().map(submission_json).collect::<Vec<Value>>(),
    });
    format!("{document:#}\n")
}

fn file_json(ImageFile { name, size }: &ImageFile) -> Value {
    json!({
        "name": name,
        "width": size.map(|size| size.width),
        "height": size.map(|size| size.height),
        "bytes": size.map(|size| size.bytes),
    })
}

fn decision_json(decision: &PastDecision) -> Value {
    let PastDecision { kind, reason, host, at, before, cover, undone_at } = decision;
    json!({
        "decision": kind, "reason": reason, "host": host, "at": at, "undone_at": undone_at,
        "status_before": before.map(RowState::status), "cover_task_id_before": cover.as_ref().map(CoverTaskId::as_str),
    })
}

fn submission_json(submission: &Submission) -> Value {
    let Submission { run, sent_at, answered_at, reason, answer } = submission;
    json!({
        "run": run.0, "sent_at": sent_at, "answered_at": answered_at, "reason": reason,
        "http_status": answer.http_status, "code": answer.code, "message": answer.message,
    })
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
