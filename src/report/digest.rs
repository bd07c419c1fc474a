//! The digest in words: below its headline what has changed, then who sees to what, then the facts, and at last what to do.

use std::fmt::Write as _;
use std::path::Path;

use super::summary::{Paused, Summary, Traffic};
use crate::clock::UnixMillis;
use crate::domain::{Brief, Ended, Rate, Reason, Status, plural};
use crate::files::is_stdout;
use crate::policy::Spending;
use crate::results::{Cause, NamedRows, Remedy};
use crate::runner::Covers;

/// Most lines of a digest.
pub const DIGEST_LINES: usize = 25;

/// Pauses told of one by one.
const SHOWN_PAUSES: usize = 3;

/// Reasons told apart of what was known before.
const SHOWN_REASONS: usize = 4;

impl Summary {
    /// The digest. Its first line alone tells whether anything is new.
    #[must_use]
    pub fn digest(&self) -> String {
        let (changes, facts, next) = (self.change_lines(), self.fact_lines(), self.next_lines());
        let used = [&changes, &facts, &next].into_iter().map(|lines| lines.len() + 1).sum::<usize>();
        let mut text = self.headline() + "\n";
        for line in &changes {
            let _ = writeln!(text, "  {line}");
        }
        for section in [self.cause_lines(DIGEST_LINES.saturating_sub(used + 1)), facts, next] {
            if !section.is_empty() {
                let _ = writeln!(text, "\n{}", section.join("\n"));
            }
        }
        text
    }

    /// The rows behind the headline; those that failed stand with their causes. Before the first run nothing was known,
    /// so that naming what is new would say nothing.
    fn change_lines(&self) -> Vec<String> {
        let changes = &self.tally.changes;
        let line = |what: &str, rows: &NamedRows, then: &str| {
            (rows.rows > 0).then(|| format!("{what:<14} {}: {}{then}", rows.rows, rows.list()))
        };
        let shrunk = if self.has_shrunk { ": most of those before, as --allow-shrink lets them" } else { "" };
        let covers = changes.has_before.then_some(&changes.new_covers);
        let lines = [
            covers.and_then(|covers| line("new covers", covers, "")),
            line("mended", &changes.mended, ""),
            line("last try", &changes.last_try, ": the next run is the last that sends them by itself"),
            line("tried no more", &changes.left_alone, ": refused in 3 runs"),
            line("new rows", &changes.new_rows, ""),
            line("gone rows", &changes.vanished_rows, shrunk),
        ];
        lines.into_iter().flatten().collect()
    }

