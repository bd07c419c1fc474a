//! Writing down what is about to be sent: the last statement before a commit, so that nothing waits for its answer.

use tokio_postgres::Statement;

use super::columns::value;
use super::counting::IN_FLIGHT;
use super::failure::Failure;
use super::session::Session;
use crate::domain::RowState;
use crate::ledger::run::AttemptKey;
use crate::ledger::submission::{Claim, ClaimRequest};

/// Takes the numbers of new rows first, so that all is written at once.
const ANNOUNCE: &str = "
    WITH new AS (
        SELECT id, task IS NULL AS is_new, coalesce(task, nextval('task_seq_seq')) AS task,
               nextval('attempt_seq_seq') AS attempt, state_before, run, at, is_probe
        FROM unnest($2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::boolean[])
             AS new (id, task, state_before, run, at, is_probe)
    ), made AS (
        INSERT INTO task (seq, account, id, state, submissions, first_sent_at)
        OVERRIDING SYSTEM VALUE
        SELECT task, $1::integer, id, 'in_flight', 1, at FROM new WHERE is_new
    ), moved AS (
        UPDATE task SET state = 'in_flight', submissions = submissions + 1,
                        first_sent_at = coalesce(first_sent_at, new.at)
        FROM new WHERE task.account + 0 = $1 AND task.seq = new.task AND NOT new.is_new
    ), announced AS (
        INSERT INTO attempt (seq, account, task, run, state_before, sent_at, paced_at)
        OVERRIDING SYSTEM VALUE
        SELECT attempt, $1::integer, task, run, state_before, at, $8::bigint FROM new
    ), paced AS (
        UPDATE account SET next_at = $9, probe = coalesce((SELECT max(attempt) FROM new WHERE is_probe), probe)
        WHERE account = $1 AND (next_at <> $9 OR EXISTS (SELECT FROM new WHERE is_probe))
    )
    SELECT attempt FROM new ORDER BY attempt";

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Grant {
    /// It may be sent.
    Announce {
        /// Its music task, if that is known.
        task: Option<i64>,
        /// Where that stands.
        before: Option<RowState>,
    },
    /// Nothing has to be written for the answer.
    Answer(Claim),
}

/// What becomes of requests, in their order, before anything of it is written down.
pub(super) struct Grants {
    each: Vec<Grant>,
    /// When the next submission is due, in nanoseconds since 1970.
    next_at: i64,
    /// Whether that is news.
    is_moved: bool,
    /// Prepared beforehand: what follows is not to wait for that.
    statement: Statement,
}

impl Grants {
    /// With the time of the next submission before and after them.
    pub(super) async fn prepared(
        session: &Session,
        each: Vec<Grant>,
        (before, next_at): (u64, u64),
    ) -> Result<Self, Failure> {
        let statement = session.statement(ANNOUNCE).await?;
        let is_moved = next_at != before;
        Ok(Self { each, next_at: i64::try_from(next_at).unwrap_or(i64::MAX), is_moved, statement })
    }

    /// Writes down what is granted, and what is promised.
    pub(super) async fn announce(self, session: &Session, requests: &[ClaimRequest]) -> Result<Vec<Claim>, Failure> {
        let mut attempts = self.written(session, requests).await?.into_iter();
        let claim = |grant| match grant {
            Grant::Announce { .. } => attempts.next().map(Claim::Granted).ok_or(Failure::NotInFlight),
            Grant::Answer(claim) => Ok(claim),
        };
        self.each.into_iter().map(claim).collect()
    }

    /// The submission of each request that is granted, in their order.
    async fn written(&self, session: &Session, requests: &[ClaimRequest]) -> Result<Vec<AttemptKey>, Failure> {
        let granted = || {
            requests.iter().zip(&self.each).filter_map(|(request, grant)| match grant {
                Grant::Announce { task, before } => Some((request, *task, before.map(RowState::word))),
                Grant::Answer(_) => None,
            })
        };
        let ids: Vec<&str> = granted().map(|(request, ..)| request.task.as_str()).collect();
        if ids.is_empty() && !self.is_moved {
            return Ok(Vec::new());
        }
        let tasks: Vec<Option<i64>> = granted().map(|(_, task, _)| task).collect();
        let before: Vec<Option<&str>> = granted().map(|(.., before)| before).collect();
        let runs: Vec<i64> = granted().map(|(request, ..)| request.run.0).collect();
        let at: Vec<i64> = granted().map(|(request, ..)| request.at.0).collect();
        let probes: Vec<bool> = granted().map(|(request, ..)| request.asking.is_probe).collect();
        let values = &[
            &ids as _,
            &tasks as _,
            &before as _,
            &runs as _,
            &at as _,
            &probes as _,
            &IN_FLIGHT.0 as _,
            &self.next_at as _,
        ];
        let rows = session.rows_of(&self.statement, values).await?;
        rows.iter().map(|row| value(row, 0).map(AttemptKey)).collect()
    }
}
