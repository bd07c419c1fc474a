//! What waits to be done in one transaction, and can be begun again if the connection breaks.

use std::pin::Pin;

use tokio::sync::oneshot;
use tokio::try_join;

use super::announce::Grants;
use super::claims::grant_all;
use super::connect::Access;
use super::failure::Failure;
use super::session::Session;
use super::settlements::settle_all;
use crate::ledger::run::AttemptKey;
use crate::ledger::submission::{Claim, ClaimRequest, Settled, Settlement};
use crate::ratelimit::PauseChange;

/// Work inside a transaction, whose result is told once that is durable.
pub(super) trait Operation: Send {
    /// Whether it writes.
    fn access(&self) -> Access;

    /// Does it; it may have been done before, in a transaction that broke off.
    fn run(&mut self, session: Session) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + '_>>;

    /// Tells the caller that it is durable.
    fn answer(self: Box<Self>);
}

/// One call of a function.
pub(super) struct Call<A, T, F> {
    pub(super) access: Access,
    pub(super) values: A,
    pub(super) work: fn(Session, A) -> F,
    pub(super) result: Option<T>,
    pub(super) reply: oneshot::Sender<T>,
}

impl<A, T, F> Operation for Call<A, T, F>
where
    A: Clone + Send,
    T: Send,
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    fn access(&self) -> Access {
        self.access
    }

    fn run(&mut self, session: Session) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + '_>> {
        let work = (self.work)(session, self.values.clone());
        let result = &mut self.result;
        Box::pin(async move {
            *result = Some(work.await?);
            Ok(())
        })
    }

    fn answer(self: Box<Self>) {
        if let Some(result) = self.result {
            // A caller that has gone away needs no answer.
            drop(self.reply.send(result));
        }
    }
}

/// Calls of one kind that are done together.
pub(super) struct Batch<Q, A> {
    asked: Vec<Q>,
    answers: Vec<A>,
    replies: Vec<oneshot::Sender<A>>,
}

impl<Q, A> Default for Batch<Q, A> {
    fn default() -> Self {
        Self { asked: Vec::new(), answers: Vec::new(), replies: Vec::new() }
    }
}

impl<Q, A> Batch<Q, A> {
    pub(super) fn push(&mut self, asked: Q, reply: oneshot::Sender<A>) {
        self.asked.push(asked);
        self.replies.push(reply);
    }

    fn answer(self) {
        for (reply, answer) in self.replies.into_iter().zip(self.answers) {
            drop(reply.send(answer));
        }
    }
}

/// All that is done in one transaction.
#[derive(Default)]
pub(super) struct Group {
    pub(super) settlements: Batch<(AttemptKey, Settlement), Settled>,
    pub(super) claims: Batch<ClaimRequest, Claim>,
    pub(super) calls: Vec<Box<dyn Operation>>,
    grants: Option<Grants>,
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.settlements.asked.is_empty() && self.claims.asked.is_empty() && self.calls.is_empty()
    }

    /// Whether any of it writes.
    pub(super) fn access(&self) -> Access {
        let has_rows = !self.settlements.asked.is_empty() || !self.claims.asked.is_empty();
        let writes = has_rows || self.calls.iter().any(|call| call.access() == Access::Write);
        if writes { Access::Write } else { Access::Read }
    }

    /// Does all of it but the announcements. Answers before claims, since they make room; both at once if no answer changes the
    /// pause of all, by which claims are granted.
    pub(super) async fn run(&mut self, session: &Session) -> Result<(), Failure> {
        for call in &mut self.calls {
            call.run(session.clone()).await?;
        }
        let (settle, grant) = (settle(session, &self.settlements.asked), grant(session, &self.claims.asked));
        (self.settlements.answers, self.grants) =
            if self.is_pausing() { (settle.await?, grant.await?) } else { try_join!(biased; settle, grant)? };
        Ok(())
    }

    /// The same for claims and answers in shared mode, beside those of others: answers that change no pause need not wait for
    /// the lock of the account, which claims are granted under.
    pub(super) async fn run_shared(
        &mut self,
        session: &Session,
        lock: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        if self.is_pausing() {
            try_join!(biased; lock, self.run(session))?;
            return Ok(());
        }
        let (settle, grant) = (settle(session, &self.settlements.asked), grant(session, &self.claims.asked));
        (self.settlements.answers, (), self.grants) = try_join!(biased; settle, lock, grant)?;
        Ok(())
    }

    fn is_pausing(&self) -> bool {
        self.settlements.asked.iter().any(|(_, settlement)| settlement.pause != PauseChange::Keep)
    }

    /// Writes down what is about to be sent, as the last statement.
    pub(super) async fn announce(&mut self, session: &Session) -> Result<(), Failure> {
        if let Some(grants) = self.grants.take() {
            self.claims.answers = grants.announce(session, &self.claims.asked).await?;
        }
        Ok(())
    }

    /// Tells everyone that it is durable.
    pub(super) fn answer(self) {
        self.settlements.answer();
        self.claims.answer();
        self.calls.into_iter().for_each(Operation::answer);
    }
}

async fn settle(session: &Session, settled: &[(AttemptKey, Settlement)]) -> Result<Vec<Settled>, Failure> {
    if settled.is_empty() { Ok(Vec::new()) } else { settle_all(session, settled).await }
}

async fn grant(session: &Session, requests: &[ClaimRequest]) -> Result<Option<Grants>, Failure> {
    if requests.is_empty() { Ok(None) } else { grant_all(session, requests).await.map(Some) }
}
