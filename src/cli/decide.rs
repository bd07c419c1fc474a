//! `coverbatch ignore`, `retry` and `forget`: what a person decides about single music tasks.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;

use crate::cli::account::{AccountArgs, open_existing};
use crate::cli::ids::{find, ids};
use crate::cli::output::{LogFormat, begin_logging, print};
use crate::clock::Clock;
use crate::domain::{ManualKind, MusicTaskId, one_line};
use crate::error::{Error, Exit};
use crate::ledger::{AnyLedger, DecideLedger as _, ManualDecision, ReadLedger as _};
use crate::policy::{Judgement, Objection};
use crate::progress::Screen;

/// How long a ledger may be out of reach.
const MAX_OUTAGE: Duration = Duration::from_secs(60);

/// Music tasks that are named if they cannot be decided about.
const SHOWN: usize = 20;

/// Never send these music tasks, and count them as no failure: neither are their covers waited for, nor does a default cover
/// stand in
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch ignore 73d6128b --reason withdrawn")]
pub(super) struct IgnoreArgs {
    /// Ignore also ids that the ledger does not know, written out: those of rows that no run has sent yet
    #[arg(long, conflicts_with = "undo")]
    unseen: bool,

    #[command(flatten)]
    decision: DecisionArgs,
}

/// Let the next run send these music tasks, though they failed too often, or are held back because their answer was lost
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch retry 73d6128b --reason restored")]
pub(super) struct RetryArgs {
    #[command(flatten)]
    decision: DecisionArgs,
}

/// Set aside what the ledger knows of these music tasks, so that the next run sends them as if they were new
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch forget 73d6128b --pay-again --reason remade")]
pub(super) struct ForgetArgs {
    /// Forget also those that have a cover: its id and its images are set aside, and the next run may pay for a second one
    #[arg(long, conflicts_with = "undo")]
    pay_again: bool,

    #[command(flatten)]
    decision: DecisionArgs,
}

#[derive(Debug, Args)]
struct DecisionArgs {
    /// The music task ids, or their beginnings if no others begin so; `-` reads whole ids from standard input. If one is
    /// refused, nothing is changed for the others either
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,

    /// Why, in a line that `coverbatch why` shows; of an ignored music task the results show it too
    #[arg(long, value_name = "TEXT", conflicts_with = "undo")]
    reason: Option<String>,

    /// Take the last such decision back: the ledger knows again what it knew before. Refused once it was sent
    #[arg(long)]
    undo: bool,

    #[command(flatten)]
    account: AccountArgs,
}

pub(super) async fn ignore(args: IgnoreArgs, screen: &Screen) -> Result<Exit, Error> {
    Deciding { kind: ManualKind::Ignore, is_sure: args.unseen, args: args.decision }.go(screen).await
}

pub(super) async fn retry(args: RetryArgs, screen: &Screen) -> Result<Exit, Error> {
    Deciding { kind: ManualKind::Retry, is_sure: false, args: args.decision }.go(screen).await
}

pub(super) async fn forget(args: ForgetArgs, screen: &Screen) -> Result<Exit, Error> {
    Deciding { kind: ManualKind::Forget, is_sure: args.pay_again, args: args.decision }.go(screen).await
}

/// A decision on its way.
struct Deciding {
    kind: ManualKind,
    is_sure: bool,
    args: DecisionArgs,
}

impl Deciding {
    async fn go(self, screen: &Screen) -> Result<Exit, Error> {
        begin_logging(LogFormat::Text, 0, false, screen);
        let asked = ids(&self.args.ids, "", "nothing is changed").await?;
        if asked.is_empty() {
            let problem = "no music task is named: the list on standard input is empty";
            return Err(Error::usage(problem, "put one id on a line"));
        }
        let place = self.args.account.ledger_to_ask()?;
        let ledger = open_existing(&place, None, MAX_OUTAGE).await?;
        let tasks = self.named(&ledger, asked).await?;
        let judgements = self.carry_out(&ledger, tasks.clone()).await?;
        ledger.close().await;
        let judged: Vec<(MusicTaskId, Judgement)> = tasks.into_iter().zip(judgements).collect();
        refuse_any(&judged)?;
        let lines = judged.iter().map(|(task, judgement)| format!("{task}  {}\n", self.told(*judgement)));
        print(&lines.collect::<String>())?;
        Ok(Exit::Success)
    }

