//! What happens to one request: path and token, body, signature, hint, in this order, and nothing after a refusal.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{HeaderMap, Request};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use crate::clock::Clock;
use crate::domain::MusicTaskId;
use crate::signing::{BadSignature, CallbackSecret, WebhookKey};

use super::Hints;
use super::answer::{Answer, Health, Refusal};
use super::body::{read_task_id, read_whole};
use super::call::Call;
use super::seats::{Phase, Seat};

/// How long body and hint may take together.
pub(super) const DECIDED_WITHIN: Duration = Duration::from_secs(5);

/// Unix seconds at which the service signed.
const TIMESTAMP: &str = "x-webhook-timestamp";

/// The signature, in base64.
const SIGNATURE: &str = "x-webhook-signature";

/// What all requests share.
#[derive(Debug)]
pub(super) struct Desk<H> {
    pub(super) secret: CallbackSecret,
    pub(super) webhook_key: Option<WebhookKey>,
    pub(super) clock: Clock,
    pub(super) hints: Arc<H>,
    pub(super) tally: Arc<Tally>,
}

impl<H: Hints> Desk<H> {
    /// The answer to `request`, which came over the connection at `seat`.
    pub(super) async fn answer(&self, request: Request<Incoming>, seat: &Seat) -> Answer {
        seat.enter(Phase::Talking);
        let answer = self.decide(request, seat).await;
        seat.enter(Phase::Silent);
        self.tally.count(answer);
        answer
    }

    async fn decide(&self, request: Request<Incoming>, seat: &Seat) -> Answer {
        let deadline = self.clock.now() + DECIDED_WITHIN;
        match Call::read(request.method(), request.uri(), &self.secret) {
            Some(Call::Callback(task)) => match self.take(task, request, seat, deadline).await {
                Ok(()) => Answer::Noted,
                Err(refusal) => Answer::Refused(refusal),
            },
            Some(Call::Health) => Answer::Health(self.health(deadline).await),
            None => Answer::Refused(Refusal::Unknown),
        }
    }

    async fn take(
        &self,
        task: MusicTaskId,
        request: Request<Incoming>,
        seat: &Seat,
        deadline: Instant,
    ) -> Result<(), Refusal> {
        let (head, body) = request.into_parts();
        let body = timeout_at(deadline, read_whole(body)).await.unwrap_or(Err(Refusal::TooSlow))?;
        self.check_signature(&head.headers, &body)?;
        if !seat.enter(Phase::Waiting) {
            return Err(Refusal::NotNoted);
        }
        self.note(task, deadline).await
    }

    /// Without a key there is nothing to check: the token alone makes a callback a hint, whatever its body.
    fn check_signature(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        let Some(key) = &self.webhook_key else { return Ok(()) };
        let (timestamp, signature) = (only(headers, TIMESTAMP), only(headers, SIGNATURE));
        let task_id = read_task_id(body).ok_or(BadSignature::Wrong);
        let checked = task_id.and_then(|task_id| key.verify(&task_id, timestamp, signature, self.clock.unix()));
        checked.map_err(|bad| {
            warn!(reason = %bad, "a callback with a valid token is not signed as it must be");
            Refusal::BadSignature
        })
    }

    async fn note(&self, task: MusicTaskId, deadline: Instant) -> Result<(), Refusal> {
        match timeout_at(deadline, self.hints.hint(task)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failed)) => {
                let cause = std::error::Error::source(&failed).map(ToString::to_string).unwrap_or_default();
                warn!(cause, "{failed}; the service will call again");
                Err(Refusal::NotNoted)
            }
            Err(_) => {
                warn!("a hint was not noted in time; the service will call again");
                Err(Refusal::NotNoted)
            }
        }
    }

    async fn health(&self, deadline: Instant) -> Health {
        match timeout_at(deadline, self.hints.is_well()).await {
            Ok(true) => Health::Well,
            Ok(false) | Err(_) => Health::Unwell,
        }
    }
}

/// The value of a header that is there once, as text.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.to_str().ok())?
}

/// How many requests came to what.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

/// The numbers of a [`Tally`].
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) refused: BTreeMap<Refusal, u64>,
    pub(super) accept_failures: u64,
}

impl Tally {
    fn count(&self, answer: Answer) {
        match answer {
            Answer::Noted => self.counts().received += 1,
            Answer::Refused(refusal) => {
                // The path stays out of the log: it may hold a token.
                debug!(?refusal, "request refused");
                *self.counts().refused.entry(refusal).or_default() += 1;
            }
            Answer::Health(_) => {}
        }
    }

    pub(super) fn count_accept_failure(&self) {
        self.counts().accept_failures += 1;
    }

    pub(super) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_counts_only_once_and_as_text() {
        let mut headers = HeaderMap::new();
        assert_eq!(only(&headers, TIMESTAMP), None);
        headers.append(TIMESTAMP, "7".parse().unwrap());
        assert_eq!(only(&headers, TIMESTAMP), Some("7"));
        headers.append(TIMESTAMP, "7".parse().unwrap());
        assert_eq!(only(&headers, TIMESTAMP), None);
        headers.append(SIGNATURE, hyper::header::HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(only(&headers, SIGNATURE), None);
    }
}
