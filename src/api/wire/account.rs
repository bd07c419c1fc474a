//! Haste or an empty account: 429 means either, which depends on the provider, and where its words do not tell, the
//! balance does.

use super::envelope::Envelope;
use super::raw::RawAnswer;
use super::words::speaks_of;
use crate::domain::{Outcome, Reason, Verdict};

/// Who offers the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// `api.sunoapi.org`.
    Sunoapi,
    /// `api.kie.ai`.
    Kie,
}

impl Provider {
    /// Where the API is.
    #[must_use]
    pub const fn base_url(self) -> &'static str {
        match self {
            Self::Sunoapi => "https://api.sunoapi.org",
            Self::Kie => "https://api.kie.ai",
        }
    }

    /// Where the balance of the account can be read.
    #[must_use]
    pub const fn balance_path(self) -> &'static str {
        match self {
            Self::Sunoapi => "/api/v1/generate/credit",
            Self::Kie => "/api/v1/chat/credit",
        }
    }

    /// Whether a 429 without any words may mean an empty account: sunoapi.org's older table says so, while kie.ai
    /// documents 402 for that.
    const fn means_money_by_429(self) -> bool {
        match self {
            Self::Sunoapi => true,
            Self::Kie => false,
        }
    }
}

/// Whether a 429 can mean haste as well as an empty account, so that only the balance can tell.
#[must_use]
pub fn is_unclear(outcome: &Outcome, provider: Provider) -> bool {
    let is_429 =
        outcome.answer.code == Some(429) || (outcome.answer.code, outcome.answer.http_status) == (None, Some(429));
    match Topic::of(&outcome.answer.message) {
        Topic::Both => is_429,
        Topic::Neither => is_429 && provider.means_money_by_429(),
        Topic::Haste | Topic::Money => false,
    }
}

/// Whether an answer of the balance endpoint says that the account is empty; `None` if it does not say.
///
/// Balances come with decimals, though documented as whole numbers.
#[must_use]
pub fn read_is_empty(body: &[u8]) -> Option<bool> {
    let text = RawAnswer::new(200, body).text();
    let envelope = Envelope::read(&text);
    match (envelope.code?, envelope.data) {
        (200, Some(data)) => serde_json::from_str::<f64>(data.get()).ok().map(|balance| balance <= 0.0),
        (402 | 433, _) => Some(true),
        (429, _) if Topic::of(&envelope.words) == Topic::Money => Some(true),
        (_, _) => None,
    }
}

/// The outcome of an unclear 429, once it is known whether the account is empty.
#[must_use]
pub fn resolved(outcome: Outcome, is_empty: bool) -> Outcome {
    if is_empty { Outcome { verdict: Verdict::NoCredits, reason: Reason::NoCredits, ..outcome } } else { outcome }
}

/// What the words of a 429 are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Haste,
    Money,
    Both,
    Neither,
}

impl Topic {
    pub(super) fn of(message: &str) -> Self {
        const HASTE: [&str; 5] = ["frequen", "too many", "too fast", "rate limit", "频率"];
        const MONEY: [&str; 7] = ["credit", "balance", "insufficient", "top up", "recharge", "余额", "积分"];
        match (speaks_of(message, &HASTE), speaks_of(message, &MONEY)) {
            (true, true) => Self::Both,
            (true, false) => Self::Haste,
            (false, true) => Self::Money,
            (false, false) => Self::Neither,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::submission::tests::{CREDITS, FREQUENCY, envelope, read};
    use super::*;

    #[test]
    fn an_unclear_429_is_one_that_may_mean_either() {
        let both = "Request frequency exceeds the credits of your plan";
        for (message, sunoapi, kie) in
            [(FREQUENCY, false, false), (CREDITS, false, false), ("", true, false), (both, true, true)]
        {
            for outcome in [read(200, &envelope(429, message, false)), read(429, message)] {
                assert_eq!(is_unclear(&outcome, Provider::Sunoapi), sunoapi, "{message}");
                assert_eq!(is_unclear(&outcome, Provider::Kie), kie, "{message}");
            }
        }
        assert!(!is_unclear(&read(200, &envelope(500, "", false)), Provider::Sunoapi));
    }

    #[test]
    fn a_balance_is_empty_at_nothing_or_less_and_says_nothing_when_it_cannot_be_read() {
        let table: [(&str, Option<bool>); 9] = [
            (r#"{"code":200,"msg":"success","data":100}"#, Some(false)),
            (r#"{"code":200,"data":0.4}"#, Some(false)),
            (r#"{"code":200,"data":0}"#, Some(true)),
            (r#"{"code":200,"data":-2.5}"#, Some(true)),
            (r#"{"code":200,"data":null}"#, None),
            (r#"{"code":429,"msg":"The current credits are insufficient."}"#, Some(true)),
            (r#"{"code":429,"msg":"Your call frequency is too high."}"#, None),
            (r#"{"code":402}"#, Some(true)),
            ("<html>", None),
        ];
        for (body, is_empty) in table {
            assert_eq!(read_is_empty(body.as_bytes()), is_empty, "{body}");
        }
    }
}
