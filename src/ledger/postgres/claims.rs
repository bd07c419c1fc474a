//! What claims may do: many at a time, in a transaction that has locked the account.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::try_join;

use super::announce::{Grant, Grants};
use super::columns::{reason, state, value};
use super::counting::{checkpoint_if_due, counted_for};
use super::failure::Failure;
use super::pace::{self, reach};
use super::runs::recover;
use super::session::Session;
use crate::clock::UnixMillis;
use crate::domain::RowState;
use crate::ledger::run::{AttemptKey, RunId};
use crate::ledger::submission::{Claim, ClaimRequest, LastSubmission, refusal};
use crate::ratelimit::{Counted, SharedPace};

/// How often the others are looked for while there are some.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Where a music task stands that somebody wants to send.
#[derive(Debug, Clone, Copy)]
struct Known {
    seq: i64,
    state: RowState,
    last: Option<LastSubmission>,
}

/// What becomes of each of these requests, by what is known of its music task and by the pace of all runs.
pub(super) async fn grant_all(session: &Session, requests: &[ClaimRequest]) -> Result<Grants, Failure> {
    let (known, mut turn, ()) =
        try_join!(biased; known(session, requests), Turn::begin(session, requests), checkpoint_if_due(session))?;
    let (before, mut taken) = (turn.pace.next_at, HashSet::new());
    let grants = requests
        .iter()
        .map(|request| {
            let known = known.get(request.task.as_str()).copied();
            let grant = match refused(session, request, known) {
                Some(claim) => Grant::Answer(claim),
                None if taken.contains(request.task.as_str()) => Grant::Answer(Claim::InFlight),
                None => turn.admit(session, request, known),
            };
            if matches!(grant, Grant::Announce { .. }) {
                taken.insert(request.task.as_str());
            }
            grant
        })
        .collect();
    note_announced(session, taken.len());
    Grants::prepared(session, grants, (before, turn.pace.next_at)).await
}

fn note_announced(session: &Session, count: usize) {
    let mut others = session.context.others();
    others.until_checkpoint = others.until_checkpoint.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
}

/// What is known of the music tasks of these requests, by their ids.
async fn known<'a>(session: &Session, requests: &'a [ClaimRequest]) -> Result<HashMap<&'a str, Known>, Failure> {
    let ids: Vec<&str> = requests.iter().map(|request| request.task.as_str()).collect();
    let sql = "SELECT asked.nth, task.seq, task.state, last.seq, last.run, last.reason
               FROM unnest($2::text[]) WITH ORDINALITY AS asked (id, nth)
               CROSS JOIN LATERAL (SELECT seq, state FROM task WHERE account = $1 AND task.id = asked.id LIMIT 1) AS task
               LEFT JOIN LATERAL (SELECT seq, run, reason FROM attempt WHERE attempt.task = task.seq
                                  ORDER BY seq DESC LIMIT 1) AS last ON true";
    let mut known = HashMap::new();
    for row in session.rows(sql, &[&ids]).await? {
        let last = match value::<Option<i64>>(&row, 3)? {
            None => None,
            Some(seq) => {
                Some(LastSubmission { attempt: AttemptKey(seq), run: RunId(value(&row, 4)?), reason: reason(&row, 5)? })
            }
        };
        let nth = usize::try_from(value::<i64>(&row, 0)?).unwrap_or(0);
        let id = ids.get(nth.wrapping_sub(1)).copied().unwrap_or_default();
        known.insert(id, Known { seq: value(&row, 1)?, state: state(&row, 2)?, last });
    }
    Ok(known)
}

/// The answer to a request for a music task that may not be claimed at all.
fn refused(session: &Session, request: &ClaimRequest, known: Option<Known>) -> Option<Claim> {
    let Known { state, last, .. } = known?;
    let refusal = refusal(request, state, last, &session.context.others().in_flight)?;
    // A run asks once for a row at a time: what it finds in flight for itself was granted before the answer was lost.
    let ours = last.filter(|last| refusal == Claim::InFlight && session.is_again && last.run == request.run);
    Some(ours.map_or(refusal, |last| Claim::Granted(last.attempt)))
}

/// The pace while a group of requests goes through it.
struct Turn {
    pace: SharedPace,
    counted: Counted,
    /// Whether requests of other runs count, or a pause of all.
    is_shared: bool,
}

impl Turn {
    async fn begin(session: &Session, requests: &[ClaimRequest]) -> Result<Self, Failure> {
        let now = requests.iter().map(|request| session.of_server(request.at)).min().unwrap_or(UnixMillis(0));
        let reach = requests.iter().map(|request| reach(request.asking.rate)).max().unwrap_or_default();
        let ours = session.context.others().run;
        let mut shared = pace::read(session, ours).await?;
        if shared.has_others && is_time_to_look(session, now) {
            if !session.is_exclusive {
                return Err(Failure::NeedsExclusive);
            }
            session.context.others().looked_at = now;
            recover(session, session.context.server_clock.of_ours(now)).await?;
            shared = pace::read(session, ours).await?;
        }
        let are_there = note_others(session, &shared, now).after(reach) > now;
        let is_shared = are_there || shared.pace.is_paused(now);
        let counted = if is_shared || requests.iter().any(|request| request.asking.is_probe) {
            let least = requests.iter().map(|request| request.asking.rate.count.get()).min().unwrap_or_default();
            counted_for(session, now.before(reach), shared.last, least).await?
        } else {
            Counted { requests: 0, first: None }
        };
        Ok(Self { pace: shared.pace, counted, is_shared })
    }

    /// Lets a request pass for the sake of the other runs, or says when to ask again.
    fn admit(&mut self, session: &Session, request: &ClaimRequest, known: Option<Known>) -> Grant {
        if self.is_shared || request.asking.is_probe {
            let now = session.of_server(request.at);
            if let Err(not_yet) = self.pace.admit(request.asking, self.counted, now) {
                return Grant::Answer(Claim::NotYet(not_yet));
            }
            self.counted.requests += 1;
        }
        Grant::Announce { task: known.map(|known| known.seq), before: known.map(|known| known.state) }
    }
}

fn is_time_to_look(session: &Session, now: UnixMillis) -> bool {
    let looked_at = session.context.others().looked_at;
    // Also after the clock was set back.
    !(looked_at..looked_at.after(BETWEEN_LOOKS)).contains(&now)
}

/// Notes whether there are others; until when they may be.
fn note_others(session: &Session, shared: &pace::Shared, now: UnixMillis) -> UnixMillis {
    let mut others = session.context.others();
    if shared.has_others || others.were_there || shared.newest != others.newest {
        (others.newest, others.were_there) = (shared.newest, shared.has_others);
        others.there_until = now.after(2 * BETWEEN_LOOKS);
    }
    others.there_until
}
