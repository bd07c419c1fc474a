//! The grammar of music task ids that spell out their fate; the table is in the parent module. Pure.

use std::num::NonZeroU32;

/// What becomes of the requests for one music task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Accepted once, then a duplicate.
    Ordinary,
    /// A finished cover is there before the first request.
    Covered,
    /// A cover is there, and its id is not told.
    CoveredWithoutId,
    /// A cover record is there (409), and its id is not told.
    Conflict,
    /// A fault, for all requests or the first few.
    Faulted(Fault, Times),
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Another answer is given in its place, and the service does nothing.
    Instead(Canned),
    /// The service acts, and its answer is lost, late or spoilt.
    Spoilt(Damage),
}

/// An answer that is always the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Canned {
    /// HTTP 200 with this code in the body.
    Code(u16),
    /// This HTTP status, as the service or its gateway would send it.
    Http(u16),
    /// 429 with the message about credits.
    Broke,
    /// A page where JSON is expected.
    Html,
    /// No body.
    Empty,
    /// JSON without `code`.
    NoCode,
    /// Code 200 without an id.
    NoId,
}

/// What happens to a proper answer on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// It is padded to more than 1 MiB.
    Huge,
    /// Its second half is missing, though HTTP says it is whole.
    Garbled,
    /// The connection breaks before its end.
    Cut,
    /// It never comes.
    Hang,
    /// It comes late.
    Slow,
}

/// Which of the requests or covers for one music task something befalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    /// All.
    Always,
    /// The first so many.
    First(NonZeroU32),
}

impl Fate {
    /// The fate that this music task id spells out.
    pub(super) fn of(id: &str) -> Self {
        Self::spelled(id).unwrap_or(Self::Ordinary)
    }

    /// The fault that befalls the request that has `before` others before it.
    pub(super) fn fault(self, before: u32) -> Option<Fault> {
        match self {
            Self::Faulted(fault, times) => times.include(before).then_some(fault),
            Self::Ordinary | Self::Covered | Self::CoveredWithoutId | Self::Conflict => None,
        }
    }

    /// Whether the service will never know this music task (404 or 422 for all requests).
    pub(super) fn is_unknown(self) -> bool {
        let unknown = |code| Self::Faulted(Fault::Instead(code), Times::Always) == self;
        [404, 422].into_iter().any(|code| unknown(Canned::Code(code)) || unknown(Canned::Http(code)))
    }

    fn spelled(id: &str) -> Option<Self> {
        let (word, rest) = id.split_once('-').filter(|(_, rest)| !rest.is_empty())?;
        let fate = match word {
            "covered" if rest.strip_prefix("noid-").is_some_and(|rest| !rest.is_empty()) => Self::CoveredWithoutId,
            "covered" => Self::Covered,
            "conflict" => Self::Conflict,
            "code" | "http" => numbered(word, rest)?,
            _ => {
                let (word, times) = word_of(id)?;
                Self::Faulted(named(word)?, times)
            }
        };
        Some(fate)
    }
}

impl Times {
    /// Whether the one that has `before` others before it is among them.
    pub(super) const fn include(self, before: u32) -> bool {
        match self {
            Self::Always => true,
            Self::First(many) => before < many.get(),
        }
    }
}

/// The word that an id of the form `word-rest` or `wordxK-rest` begins with, and for how many it holds.
pub(super) fn word_of(id: &str) -> Option<(&str, Times)> {
    let (word, _) = id.split_once('-').filter(|(_, rest)| !rest.is_empty())?;
    times(word)
}

/// The fate in `code-` or `http-` and this `NNN-rest` or `NNNxK-rest`.
fn numbered(word: &str, rest: &str) -> Option<Fate> {
    let (number, _) = rest.split_once('-').filter(|(_, rest)| !rest.is_empty())?;
    let (digits, times) = times(number)?;
    let number: u16 = digits.parse().ok().filter(|_| is_number(digits))?;
    let canned = match (word, number) {
        ("code", 100..=999) => Canned::Code(number),
        ("http", 200..=599) => Canned::Http(number),
        _ => return None,
    };
    Some(Fate::Faulted(Fault::Instead(canned), times))
}

/// The fault that this word names.
fn named(word: &str) -> Option<Fault> {
    Some(match word {
        "broke" => Fault::Instead(Canned::Broke),
        "html" => Fault::Instead(Canned::Html),
        "empty" => Fault::Instead(Canned::Empty),
        "nocode" => Fault::Instead(Canned::NoCode),
        "noid" => Fault::Instead(Canned::NoId),
        "huge" => Fault::Spoilt(Damage::Huge),
        "garbled" => Fault::Spoilt(Damage::Garbled),
        "cut" => Fault::Spoilt(Damage::Cut),
        "hang" => Fault::Spoilt(Damage::Hang),
        "slow" => Fault::Spoilt(Damage::Slow),
        _ => return None,
    })
}

