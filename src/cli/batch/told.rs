//! What a person has been told of the results that are there, and what the next mail therefore calls new.

use crate::clock::UnixMillis;
use crate::ledger::PastRun;

/// What has been told of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// All that they say.
    Everything,
    /// What had become of the rows by then.
    Until(UnixMillis),
    /// Nothing.
    Nothing,
}

impl Told {
    /// What these runs over a catalog have told, the latest first. One that took up some rows only, such as a trial with
    /// `--limit`, told of these, and whoever started it: the mail of the night is to tell of them all the same.
    pub(super) fn by<'a>(runs: impl Iterator<Item = &'a PastRun>) -> Self {
        let mut told = Self::Everything;
        for run in runs {
            told = match (run.ended, run.is_partial, told) {
                (Some(ended), false, _) => return Self::Until(ended),
                (Some(_), true, _) | (None, _, Self::Nothing) => Self::Nothing,
                // One that was killed told nothing of what it did. What is older may be results of a ledger that is lost.
                (None, _, Self::Everything | Self::Until(_)) => Self::Until(run.started),
            };
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(is_partial: bool, ended: Option<i64>) -> PastRun {
        let ended = ended.map(UnixMillis);
        let (submits, started, cut_short, result) = (true, UnixMillis(0), None, None);
        PastRun { submits, is_partial, started, ended, cut_short, result, command: String::new() }
    }

    #[test]
    fn the_last_whole_run_that_ended_has_told_of_all_rows() {
        let told = |runs: &[PastRun]| Told::by(runs.iter());
        let (whole, partial) = (|ended| run(false, Some(ended)), |ended| run(true, Some(ended)));
        let killed = || run(false, None);
        assert_eq!(told(&[partial(9), killed(), partial(7), whole(5), whole(3)]), Told::Until(UnixMillis(5)));
        assert_eq!(told(&[whole(5), partial(3)]), Told::Until(UnixMillis(5)));
        assert_eq!(told(&[killed(), partial(3)]), Told::Nothing);
        // The results are those of another ledger, which is lost.
        assert_eq!(told(&[]), Told::Everything);
        assert_eq!(told(&[killed(), run(true, None)]), Told::Until(UnixMillis(0)));
    }
}