    /// What is new of the rows without a cover, by who sees to them; what was known before, as a count. So many lines at
    /// most, and at least what each group needs.
    fn cause_lines(&self, most: usize) -> Vec<String> {
        let causes: Vec<Told<'_>> = self.tally.causes().into_iter().map(|cause| self.told_of(cause)).collect();
        let group = |remedy| -> Vec<&Told<'_>> {
            causes.iter().filter(|told| told.cause.remedy == remedy && told.rows.rows > 0).collect()
        };
        let (by_hand, by_itself, known) = (group(Remedy::Person), group(Remedy::NextRun), known(&causes));
        let titles = usize::from(!by_hand.is_empty()) + usize::from(!by_itself.is_empty());
        let room = most.saturating_sub(titles + usize::from(known.is_some()));
        // The second group is told of in one line at least.
        let first = by_hand.len().min(room.saturating_sub(usize::from(!by_itself.is_empty()))).max(1);
        let mut lines = section("needs a person:", &by_hand, first);
        lines.extend(section(
            "left to the next run:",
            &by_itself,
            room.saturating_sub(first.min(by_hand.len())).max(1),
        ));
        lines.extend(known);
        lines
    }

    /// What is told of a cause. Why a run stopped is told of all rows that it did not reach, whatever was known of them.
    fn told_of<'a>(&self, cause: &'a Cause) -> Told<'a> {
        let is_why = self.ended != Ended::Finished && cause.status == Status::Pending;
        Told { cause, rows: if is_why { &cause.all } else { &cause.news } }
    }

    fn fact_lines(&self) -> Vec<String> {
        let mut lines = vec![format!("  rows     {}", self.row_list())];
        lines.extend(self.tally.unlike.as_ref().map(|unlike| format!("  {unlike}")));
        lines.push(format!("  began    {}, took {}", self.started, Brief(self.took)));
        lines.extend(self.submissions.as_ref().map(|traffic| format!("  sent     {}", traffic.told())));
        lines.extend(self.reads.as_ref().map(|traffic| format!("  read     {}", traffic.told())));
        lines.extend(self.spending.map(|Spending { limit, at_start, left, spent }| {
            format!("  credits  {left} left of {at_start}, {spent} spent (limit {limit})")
        }));
        lines.extend(self.covers.as_ref().map(|covers| format!("  covers   {}", self.cover_list(covers))));
        if self.tally.small.rows > 0 {
            let small = plural(self.tally.small.rows, "cover is", "covers are");
            lines.push(format!("  small    {small} below --warn-below, {}", self.tally.small.list()));
        }
        lines.push(format!("  results  {}", place(&self.files.results)));
        lines.extend(self.files.failures.as_deref().map(|path| format!("  failures {}", place(path))));
        lines.push(format!("  ledger   {}{}", self.files.ledger.display(), self.news_of_ledger()));
        lines
    }

    /// `215: submitted 201, failed 4, pending 10; 2 repeat an earlier row, sent once`.
    fn row_list(&self) -> String {
        let counts = Status::ALL.iter().map(|status| (status, self.tally.with(*status))).filter(|(_, rows)| *rows > 0);
        let counts: Vec<String> = counts.map(|(status, rows)| format!("{status} {rows}")).collect();
        let repeats = match self.tally.duplicates {
            0 => String::new(),
            count => format!("; {} an earlier row, sent once", plural(count, "repeats", "repeat")),
        };
        let others = match self.tally.others {
            0 => String::new(),
            count => {
                format!("; {}, as --only asked", plural(count, "other is left as it is", "others are left as they are"))
            }
        };
        let colon = if counts.is_empty() { "" } else { ": " };
        format!("{}{colon}{}{repeats}{others}", self.tally.rows, counts.join(", "))
    }

    /// `, new; 25 music tasks were taken over from earlier results`.
    fn news_of_ledger(&self) -> String {
        let new = if self.files.ledger_is_new { ", new" } else { "" };
        let taken = match self.files.taken_over {
            0 => String::new(),
            count => {
                format!("; {} taken over from earlier results", plural(count, "music task was", "music tasks were"))
            }
        };
        format!("{new}{taken}")
    }

    /// `27 finished, 1 failed, 2 not in hand yet, 54 images saved in /srv/covers`.
    fn cover_list(&self, covers: &Covers) -> String {
        let parts = [
            (covers.generated, "finished"),
            (covers.failed, "failed"),
            (self.tally.awaited, "not in hand yet"),
            (self.tally.unknown, "without an id to follow"),
            (self.tally.forgotten, "forgotten by the service"),
            (self.tally.fallbacks, "with the default cover"),
            (covers.saved, if covers.saved == 1 { "image saved" } else { "images saved" }),
        ];
        let told: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        let told = if told.is_empty() { "none to follow".to_owned() } else { told.join(", ") };
        self.files.images.as_ref().map_or(told.clone(), |images| format!("{told}; in {}", images.display()))
    }

    fn next_lines(&self) -> Vec<String> {
        let next = self.next_step();
        next.map(|next| vec![format!("next: {}", next.advice), format!("  {}", next.command)]).unwrap_or_default()
    }
}

impl Traffic {
    /// `240 requests, at most 20 in any 10s (limit 20), paused 2m in all: maintenance 02:10:00-02:12:00`.
    fn told(&self) -> String {
        let Rate { count, period } = self.rate;
        let requests = plural(self.requests, "request", "requests");
        let paused = if self.pauses.is_empty() {
            String::new()
        } else {
            format!("; paused {} in all: {}", Brief(self.gate.paused_for), self.pause_list())
        };
        let most = self.gate.most_in_window;
        format!("{requests}, at most {most} in any {} (limit {count}){paused}", Brief(period))
    }

    /// `maintenance 02:10:00-02:40:12, rate_limited 03:00:00-03:00:01 and 2 more`.
    fn pause_list(&self) -> String {
        let times =
            |pause: &Paused| format!("{} {}-{}", pause.reason, time_of_day(pause.from), time_of_day(pause.until));
        let shown: Vec<String> = self.pauses.iter().take(SHOWN_PAUSES).map(times).collect();
        let more = self.pauses.len() - shown.len();
        shown.join(", ") + &if more == 0 { String::new() } else { format!(" and {more} more") }
    }
}

/// A cause, and the rows of it that are told of.
struct Told<'a> {
    cause: &'a Cause,
    rows: &'a NamedRows,
}

