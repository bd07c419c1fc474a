//! How a catalog stands: its rows, why some have no cover, which these are, and the last runs over it.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::summary::RowCounts;
use crate::domain::{Brief, Rate, Reason, Status, day_and_time, plural};
use crate::ledger::PastRun;
use crate::ratelimit::expected_time;
use crate::results::{Cause, Remedy, RowName, Tally};

/// Runs that are told of.
pub const SHOWN_RUNS: u32 = 14;

/// How a catalog stands.
#[derive(Debug)]
pub struct CatalogStatus<'a> {
    /// Its rows, counted.
    pub tally: &'a Tally,
    /// The last runs over it, latest first.
    pub runs: &'a [PastRun],
    /// The rate of a rerun.
    pub rate: Rate,
    /// Where the ledger is.
    pub ledger: String,
}

impl CatalogStatus<'_> {
    /// For a person.
    #[must_use]
    pub fn text(&self) -> String {
        self.row_text() + &self.cause_text() + &self.run_text()
    }

    fn row_text(&self) -> String {
        let Self { tally, rate, ledger, .. } = self;
        let mut text = format!("rows                {}\n", tally.rows);
        for status in Status::ALL {
            let _ = writeln!(text, "  {status:<18}{}", tally.with(*status));
        }
        let _ = writeln!(text, "duplicates          {}", tally.duplicates);
        let takes = Brief(Duration::from_secs(self.rerun_takes().as_secs()));
        let sends = match tally.to_send {
            0 => "nothing".to_owned(),
            count => format!("{count}, which takes about {takes} at {rate}"),
        };
        let _ = writeln!(text, "a rerun             sends {sends}");
        let _ = writeln!(text, "ledger              {ledger}");
        text
    }

    fn rerun_takes(&self) -> Duration {
        expected_time(self.rate, u32::try_from(self.tally.to_send).unwrap_or(u32::MAX))
    }

    /// Why rows have no cover, by who sees to them, and the first rows of each cause.
    fn cause_text(&self) -> String {
        let causes = self.tally.causes();
        let mut text = String::new();
        for (remedy, title) in [(Remedy::Person, "needs a person"), (Remedy::NextRun, "left to the next run")] {
            let mut of_remedy = causes.iter().filter(|cause| cause.remedy == remedy).peekable();
            if of_remedy.peek().is_some() {
                let _ = writeln!(text, "\n{title}:");
            }
            of_remedy.for_each(|cause| text += &lines_of(cause));
        }
        text
    }

    fn run_text(&self) -> String {
        if self.runs.is_empty() {
            return String::new();
        }
        let head = ["last runs", "took", "sent", "new covers", "failed", "exit"].map(str::to_owned);
        let table: Vec<String> = self.runs.iter().map(run_line).collect();
        format!("\n{}\n{}\n", in_columns(&head), table.join("\n"))
    }

    /// The whole as one JSON document.
    #[must_use]
    pub fn json(&self) -> String {
        let document = json!({
            "rows": RowCounts(self.tally),
            "rerun_sends": self.tally.to_send,
            "rerun_seconds": self.rerun_takes().as_secs_f64(),
            "causes": self.tally.causes().into_iter().map(cause_json).collect::<Vec<Value>>(),
            "runs": self.runs.iter().map(run_json).collect::<Vec<Value>>(),
            "ledger": self.ledger,
        });
        format!("{document:#}\n")
    }
}

/// A cause, and a line for each of its first rows.
fn lines_of(cause: &Cause) -> String {
    let words = cause.commonest().1;
    let said = if words.is_empty() { String::new() } else { format!(": {words}") };
    let mut text = format!("  {} {cause}{said}\n", plural(cause.all.rows, "row", "rows"));
    for name in &cause.all.first {
        let _ = writeln!(text, "    {}", row_line(name));
    }
    let more = cause.all.rows.saturating_sub(cause.all.first.len() as u64);
    if more > 0 {
        let _ = writeln!(text, "    and {more} more; the results have all of them");
    }
    text
}

/// `line 7: 73d6128b (So What, Miles Davis)`.
fn row_line(name: &RowName) -> String {
    let RowName { line, id, labels } = name;
    let line = line.map(|line| format!("line {line}"));
    let labels = if labels.is_empty() { String::new() } else { format!(" ({})", labels.join(", ")) };
    let known: Vec<String> = line.into_iter().chain(id.clone()).collect();
    known.join(": ") + &labels
}

