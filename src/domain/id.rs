//! Ids: two kinds of the same shape, which the service calls by one name and which must not be mixed up.

use std::fmt;

use thiserror::Error;

/// Longest id accepted, in bytes; the ids seen so far have 32.
pub const MAX_ID_BYTES: usize = 128;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadId {
    /// Nothing but white space.
    #[error("the id is empty")]
    Empty,
    /// More than [`MAX_ID_BYTES`].
    #[error("the id has {0} bytes; at most {MAX_ID_BYTES} are allowed")]
    TooLong(usize),
    /// A byte outside the printable ASCII characters without the space.
    #[error("the id holds a space or another character that is not printable ASCII")]
    NotPrintable,
}

/// The bytes of an id without the white space around them, if they are one.
fn checked(text: &[u8]) -> Result<&str, BadId> {
    let trimmed = text.trim_ascii();
    if trimmed.is_empty() {
        return Err(BadId::Empty);
    }
    if trimmed.len() > MAX_ID_BYTES {
        return Err(BadId::TooLong(trimmed.len()));
    }
    if !trimmed.iter().all(u8::is_ascii_graphic) {
        return Err(BadId::NotPrintable);
    }
    std::str::from_utf8(trimmed).map_err(|_| BadId::NotPrintable)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// The id in these bytes, without white space around it.
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
        assert_eq!(MusicTaskId::new("--delimiter=/../x").unwrap().as_str(), "--delimiter=/../x");
    }

    #[test]
    fn what_is_not_an_id_is_refused_with_its_reason() {
        let table: [(&[u8], BadId); 7] = [
            (b"", BadId::Empty),
            (b" \t ", BadId::Empty),
            (&[b'x'; 129], BadId::TooLong(129)),
            (b"two words", BadId::NotPrintable),
            (b"nul\0", BadId::NotPrintable),
            ("café".as_bytes(), BadId::NotPrintable),
            (b"caf\xe9", BadId::NotPrintable),
        ];
        for (text, reason) in table {
            assert_eq!(MusicTaskId::new(text), Err(reason), "{text:?}");
        }
        assert!(MusicTaskId::new([b'x'; 128]).is_ok());
    }
}