/// `wordxK` taken apart; without an `x`, always. `None` if what follows the `x` is not a number from 1.
fn times(text: &str) -> Option<(&str, Times)> {
    let Some((word, count)) = text.split_once('x') else { return Some((text, Times::Always)) };
    let count = count.parse().ok().filter(|_| is_number(count))?;
    Some((word, Times::First(count)))
}

/// Whether these are digits without sign or leading zero, so that there is one way to write each number.
pub(super) fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn always(canned: Canned) -> Fate {
        Fate::Faulted(Fault::Instead(canned), Times::Always)
    }

    fn first(count: u32, canned: Canned) -> Fate {
        Fate::Faulted(Fault::Instead(canned), Times::First(count.try_into().unwrap()))
    }

    fn spoilt(damage: Damage, times: Times) -> Fate {
        Fate::Faulted(Fault::Spoilt(damage), times)
    }

    #[test]
    fn an_id_spells_out_its_fate() {
        let twice = Times::First(2.try_into().unwrap());
        let table = [
            ("covered-1", Fate::Covered),
            ("covered-noid", Fate::Covered),
            ("covered-noid-1", Fate::CoveredWithoutId),
            ("conflict-a-b", Fate::Conflict),
            ("code-455-1", always(Canned::Code(455))),
            ("code-100-1", always(Canned::Code(100))),
            ("code-999-1", always(Canned::Code(999))),
            ("code-500x2-1", first(2, Canned::Code(500))),
            ("http-502-1", always(Canned::Http(502))),
            ("http-200-1", always(Canned::Http(200))),
            ("http-599-1", always(Canned::Http(599))),
            ("http-403x10-a-b", first(10, Canned::Http(403))),
            ("broke-1", always(Canned::Broke)),
            ("brokex1-1", first(1, Canned::Broke)),
            ("html-1", always(Canned::Html)),
            ("htmlx2-1", first(2, Canned::Html)),
            ("empty-1", always(Canned::Empty)),
            ("nocode-1", always(Canned::NoCode)),
            ("noid-1", always(Canned::NoId)),
            ("huge-1", spoilt(Damage::Huge, Times::Always)),
            ("garbledx2-1", spoilt(Damage::Garbled, twice)),
            ("cut-1", spoilt(Damage::Cut, Times::Always)),
            ("cutx2-1", spoilt(Damage::Cut, twice)),
            ("hang-1", spoilt(Damage::Hang, Times::Always)),
            ("hangx2-1", spoilt(Damage::Hang, twice)),
            ("slow-1", spoilt(Damage::Slow, Times::Always)),
        ];
        for (id, fate) in table {
            assert_eq!(Fate::of(id), fate, "{id}");
        }
    }

    #[test]
    fn any_other_id_is_an_ordinary_track() {
        let ids = [
            "",
            "-",
            "73d6128b3523a0079df10da9471017c8",
            "html",
            "html-",
            "HTML-1",
            "htmlx-1",
            "htmlx0-1",
            "htmlx02-1",
            "htmlx+2-1",
            "htmlx2x2-1",
            "htmlx4294967296-1",
            "xhtml-1",
            "coveredx2-1",
            "conflictx2-1",
            "code-",
            "code-455",
            "code-455-",
            "code-99-1",
            "code-1000-1",
            "code-+55-1",
            "code-045-1",
            "code-455x-1",
            "codex2-455-1",
            "http-199-1",
            "http-600-1",
            "8551aaaa-0000-4000-8000-00000000662c",
        ];
        for id in ids {
            assert_eq!(Fate::of(id), Fate::Ordinary, "{id}");
        }
    }

    #[test]
    fn a_fault_befalls_the_requests_it_names() {
        let befallen = |id, before| Fate::of(id).fault(before).is_some();
        assert_eq!([0, 1, 2, 3].map(|before| befallen("htmlx2-1", before)), [true, true, false, false]);
        assert!(befallen("html-1", u32::MAX));
        assert!(!befallen("covered-1", 0));
    }

    #[test]
    fn music_is_unknown_if_it_is_refused_as_such_for_ever() {
        assert!(["code-404-1", "code-422-1", "http-404-1", "http-422-1"].iter().all(|id| Fate::of(id).is_unknown()));
        assert!(!["code-422x2-1", "code-500-1", "plain"].iter().any(|id| Fate::of(id).is_unknown()));
    }
}
