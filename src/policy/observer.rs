//! What answers tell beside one another, which none of them tells alone.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use crate::domain::{Answer, CoverTaskId, MusicTaskId, Outcome, Reason, Verdict, one_line};

/// So many different rows that get into trouble one after another are an outage, whatever words the service has for it.
pub const OUTAGE_ROWS: usize = 10;

/// So many answers one after another that cannot be read, and none before that could, are no answers of the service.
pub const UNREADABLE_ANSWERS: u32 = 5;

/// Covers that are remembered at least; twice as many at most. An answer that came late belongs to a request on the same
/// connection, and that is not long ago.
const REMEMBERED_COVERS: usize = 32_768;

/// Rows in trouble that are remembered. As many may wait for another attempt, and then some.
const REMEMBERED_ROWS: usize = 32_768;

/// How the service does, as far as its last answers tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Nothing is known against it.
    Good,
    /// It serves nobody, though it does not say so: [`OUTAGE_ROWS`].
    Down,
    /// It has not been understood yet: [`UNREADABLE_ANSWERS`].
    NotUnderstood,
    /// It gave this row the cover of another one: answers and requests do not belong together on its connection.
    OutOfStep,
}

/// The memory of a run over the answers to its submissions.
#[derive(Debug, Default)]
pub struct Observer {
    /// Different rows that got into trouble since the last answer that served one, at most [`OUTAGE_ROWS`], as hashes.
    in_trouble: HashSet<u64>,
    /// Rows that were in trouble while others were served.
    broken: HashSet<u64>,
    has_understood: bool,
    unreadable: u32,
    covers: Covers,
}

impl Observer {
    /// Takes note of the answer for `task`. Returns it as it is to be taken, which differs for a cover that was given to
    /// another row before: that is no acceptance, and the row is in doubt.
    pub fn observe(&mut self, task: &MusicTaskId, outcome: Outcome) -> (Outcome, Health) {
        self.has_understood |= outcome.verdict != Verdict::Lost && outcome.answer.code.is_some();
        match &outcome.verdict {
            Verdict::Accepted(cover) | Verdict::Covered(Some(cover)) if self.covers.is_foreign(cover, task) => {
                return (foreign(&outcome), Health::OutOfStep);
            }
            Verdict::Accepted(_)
            | Verdict::Covered(_)
            | Verdict::Throttled
            | Verdict::NoCredits
            | Verdict::Unauthorized
            | Verdict::WrongAddress
            | Verdict::Rejected => self.served(),
            Verdict::Lost if outcome.reason == Reason::BadResponse => return self.unreadable(outcome),
            Verdict::Lost => return self.trouble(task, outcome),
            Verdict::Troubled if matches!(outcome.reason, Reason::ServerError | Reason::Timeout) => {
                return self.trouble(task, outcome);
            }
            // Neither tells whether rows are served.
            Verdict::Troubled | Verdict::Unavailable => {}
        }
        (outcome, Health::Good)
    }

    /// The service serves rows: what was in trouble until now is so for reasons of its own, unless all were.
    fn served(&mut self) {
        if self.broken.len() >= REMEMBERED_ROWS {
            self.broken.clear();
        }
        let was_down = self.in_trouble.len() >= OUTAGE_ROWS;
        self.broken.extend(self.in_trouble.drain().filter(|_| !was_down));
    }

    /// Trouble of this row, unless that of too many others came just before it.
    fn trouble(&mut self, task: &MusicTaskId, outcome: Outcome) -> (Outcome, Health) {
        let row = hash(task.as_str());
        // A row that was in trouble while others were served proves nothing: the last rows of a run are often all like that.
        if self.in_trouble.len() < OUTAGE_ROWS && !self.broken.contains(&row) {
            self.in_trouble.insert(row);
        }
        (outcome, if self.in_trouble.len() < OUTAGE_ROWS { Health::Good } else { Health::Down })
    }

    /// An answer that came and says nothing.
    fn unreadable(&mut self, outcome: Outcome) -> (Outcome, Health) {
        self.unreadable = self.unreadable.saturating_add(1);
        let is_enough = !self.has_understood && self.unreadable >= UNREADABLE_ANSWERS;
        (outcome, if is_enough { Health::NotUnderstood } else { Health::Good })
    }
}

fn hash(id: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(id)
}

