//! How much a run may spend, and whether it may ask for one more cover.
//!
//! The service tells no price, only balances. So the first cover is asked for alone, and the difference that it makes is
//! the price until more is known. Whatever else spends from the account meanwhile counts as spent by the run: it stops too
//! early rather than too late.

use serde::Serialize;

use crate::domain::{Credits, Reason};

/// Covers asked for between two reads of the balance, at most.
pub const MOST_BETWEEN_READS: u64 = 100;

/// What a run may spend (`--max-credits`), and what it has spent as far as that is known.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    limit: Credits,
    balances: Option<Balances>,
    spent: Credits,
    /// Covers accepted, and those of them that the last balance includes.
    accepted: u64,
    included: u64,
    /// Covers asked for since the last balance.
    asked: u64,
}

/// The first and the last balance of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Balances {
    first: Credits,
    last: Credits,
}

/// What may be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// One more cover may be asked for.
    Cover,
    /// First the balance is to be read, once every answer is there.
    Balance,
    /// Nothing: one more cover would cost too much.
    Nothing,
}

/// What a run has spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Spending {
    /// What it may spend.
    pub limit: Credits,
    /// What the account had at its start.
    pub at_start: Credits,
    /// What it had when that was last read.
    pub left: Credits,
    /// By how much it became less in between.
    pub spent: Credits,
}

impl Budget {
    /// Nothing is spent yet.
    #[must_use]
    pub const fn new(limit: Credits) -> Self {
        Self { limit, balances: None, spent: Credits::ZERO, accepted: 0, included: 0, asked: 0 }
    }

    /// A cover is about to be asked for.
    pub const fn ask(&mut self) {
        self.asked += 1;
    }

    /// What became of that: what its answer meant, or that it was not asked for after all.
    pub fn answer(&mut self, reason: Option<Reason>) {
        // None is left to take back if a balance was read since.
        self.asked = self.asked.saturating_sub(u64::from(reason.is_none()));
        self.accepted += u64::from(reason == Some(Reason::Accepted));
    }

    /// The balance was read while no answer was awaited. More than before is a refill, which is not for this run alone.
    pub fn read(&mut self, balance: Credits) {
        let balances = self.balances.get_or_insert(Balances { first: balance, last: balance });
        self.spent = self.spent.plus(balance.less_than(balances.last));
        balances.last = balance;
        (self.included, self.asked) = (self.accepted, 0);
    }

    /// What may be done next.
    #[must_use]
    pub fn allowance(&self) -> Allowance {
        let price = self.spent.each_of(self.included);
        // As long as covers seem to cost nothing, that is believed of twice as many each time.
        let most = if price > Credits::ZERO { MOST_BETWEEN_READS } else { self.included.clamp(1, MOST_BETWEEN_READS) };
        if self.balances.is_none() {
            Allowance::Balance
        } else if self.asked < most && self.spent.plus(price.times(self.asked + 1)) <= self.limit {
            Allowance::Cover
        } else if self.asked > 0 {
            Allowance::Balance
        } else {
            Allowance::Nothing
        }
    }

    /// Whether the balance may be another by now than when it was last read.
    #[must_use]
    pub const fn is_read_again_at_the_end(&self) -> bool {
        self.balances.is_none() || self.asked > 0
    }

    /// What is known of it, if any balance is.
    #[must_use]
    pub fn spending(&self) -> Option<Spending> {
        let Balances { first, last } = self.balances?;
        Some(Spending { limit: self.limit, at_start: first, left: last, spent: self.spent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credits(text: &str) -> Credits {
        text.parse().unwrap()
    }

    /// Sends as many as are allowed at `price` each; how many, and what was left at each read.
    fn run(limit: &str, at_start: &str, price: &str) -> (u64, Vec<u64>) {
        let (mut budget, mut sent, mut reads) = (Budget::new(credits(limit)), 0, Vec::new());
        loop {
            match budget.allowance() {
                Allowance::Cover if sent == 1_000 => return (sent, reads),
                Allowance::Cover => {
                    budget.ask();
                    budget.answer(Some(Reason::Accepted));
                    sent += 1;
                }
                Allowance::Balance => {
                    budget.read(credits(price).times(sent).less_than(credits(at_start)));
                    reads.push(sent);
                }
                Allowance::Nothing => return (sent, reads),
            }
        }
    }

    #[test]
    fn a_run_spends_no_more_than_it_may_and_all_of_that() {
        assert_eq!(run("10", "5000", "1"), (10, vec![0, 1, 10]));
        assert_eq!(run("11.9", "5000", "4"), (2, vec![0, 1, 2]));
        assert_eq!(run("0.4", "5000", "0.4"), (1, vec![0, 1]));
        assert_eq!(run("3", "5000", "4").0, 1, "the first tells the price");
        assert_eq!(run("250", "5000", "1"), (250, vec![0, 1, 101, 201, 250]));
    }

    #[test]
    fn covers_that_cost_nothing_are_believed_to_slowly() {
        let (sent, reads) = run("0", "5000", "0");
        assert_eq!((sent, &reads[..10]), (1_000, [0, 1, 2, 4, 8, 16, 32, 64, 128, 228].as_slice()));
    }

    #[test]
    fn what_is_not_accepted_costs_nothing_once_the_balance_has_told() {
        let mut budget = Budget::new(credits("2"));
        budget.read(credits("10"));
        for (balance, is_accepted) in [("9", true), ("9", false), ("9", false), ("8", true)] {
            assert_eq!(budget.allowance(), Allowance::Cover, "{balance}");
            budget.ask();
            assert!(budget.is_read_again_at_the_end());
            budget.answer(Some(if is_accepted { Reason::Accepted } else { Reason::ServerError }));
            budget.read(credits(balance));
        }
        assert_eq!(budget.allowance(), Allowance::Nothing);
    }

    #[test]
    fn a_cover_that_was_not_asked_for_after_all_is_taken_back_once_at_most() {
        let mut budget = Budget::new(credits("2"));
        budget.read(credits("10"));
        budget.ask();
        budget.read(credits("10"));
        budget.answer(None);
        assert_eq!((budget.allowance(), budget.is_read_again_at_the_end()), (Allowance::Cover, false));
    }

    #[test]
    fn a_refill_is_no_room_and_the_spending_of_others_counts() {
        let mut budget = Budget::new(credits("10"));
        assert_eq!((budget.spending(), budget.is_read_again_at_the_end()), (None, true));
        for balance in ["100", "98", "600", "597"] {
            budget.read(credits(balance));
        }
        let expected =
            Spending { limit: credits("10"), at_start: credits("100"), left: credits("597"), spent: credits("5") };
        assert_eq!((budget.spending(), budget.is_read_again_at_the_end()), (Some(expected), false));
    }
}
