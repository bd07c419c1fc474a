//! What is found after acceptance: the part of a music task id's fate that shows in the records. Pure.
//!
//! The table is in the parent module; what becomes of the requests themselves is `fate`.

use super::fate::{Fate, Times, word_of};

/// What becomes of the covers of one music task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CoverCourse {
    /// Done, unless chance has it fail.
    Ordinary,
    /// These fail.
    Failing(Times),
    /// Done, but the record names another music task.
    Foreign,
    /// Done, without images.
    WithoutImages,
    /// Running for ever.
    Stuck,
}

impl CoverCourse {
    /// The course that this music task id spells out.
    pub(super) fn of(id: &str) -> Self {
        match word_of(id) {
            Some(("genfail", times)) => Self::Failing(times),
            Some(("foreign", Times::Always)) => Self::Foreign,
            Some(("noimages", Times::Always)) => Self::WithoutImages,
            Some(("stuck", Times::Always)) => Self::Stuck,
            Some(_) | None => Self::Ordinary,
        }
    }
}

/// What the record of one music task says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MusicCourse {
    /// The music is there.
    Finished,
    /// These reads find it unfinished.
    Unfinished(Times),
    /// It could not be made.
    Failed,
    /// There is no such music task.
    Unknown,
}

impl MusicCourse {
    /// The course that this music task id spells out.
    pub(super) fn of(id: &str) -> Self {
        match word_of(id) {
            Some(("unfinished", times)) => Self::Unfinished(times),
            Some(("musicfail", Times::Always)) => Self::Failed,
            Some(_) | None if Fate::of(id).is_unknown() => Self::Unknown,
            Some(_) | None => Self::Finished,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_spells_out_the_course_of_its_covers() {
        let twice = Times::First(2.try_into().unwrap());
        let table = [
            ("genfail-1", CoverCourse::Failing(Times::Always)),
            ("genfailx2-1", CoverCourse::Failing(twice)),
            ("foreign-1", CoverCourse::Foreign),
            ("noimages-1", CoverCourse::WithoutImages),
            ("stuck-1", CoverCourse::Stuck),
            ("stuck", CoverCourse::Ordinary),
            ("stuck-", CoverCourse::Ordinary),
            ("stuckx2-1", CoverCourse::Ordinary),
            ("genfailx0-1", CoverCourse::Ordinary),
            ("73d6128b3523a0079df10da9471017c8", CoverCourse::Ordinary),
        ];
        for (id, course) in table {
            assert_eq!((CoverCourse::of(id), Fate::of(id)), (course, Fate::Ordinary), "{id}");
        }
    }

    #[test]
    fn an_id_spells_out_the_course_of_its_music() {
        let twice = Times::First(2.try_into().unwrap());
        let table = [
            ("unfinished-1", MusicCourse::Unfinished(Times::Always)),
            ("unfinishedx2-1", MusicCourse::Unfinished(twice)),
            ("musicfail-1", MusicCourse::Failed),
            ("musicfailx2-1", MusicCourse::Finished),
            ("code-422-1", MusicCourse::Unknown),
            ("code-422x1-1", MusicCourse::Finished),
            ("genfail-1", MusicCourse::Finished),
            ("a", MusicCourse::Finished),
        ];
        for (id, course) in table {
            assert_eq!(MusicCourse::of(id), course, "{id}");
        }
    }
}