/// Causes under a title, in so many lines at most.
fn section(title: &str, causes: &[&Told<'_>], most: usize) -> Vec<String> {
    if causes.is_empty() {
        return Vec::new();
    }
    let shown = if causes.len() > most { most.saturating_sub(1) } else { causes.len() };
    let mut lines = vec![title.to_owned()];
    lines.extend(causes[..shown].iter().map(|told| format!("  {}", told.line())));
    let rest: u64 = causes[shown..].iter().map(|told| told.rows.rows).sum();
    if rest > 0 {
        let (rows, more) = (plural(rest, "row", "rows"), if shown == 0 { "" } else { "more " });
        lines.push(format!("  {rows} for {} {more}causes: see the results", causes.len() - shown));
    }
    lines
}

impl Told<'_> {
    /// `212 rows gave_up: server_error (code 500), lines 3, 9, 17 …: Unexpected server error`.
    fn line(&self) -> String {
        let words = self.cause.commonest().1;
        let mut line = format!("{} {}, {}", plural(self.rows.rows, "row", "rows"), self.cause, self.rows.list());
        if !words.is_empty() {
            // Whole: what to do often stands at its end.
            let _ = write!(line, ": {words}");
        }
        line
    }

    /// Why, and how many rows more.
    fn rest(&self) -> (&str, u64) {
        let why = self.cause.reason.map_or(self.cause.status.word(), Reason::word);
        (why, self.cause.all.rows - self.rows.rows)
    }
}

/// `known before: 3 for a person (2 not_found, 1 bad_row), 1 for the next run (server_error); …`.
fn known(causes: &[Told<'_>]) -> Option<String> {
    let parts = [(Remedy::Person, "for a person"), (Remedy::NextRun, "for the next run")].map(|(remedy, what)| {
        let rest = causes.iter().filter(|told| told.cause.remedy == remedy).map(Told::rest);
        known_of(what, rest.filter(|(_, rows)| *rows > 0))
    });
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("known before: {}; `coverbatch status` names them", parts.join(", ")))
}

fn known_of<'a>(what: &str, counts: impl Iterator<Item = (&'a str, u64)>) -> Option<String> {
    let mut by_word: Vec<(&str, u64)> = Vec::new();
    for (word, rows) in counts {
        match by_word.iter_mut().find(|(known, _)| *known == word) {
            Some((_, sum)) => *sum += rows,
            None => by_word.push((word, rows)),
        }
    }
    let all: u64 = by_word.iter().map(|(_, rows)| rows).sum();
    if let [(word, rows)] = by_word.as_slice() {
        return Some(format!("{rows} {what} ({word})"));
    }
    let shown: Vec<String> = by_word.iter().take(SHOWN_REASONS).map(|(word, rows)| format!("{rows} {word}")).collect();
    let more = if by_word.len() > SHOWN_REASONS { " …" } else { "" };
    (all > 0).then(|| format!("{all} {what} ({}{more})", shown.join(", ")))
}

/// Where a file is.
fn place(path: &Path) -> String {
    if is_stdout(path) { "standard output".to_owned() } else { path.display().to_string() }
}

/// The time of day in UTC.
fn time_of_day(time: UnixMillis) -> String {
    time.to_string().get(11..19).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::RowName;

    #[test]
    fn causes_beyond_the_room_there_is_are_counted() {
        let mut causes: Vec<Cause> =
            (0..4).map(|_| Cause::new(Status::Failed, Some(Reason::NotFound), Remedy::Person)).collect();
        for (line, cause) in (2..).zip(&mut causes) {
            let name = || RowName { line: Some(line), id: None, labels: Vec::new() };
            cause.add(true, (Some(404), "do this: and that"), name);
            cause.add(true, (Some(404), "do this: and that"), name);
        }
        let told: Vec<Told<'_>> = causes.iter().map(|cause| Told { cause, rows: &cause.news }).collect();
        let told: Vec<&Told<'_>> = told.iter().collect();
        let whole = section("title:", &told, 4);
        assert_eq!(whole[1], "  2 rows failed: not_found (code 404), lines 2, 2: do this: and that");
        assert_eq!((whole.len(), whole[0].as_str()), (5, "title:"));
        assert_eq!(section("title:", &told, 3)[3], "  4 rows for 2 more causes: see the results");
        assert_eq!(section("title:", &told, 1)[1], "  8 rows for 4 causes: see the results");
        assert!(section("title:", &[], 3).is_empty());
    }
}