    /// The music tasks that are meant, in the order of their ids.
    async fn named(&self, ledger: &AnyLedger, asked: BTreeSet<MusicTaskId>) -> Result<Vec<MusicTaskId>, Error> {
        let asked = Vec::from_iter(asked);
        let known = ledger.states(asked.clone()).await?;
        // Whoever names new ones writes them out, and so does a list: what such an id begins may be another one.
        let names_new = self.kind == ManualKind::Ignore && self.is_sure;
        let is_whole = |task: &MusicTaskId| names_new || !self.args.ids.iter().any(|word| word == task.as_str());
        let mut named = BTreeSet::new();
        for (task, known) in asked.into_iter().zip(known) {
            let found = if known.is_some() || is_whole(&task) { None } else { find(ledger, &task).await? };
            named.insert(found.unwrap_or(task));
        }
        Ok(Vec::from_iter(named))
    }

    async fn carry_out(&self, ledger: &AnyLedger, tasks: Vec<MusicTaskId>) -> Result<Vec<Judgement>, Error> {
        let (kind, is_sure, at) = (self.kind, self.is_sure, Clock::start().unix());
        if self.args.undo {
            return Ok(ledger.undo(kind, tasks, at).await?);
        }
        let reason = one_line(self.args.reason.as_deref().unwrap_or_default());
        Ok(ledger.decide(ManualDecision { kind, is_sure, reason, at }, tasks).await?)
    }

    /// What came of it for a music task.
    fn told(&self, judgement: Judgement) -> String {
        match (judgement, self.kind) {
            (Judgement::Moved(state), _) if self.args.undo => format!("{} again", state.status()),
            (Judgement::Moved(_), ManualKind::Ignore) => "ignored: no run sends it".to_owned(),
            (Judgement::Moved(_), ManualKind::Retry) => "the next run sends it".to_owned(),
            (Judgement::Moved(_), ManualKind::Forget) => {
                "forgotten: the next run sends it as if it were new".to_owned()
            }
            (Judgement::Already, ManualKind::Retry) => "the next run sends it anyway".to_owned(),
            (Judgement::Already, ManualKind::Ignore | ManualKind::Forget) => "it is so already".to_owned(),
            (Judgement::Refused(objection), _) => objection.to_string(),
        }
    }
}

/// Tells of all that cannot be, if anything cannot.
fn refuse_any(judged: &[(MusicTaskId, Judgement)]) -> Result<(), Error> {
    let refused: Vec<(&MusicTaskId, Objection)> = judged.iter().filter_map(objection).collect();
    let problem = match refused.as_slice() {
        [] => return Ok(()),
        [(task, objection)] => format!("nothing is changed, because of `{task}`: {objection}"),
        several => {
            let mut text = format!("nothing is changed, because of {} music tasks:", several.len());
            for (task, objection) in several.iter().take(SHOWN) {
                let _ = write!(text, "\n  `{task}`: {objection}");
            }
            let more = several.len().saturating_sub(SHOWN);
            if more > 0 {
                let _ = write!(text, "\n  and {more} more");
            }
            text
        }
    };
    let hint = if refused.len() < judged.len() { "leave these out, and the others can be decided about" } else { "" };
    Err(Error::usage(problem, hint))
}

fn objection((task, judgement): &(MusicTaskId, Judgement)) -> Option<(&MusicTaskId, Objection)> {
    match judgement {
        Judgement::Refused(objection) => Some((task, *objection)),
        Judgement::Moved(_) | Judgement::Already => None,
    }
}
