//! `coverbatch run --dry-run`: what a run would find and send, without a trace; and the first request with the
//! key masked.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::prepared::PreparedRun;
use crate::api::CallbackUrl;
use crate::api::client::USER_AGENT;
use crate::cli::options::{bad_rows, odd_ids};
use crate::cli::output::{eprint, print};
use crate::clock::Clock;
use crate::domain::{Brief, MusicTaskId, Rate, Route, plural};
use crate::error::{Error, Exit};
use crate::ledger::{AnyLedger, LedgerPlace, ReadLedger as _, SqliteLedger};
use crate::ratelimit::expected_time;
use crate::results::Paths;
use crate::secret::masked_url;
use crate::worklist::{Counts, Worklist, WorklistError};

impl PreparedRun<'_> {
    /// Tells what a run would do.
    pub(super) async fn dry_run(self) -> Result<Exit, Error> {
        self.args.wait.check()?;
        let ledger_place = &self.batch.ledger_place;
        let ledger = AnyLedger::open_to_read(ledger_place, Some(self.service.identity())).await?;
        let taken_over = self.taken_over(ledger.as_ref()).await?;
        let ledgers = ledger.iter().chain(taken_over.as_ref().map(|(ledger, _)| ledger)).collect();
        let (mut worklist, counts) = Worklist::plan(self.catalog(), ledgers, self.selection()).await?;
        let plan = Plan {
            counts,
            rate: self.args.pace.rate,
            clock: self.batch.clock,
            ledger: (ledger_place, ledger.is_some()),
            paths: &self.batch.paths,
            address: self.service.address(),
            route: self.service.route,
            callback: &self.service.callback,
            first: worklist.next(true).await?,
        };
        // Closed, so that it leaves no log of its own beside the ledger.
        if let Some(ledger) = ledger {
            ledger.close().await;
        }
        print(&if self.args.tell.json { plan.json() } else { plan.text() })?;
        if !self.catalog().is_confined() {
            eprint(&(bad_rows(self.catalog()) + &odd_ids(self.catalog())));
        }
        Ok(Exit::Success)
    }

    /// What a run would take over from earlier results, in a ledger that is gone with its folder.
    async fn taken_over(&self, ledger: Option<&AnyLedger>) -> Result<Option<(AnyLedger, TempDir)>, Error> {
        if self.batch.all_earlier().next().is_none() {
            return Ok(None);
        }
        let folder = TempDir::new().map_err(WorklistError::Spool)?;
        let path = folder.path().join("taken-over.db");
        let taken_over = AnyLedger::Sqlite(SqliteLedger::open(&path, self.service.identity())?);
        self.batch.take_over_into(&taken_over, ledger).await?;
        Ok(Some((taken_over, folder)))
    }
}

/// Everything a dry run tells.
pub(super) struct Plan<'a> {
    pub(super) counts: Counts,
    pub(super) rate: Rate,
    pub(super) clock: Clock,
    pub(super) ledger: (&'a LedgerPlace, bool),
    pub(super) paths: &'a Paths,
    pub(super) address: String,
    pub(super) route: Route,
    pub(super) callback: &'a CallbackUrl,
    pub(super) first: Option<MusicTaskId>,
}

impl Plan<'_> {
    fn takes(&self) -> Duration {
        expected_time(self.rate, u32::try_from(self.counts.to_send).unwrap_or(u32::MAX))
    }

    /// For a person.
    pub(super) fn text(&self) -> String {
        let Counts { rows, duplicates, invalid, settled, ignored, to_send, to_send_in_doubt, over_limit, left, others } =
            self.counts;
        let mut text = format!("dry run: nothing is sent or written\n\nrows             {rows}\n");
        let _ = writeln!(text, "  duplicates     {duplicates}");
        let _ = writeln!(text, "  invalid        {invalid}");
        let _ = writeln!(text, "  settled        {settled}");
        if ignored > 0 {
            let _ = writeln!(text, "  ignored        {ignored}");
        }
        let _ = writeln!(text, "  left as is     {left}");
        let doubt =
            if to_send_in_doubt == 0 { String::new() } else { format!(", {to_send_in_doubt} of them in doubt") };
        let _ = writeln!(text, "  to send        {to_send}{doubt}");
        for (count, what) in [(over_limit, "over --limit"), (others, "not in --only")] {
            if count > 0 {
                let _ = writeln!(text, "  {what:<15}{count}");
            }
        }
        let takes = self.takes();
        let brief = Brief(Duration::from_secs(takes.as_secs()));
        let ends = self.clock.unix().after(takes);
        let _ = writeln!(text, "takes            at least {brief} at {}; begun now, until {ends}", self.rate);
        let (ledger, exists) = self.ledger;
        let _ = writeln!(text, "ledger           {ledger}{}", if exists { "" } else { " (not there yet)" });
        let _ = writeln!(text, "results          {}", self.paths.results.display());
        if let Some(failures) = &self.paths.failures {
            let _ = writeln!(text, "failures         {}", failures.display());
        }
        text + &self.first_request()
    }

    fn first_request(&self) -> String {
        let Some(first) = &self.first else { return String::new() };
        let more = plural(self.counts.to_send - 1, "more like it", "more like it");
        format!(
            "\nfirst request, and {more}:\n  POST {}\n  authorization: Bearer ***\n  content-type: application/json\n  \
             user-agent: {USER_AGENT}\n\n  {}\n",
            self.address,
            self.route.submission_body(first, &masked_url(&self.callback.for_task(first)))
        )
    }

    /// For a machine.
    pub(super) fn json(&self) -> String {
        let Counts { rows, duplicates, invalid, settled, ignored, to_send, to_send_in_doubt, over_limit, left, others } =
            self.counts;
        let takes = self.takes();
        let document = json!({
            "dry_run": true,
            "rows": {
                "total": rows, "duplicates": duplicates, "invalid": invalid, "settled": settled,
                "ignored": ignored, "left_as_is": left, "to_send": to_send, "to_send_in_doubt": to_send_in_doubt,
                "over_limit": over_limit, "others": others,
            },
            "rate": self.rate.to_string(),
            "seconds": takes.as_secs_f64(),
            "until": self.clock.unix().after(takes).to_string(),
            "address": self.address,
            "ledger": self.ledger.0.to_string(),
            "results": self.paths.results.display().to_string(),
        });
        format!("{document:#}\n")
    }
}