/// When it began, how long it took and what came of it; in the place of what is not known, why.
fn run_line(run: &PastRun) -> String {
    let took = match (run.ended, run.cut_short) {
        (Some(ended), _) => Brief(Duration::from_secs(run.started.until(ended).as_secs())).to_string(),
        (None, Some(_)) => "killed".to_owned(),
        (None, None) => "goes on".to_owned(),
    };
    let count = |of: fn(&crate::ledger::RunResult) -> u64| run.result.as_ref().map(of);
    let counts = [
        count(|result| result.sent),
        count(|result| result.new_covers),
        count(|result| result.failed),
        count(|result| result.exit_code.into()),
    ];
    let [sent, covers, failed, exit] = counts.map(|count| count.map_or("-".to_owned(), |count| count.to_string()));
    let cells = [day_and_time(run.started), took, sent, covers, failed, exit];
    let stopped = run.cut_short.filter(|_| run.ended.is_some()).map(|reason| format!("stopped early: {reason}"));
    let follows = (!run.submits).then(|| "follow".to_owned());
    let partial = run.is_partial.then(|| "some rows".to_owned());
    let notes: Vec<String> = [follows, partial, stopped].into_iter().flatten().collect();
    let notes = if notes.is_empty() { String::new() } else { format!("  {}", notes.join(", ")) };
    in_columns(&cells) + &notes
}

fn in_columns([began, took, sent, covers, failed, exit]: &[String; 6]) -> String {
    format!("{began:<22}{took:>8}{sent:>7}{covers:>12}{failed:>8}{exit:>6}")
}

fn cause_json(cause: &Cause) -> Value {
    let (code, words) = cause.commonest();
    json!({
        "status": cause.status, "reason": cause.reason, "code": code, "message": words,
        "mends_by_itself": cause.remedy == Remedy::NextRun,
        "rows": cause.all.rows, "first": cause.all.first,
    })
}

fn run_json(run: &PastRun) -> Value {
    let result = run.result.as_ref();
    json!({
        "command": if run.submits { "run" } else { "follow" },
        "partial": run.is_partial,
        "began_at": run.started,
        "ended_at": run.ended,
        "stopped_early": run.cut_short.map(Reason::word),
        "sent": result.map(|result| result.sent),
        "new_covers": result.map(|result| result.new_covers),
        "failed": result.map(|result| result.failed),
        "exit_code": result.map(|result| result.exit_code),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMillis;
    use crate::ledger::RunResult;

    const BEGAN: UnixMillis = UnixMillis(1_795_745_400_000);

    fn run(ended: Option<u64>, cut_short: Option<Reason>, result: Option<RunResult>) -> PastRun {
        let ended = ended.map(|seconds| BEGAN.after(Duration::from_secs(seconds)));
        PastRun { submits: true, is_partial: false, started: BEGAN, ended, cut_short, result, command: String::new() }
    }

    #[test]
    fn runs_stand_in_columns_and_say_how_they_ended() {
        let result = RunResult { sent: 12_345, new_covers: 7, failed: 2, exit_code: 143 };
        let runs = [
            run(Some(723), None, Some(RunResult { exit_code: 4, ..result })),
            PastRun { is_partial: true, ..run(Some(5), Some(Reason::Interrupted), Some(result)) },
            PastRun { submits: false, ..run(Some(90), Some(Reason::Outage), None) },
            run(None, Some(Reason::Interrupted), None),
            run(None, None, None),
        ];
        let tally = Tally::default();
        let status =
            CatalogStatus { tally: &tally, runs: &runs, rate: "20/10s".parse().unwrap(), ledger: String::new() };
        insta::assert_snapshot!(status.run_text(), @r"

        last runs                 took   sent  new covers  failed  exit
        2026-11-27 02:10 UTC   12m 03s  12345           7       2     4
        2026-11-27 02:10 UTC        5s  12345           7       2   143  some rows, stopped early: interrupted
        2026-11-27 02:10 UTC    1m 30s      -           -       -     -  follow, stopped early: outage
        2026-11-27 02:10 UTC    killed      -           -       -     -
        2026-11-27 02:10 UTC   goes on      -           -       -     -
        ");
        let none = CatalogStatus { runs: &[], ..status };
        assert_eq!(none.run_text(), "");
    }

    #[test]
    fn a_row_is_told_by_all_that_is_known_of_it() {
        let name = |line, id: Option<&str>, labels: &[&str]| RowName {
            line,
            id: id.map(str::to_owned),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        };
        assert_eq!(row_line(&name(Some(7), Some("a-1"), &["So What", "Miles"])), "line 7: a-1 (So What, Miles)");
        assert_eq!(row_line(&name(Some(7), None, &[])), "line 7");
        assert_eq!(row_line(&name(None, Some("a-1"), &[])), "a-1");
    }
}
