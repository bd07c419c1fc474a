//! What the ids of one catalog look like, so that it is told which of them look like none of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::domain::MusicTaskId;

/// Shapes of ids told apart; a file without a common shape may have any number.
const MAX_SHAPES: usize = 64;

/// Ids kept of those that do not look like the others.
const MAX_FIRST_UNLIKE: usize = 10;

/// How many of them are shown in one line, and how many characters of each.
const MAX_SHOWN: usize = 3;
const MAX_SHOWN_CHARS: usize = 40;

/// From how many ids on it is told that some do not look like the others.
const MIN_ALIKE: u64 = 10;

/// How many in a hundred are nearly all.
const NEARLY_ALL: u64 = 80;

/// From how many characters on the digits at the end of an id are part of its shape, even if there are no others.
const MIN_FIXED: usize = 16;

/// Kinds of bytes, which may be added up.
pub(super) const DIGIT: u8 = 1;
const HEX_LETTER: u8 = 2;
const OTHER_LETTER: u8 = 4;
pub(super) const PUNCTUATION: u8 = 8;

/// The kind of each byte: looked up, because every byte of every id is asked for its own.
const KINDS: [u8; 256] = {
    let (mut kinds, mut byte) = ([PUNCTUATION; 256], 0);
    while byte < 128 {
        kinds[byte as usize] = match byte {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' | b'A'..=b'F' => HEX_LETTER,
            b'g'..=b'z' | b'G'..=b'Z' => OTHER_LETTER,
            _ => PUNCTUATION,
        };
        byte += 1;
    }
    kinds
};

/// Which kinds of bytes there are.
pub(super) fn kinds(text: &str) -> u8 {
    text.bytes().fold(0, |kinds, byte| kinds | KINDS[usize::from(byte)])
}

/// An id without the digits at its end if these count something.
fn fixed(id: &str) -> &str {
    let name = if id.len() < MIN_FIXED { id.trim_end_matches(|c: char| c.is_ascii_digit()) } else { id };
    if kinds(name) & DIGIT == 0 { name } else { id }
}

/// What ids have in common that come from one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape {
    /// Characters, without the digits at the end if these count something.
    length: u8,
    kinds: u8,
    /// Where its punctuation stands: which of its first 64 characters it is.
    punctuation: u64,
}

impl Shape {
    /// The shape of an id.
    pub(super) fn of(id: &str) -> Self {
        let kinds = kinds(id);
        let is_mark = |at: &usize| id.as_bytes().get(*at).is_some_and(u8::is_ascii_punctuation);
        let punctuation = if kinds & PUNCTUATION == 0 { 0 } else { (0..64).filter(is_mark).map(|at| 1 << at).sum() };
        Self { length: u8::try_from(fixed(id).len()).unwrap_or(u8::MAX), kinds, punctuation }
    }

    /// The shape, wherever the punctuation stands.
    pub(super) const fn outline(self) -> Outline {
        (self.length, self.kinds)
    }

    /// Whether an id of this shape could well stand among ids of the other one.
    fn is_like(self, other: Self) -> bool {
        (self.length, self.punctuation) == (other.length, other.punctuation) && self.kinds & !other.kinds == 0
    }
}

/// What is left of a [`Shape`] without the places of its punctuation; there are some 2,000 of them.
pub(super) type Outline = (u8, u8);

/// The shapes of the ids seen so far.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    outlines: BTreeSet<Outline>,
    found: BTreeMap<Shape, Seen>,
    /// Those of other shapes than the first [`MAX_SHAPES`].
    others: Seen,
}

/// Ids of one shape, and the lines of the first.
#[derive(Debug, Default)]
struct Seen {
    count: u64,
    first: Vec<(u64, MusicTaskId)>,
}

impl Seen {
    fn note(&mut self, line: u64, id: &MusicTaskId) {
        self.count += 1;
        if self.first.len() < MAX_FIRST_UNLIKE {
            self.first.push((line, id.clone()));
        }
    }
}

