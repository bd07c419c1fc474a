//! Ids: two kinds of the same shape, which the service calls by one name and which must not be mixed up.

use std::fmt;

use thiserror::Error;

use super::text::trimmed;

/// Longest id accepted, in bytes; the ids seen so far have 32.
pub const MAX_ID_BYTES: usize = 128;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadId {
    /// Nothing but blanks.
    #[error("the id is empty")]
    Empty,
    /// More than [`MAX_ID_BYTES`].
    #[error("the id has {0} bytes; at most {MAX_ID_BYTES} are allowed")]
    TooLong(usize),
    /// A character that is not printable ASCII, or a space.
    #[error("the id holds {}; only printable ASCII without spaces is allowed", named(*.0))]
    Character(char),
    /// A byte of a text in another encoding than UTF-8.
    #[error("the id holds the byte 0x{0:02X}; only printable ASCII without spaces is allowed")]
    Byte(u8),
}

/// A character that may not be seen.
fn named(c: char) -> String {
    if c == ' ' { "a space".to_owned() } else { format!("U+{:04X}", u32::from(c)) }
}

/// The text of an id without the blanks around it, if it is one.
fn checked(text: &[u8]) -> Result<&str, BadId> {
    let id = trimmed(text);
    if id.is_empty() {
        return Err(BadId::Empty);
    }
    if id.len() > MAX_ID_BYTES {
        return Err(BadId::TooLong(id.len()));
    }
    let Some(at) = id.iter().position(|byte| !byte.is_ascii_graphic()) else {
        return str::from_utf8(id).map_err(|_| BadId::Byte(id[0]));
    };
    // What follows an ASCII character begins a character of its own.
    let first = id[at..].utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    Err(first.map_or(BadId::Byte(id[at]), BadId::Character))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// The id in these bytes, without the blanks around it.
            ///
            /// # Errors
            /// [`BadId`] unless it is 1 to [`MAX_ID_BYTES`] printable ASCII characters without spaces.
            pub fn new(text: impl AsRef<[u8]>) -> Result<Self, BadId> {
                checked(text.as_ref()).map(|id| Self(id.into()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// The id of a finished music generation, as the catalog gives it; opaque.
    MusicTaskId
}

id! {
    /// The id of a cover job, as the service gives it; opaque, and never the music task's own.
    CoverTaskId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_trimmed_and_otherwise_kept_as_it_is() {
        assert_eq!(MusicTaskId::new(" 73D6128b \t").unwrap().as_str(), "73D6128b");
        assert_eq!(MusicTaskId::new("\u{feff}\u{200b}73d6\u{a0}").unwrap().as_str(), "73d6");
        assert_eq!(MusicTaskId::new("--delimiter=/../x").unwrap().as_str(), "--delimiter=/../x");
    }

    #[test]
    fn what_is_not_an_id_is_refused_with_its_reason() {
        let table: [(&[u8], BadId); 9] = [
            (b"", BadId::Empty),
            (" \t\u{a0}\u{200b} ".as_bytes(), BadId::Empty),
            (&[b'x'; 129], BadId::TooLong(129)),
            (b"two words", BadId::Character(' ')),
            (b"nul\0nul", BadId::Character('\0')),
            ("a\u{a0}b".as_bytes(), BadId::Character('\u{a0}')),
            ("a\u{ad}\u{e9}".as_bytes(), BadId::Character('\u{ad}')),
            ("café".as_bytes(), BadId::Character('é')),
            (b"caf\xe9", BadId::Byte(0xe9)),
        ];
        for (text, reason) in table {
            assert_eq!(MusicTaskId::new(text), Err(reason), "{text:?}");
        }
        assert!(MusicTaskId::new([b'x'; 128]).is_ok());
        let unseen = MusicTaskId::new("a\u{a0}b").unwrap_err();
        assert_eq!(unseen.to_string(), "the id holds U+00A0; only printable ASCII without spaces is allowed");
    }
}