/// The outcome for a row whose answer holds the cover of another one.
fn foreign(outcome: &Outcome) -> Outcome {
    let message = format!("the cover is that of another music task: {}", outcome.answer.message);
    let answer = Answer { message: one_line(&message), ..outcome.answer };
    Outcome { verdict: Verdict::Lost, reason: Reason::BadResponse, answer, retry_after: None }
}

/// Which music task each of the last covers was given for, as hashes: ten million rows keep to two megabytes.
#[derive(Debug, Default)]
struct Covers {
    recent: HashMap<u64, u64>,
    before: HashMap<u64, u64>,
}

impl Covers {
    /// Whether `cover` was given for another music task than `task`; remembers it if it was not given before.
    fn is_foreign(&mut self, cover: &CoverTaskId, task: &MusicTaskId) -> bool {
        let (cover, task) = (hash(cover.as_str()), hash(task.as_str()));
        if let Some(owner) = self.recent.get(&cover).or_else(|| self.before.get(&cover)) {
            return *owner != task;
        }
        if self.recent.len() >= REMEMBERED_COVERS {
            self.before = std::mem::take(&mut self.recent);
        }
        self.recent.insert(cover, task);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(number: usize) -> MusicTaskId {
        MusicTaskId::new(format!("m{number}")).unwrap()
    }

    fn outcome(verdict: Verdict, reason: Reason, code: Option<i64>) -> Outcome {
        let answer = Answer { http_status: Some(200), code, message: "words".to_owned() };
        Outcome { verdict, reason, answer, retry_after: None }
    }

    fn accepted(number: usize) -> Outcome {
        let cover = CoverTaskId::new(format!("c{number}")).unwrap();
        outcome(Verdict::Accepted(cover), Reason::Accepted, Some(200))
    }

    fn failing() -> Outcome {
        outcome(Verdict::Troubled, Reason::ServerError, Some(500))
    }

    fn silent() -> Outcome {
        outcome(Verdict::Lost, Reason::Timeout, None)
    }

    fn unreadable() -> Outcome {
        outcome(Verdict::Lost, Reason::BadResponse, None)
    }

    /// How the service does after each of these answers.
    fn healths(answers: impl IntoIterator<Item = (usize, Outcome)>) -> Vec<Health> {
        let mut observer = Observer::default();
        answers.into_iter().map(|(number, outcome)| observer.observe(&task(number), outcome).1).collect()
    }

    #[test]
    fn ten_different_rows_in_trouble_one_after_another_are_an_outage_until_a_row_is_served() {
        let answers = (0..12).map(|row| (row, if row % 2 == 0 { failing() } else { silent() }));
        let seen = healths(answers.chain([(12, accepted(12)), (13, failing())]));
        assert_eq!(seen[..9], [Health::Good; 9]);
        assert_eq!(seen[9..12], [Health::Down; 3]);
        assert_eq!(seen[12..], [Health::Good; 2]);
    }

    #[test]
    fn one_row_in_trouble_again_and_again_is_no_outage_and_its_probe_in_one_still_is() {
        assert!(healths((0..50).map(|answer| (answer % 9, failing()))).iter().all(|health| *health == Health::Good));
        let probes = healths((0..10).map(|row| (row, failing())).chain([(3, silent()), (3, failing())]));
        assert_eq!(probes[9..], [Health::Down; 3]);
    }

    #[test]
    fn the_rows_that_are_left_at_the_end_for_their_trouble_are_no_outage() {
        let answers = (0..50).flat_map(|row| [(row, failing()), (1000 + row, accepted(row))]);
        let tail = (0..5).flat_map(|_| (0..50).map(|row| (row, failing())));
        let seen = healths(answers.chain(tail).chain((50..60).map(|row| (row, silent()))).chain([(1, failing())]));
        assert!(seen[..seen.len() - 2].iter().all(|health| *health == Health::Good));
        assert_eq!(seen[seen.len() - 2..], [Health::Down; 2], "ten others, and a probe");
    }

    #[test]
    fn an_outage_is_found_again_though_the_same_rows_were_in_the_one_before() {
        let outage = || (0..10).map(|row| (row, failing()));
        let seen = healths(outage().chain([(10, accepted(10))]).chain(outage()));
        assert_eq!((seen[9], seen[19], seen[20]), (Health::Down, Health::Good, Health::Down));
    }

    #[test]
    fn rows_whose_earlier_answers_said_nothing_of_the_service_count_like_others() {
        let page = || outcome(Verdict::Troubled, Reason::BadResponse, None);
        let seen = healths((0..10).map(|row| (row, page())).chain((0..10).map(|row| (row, failing()))));
        assert_eq!((seen[18], seen[19]), (Health::Good, Health::Down));
    }

    #[test]
    fn the_rows_that_are_remembered_are_not_many_more_than_wait() {
        let mut observer = Observer::default();
        for row in 0..=2 * REMEMBERED_ROWS {
            observer.observe(&task(row), failing());
            observer.observe(&task(row), accepted(row));
        }
        assert!((1..=REMEMBERED_ROWS).contains(&observer.broken.len()));
    }

    #[test]
    fn what_ends_a_series_of_trouble_and_what_does_not() {
        let after = |between: Outcome| {
            let rows = (0..9).map(|row| (row, failing())).chain([(50, between), (9, failing())]);
            *healths(rows).last().unwrap()
        };
        for (verdict, reason) in [
            (Verdict::Covered(None), Reason::AlreadyExists),
            (Verdict::Rejected, Reason::InvalidRequest),
            (Verdict::Throttled, Reason::RateLimited),
        ] {
            assert_eq!(after(outcome(verdict, reason, Some(422))), Health::Good);
        }
        for (verdict, reason) in [
            (Verdict::Unavailable, Reason::Connection),
            (Verdict::Troubled, Reason::BadResponse),
            (Verdict::Lost, Reason::BadResponse),
        ] {
            assert_eq!(after(outcome(verdict, reason, None)), Health::Down);
        }
    }

    #[test]
    fn five_unreadable_answers_before_any_was_understood_are_enough() {
        assert_eq!(healths((0..4).map(|row| (row, unreadable()))), [Health::Good; 4]);
        assert_eq!(healths((0..5).map(|_| (1, unreadable())))[4], Health::NotUnderstood);
        let between = [unreadable(), unreadable(), silent(), unreadable(), unreadable(), unreadable()];
        assert_eq!(healths(between.map(|answer| (1, answer)))[5], Health::NotUnderstood);
    }

    #[test]
    fn a_service_that_was_understood_once_may_babble() {
        for first in [accepted(0), failing(), outcome(Verdict::Throttled, Reason::RateLimited, Some(429))] {
            let answers = [(0, first)].into_iter().chain((1..20).map(|row| (row, unreadable())));
            assert_eq!(healths(answers), [Health::Good; 20]);
        }
        let page = outcome(Verdict::Troubled, Reason::BadResponse, None);
        let pages = [(0, page)].into_iter().chain((1..6).map(|row| (row, unreadable())));
        assert_eq!(healths(pages)[5], Health::NotUnderstood, "an error page is nothing that was understood");
    }

    #[test]
    fn a_cover_belongs_to_the_first_music_task_it_was_given_for() {
        let mut observer = Observer::default();
        assert_eq!(observer.observe(&task(1), accepted(1)), (accepted(1), Health::Good));
        let existing = Verdict::Covered(CoverTaskId::new("c1").ok());
        let again = outcome(existing.clone(), Reason::AlreadyExists, Some(400));
        assert_eq!(observer.observe(&task(1), again.clone()), (again.clone(), Health::Good), "its own");
        for foreign in [accepted(1), again] {
            let (taken, health) = observer.observe(&task(2), foreign);
            assert_eq!((taken.verdict, taken.reason, health), (Verdict::Lost, Reason::BadResponse, Health::OutOfStep));
            assert_eq!(taken.answer.message, "the cover is that of another music task: words");
        }
        assert_eq!(observer.observe(&task(2), accepted(2)).1, Health::Good);
    }

    #[test]
    fn the_last_32768_covers_are_remembered_and_not_many_more() {
        let mut observer = Observer::default();
        for number in 0..=3 * REMEMBERED_COVERS {
            observer.observe(&task(number), accepted(number));
        }
        let mut is_known = |back: usize| {
            let cover = 3 * REMEMBERED_COVERS - back;
            observer.observe(&task(cover + 1_000_000), accepted(cover)).1 == Health::OutOfStep
        };
        assert!(is_known(0) && is_known(REMEMBERED_COVERS));
        let remembered = observer.covers.recent.len() + observer.covers.before.len();
        assert!(remembered <= 2 * REMEMBERED_COVERS, "{remembered}");
    }
}