impl Shapes {
    /// Notes an id.
    pub(super) fn note(&mut self, line: u64, id: &MusicTaskId) {
        let shape = Shape::of(id.as_str());
        if let Some(seen) = self.found.get_mut(&shape) {
            return seen.note(line, id);
        }
        self.outlines.insert(shape.outline());
        let is_full = self.found.len() >= MAX_SHAPES;
        let seen = if is_full { &mut self.others } else { self.found.entry(shape).or_default() };
        seen.note(line, id);
    }

    /// Whether an id of this outline is among them.
    pub(super) fn have(&self, outline: Outline) -> bool {
        self.outlines.contains(&outline)
    }

    /// Whether there was no id.
    pub(super) fn are_none(&self) -> bool {
        self.outlines.is_empty()
    }

    /// Whether a text with a digit looks like one of them.
    pub(super) fn have_like(&self, text: &str) -> bool {
        let shape = Shape::of(text);
        shape.kinds & DIGIT != 0 && self.found.keys().any(|seen| shape.is_like(*seen))
    }

    /// The ids that do not look like nearly all others, if nearly all others look alike.
    pub(super) fn unlike(self) -> Option<Unlike> {
        let total: u64 = self.found.values().map(|seen| seen.count).sum();
        // One that is rare itself would only be the usual one because it allows more than the others.
        let is_rare = |seen: &Seen| seen.count * 100 < total * (100 - NEARLY_ALL);
        let like = |usual: Shape| self.found.iter().filter(move |(shape, _)| shape.is_like(usual));
        let alike = |usual: Shape| like(usual).map(|(_, seen)| seen.count).sum::<u64>();
        let frequent = self.found.iter().filter(|(_, seen)| !is_rare(seen)).map(|(shape, _)| *shape);
        let usual = frequent.max_by_key(|shape| alike(*shape))?;
        let (alike, unlike): (Vec<_>, Vec<_>) = self.found.into_iter().partition(|(shape, _)| shape.is_like(usual));
        let alike = alike.iter().map(|(_, seen)| seen.count).sum();
        let mut unlike: Vec<Seen> = unlike.into_iter().map(|(_, seen)| seen).collect();
        unlike.push(self.others);
        let count = unlike.iter().map(|seen| seen.count).sum();
        let mut first: Vec<_> = unlike.into_iter().flat_map(|seen| seen.first).collect();
        first.sort_unstable();
        first.truncate(MAX_FIRST_UNLIKE);
        let is_few = alike >= MIN_ALIKE && alike * 100 >= (alike + count) * NEARLY_ALL;
        (is_few && count > 0).then_some(Unlike { count, alike, first })
    }
}

/// Ids that do not look like the others of their catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlike {
    /// How many.
    pub count: u64,
    /// How many look alike.
    pub alike: u64,
    /// The first ten, with the lines of their rows.
    pub first: Vec<(u64, MusicTaskId)>,
}

impl Unlike {
    /// The first of them, each with the line of its row and cut if it is long.
    pub fn shown(&self) -> impl Iterator<Item = (u64, String)> {
        self.first.iter().map(|(line, id)| (*line, id.as_str().chars().take(MAX_SHOWN_CHARS).collect()))
    }
}

/// One line, such as "2 ids do not look like the other 998: line 7 `abc`, line 9 `def`".
impl fmt::Display for Unlike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = if self.count == 1 { "id does" } else { "ids do" };
        let shown: Vec<String> = self.shown().take(MAX_SHOWN).map(|(line, id)| format!("line {line} `{id}`")).collect();
        write!(f, "{} {ids} not look like the other {}: {}", self.count, self.alike, shown.join(", "))?;
        let more = self.count - shown.len() as u64;
        if more > 0 { write!(f, " and {more} more") } else { Ok(()) }
    }
}
