//! What the files of images are called: after the id of their music task, or in words of the catalog; safe on every file
//! system. No id and number makes the name that words make: `-1.png` ends those of ids, and `_1.png` those of words.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use unicode_normalization::UnicodeNormalization as _;

use crate::domain::{ImageKind, MAX_IMAGES, MusicTaskId, is_blank, is_formula, visible};

/// Longest id as it stands in a name, in bytes: names end at 255 on nearly every file system, and `-1.webp` follows.
const MAX_ID_IN_NAME: usize = 248;

/// Longest name in words, in bytes: shorter than the longest of all, so that a copy of it with `(1)` behind it is none that
/// is too long.
const MAX_WORDS_IN_NAME: usize = 200;

/// Everything but letters, digits, `-`, `_` and `.`; also the `%` itself, or two ids could share a name.
const UNSAFE: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// Names that Windows takes for devices, whatever follows their first dot; COM and LPT with a digit are further ones.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// Which of a cover's images: there are [`MAX_IMAGES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ImageNumber {
    /// The first one, which a default cover can stand in for.
    One,
    /// The second one.
    Two,
}

impl ImageNumber {
    /// Both, in the service's order.
    pub const ALL: [Self; MAX_IMAGES] = [Self::One, Self::Two];

    /// The digit in the name of the file.
    const fn digit(self) -> char {
        match self {
            Self::One => '1',
            Self::Two => '2',
        }
    }
}

/// Whether a file is called as an image is.
#[must_use]
pub fn is_image_name(name: &str) -> bool {
    let is_end = |number: &ImageNumber, kind: &ImageKind| {
        let rest = name.strip_suffix(&format!("{}.{kind}", number.digit()));
        rest.is_some_and(|rest| rest.ends_with(['-', '_']))
    };
    ImageNumber::ALL.iter().any(|number| ImageKind::ALL.iter().any(|kind| is_end(number, kind)))
}

/// What the files of a music task are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// The music task.
    pub task: MusicTaskId,
    /// The words for it, if it has any.
    pub words: Option<NameWords>,
}

/// The name of the file for an image, as `<music task id>-1.png`; at most 255 bytes.
///
/// Different for different ids, numbers or kinds. Ids that differ only in case have names that do, too, which a file
/// system blind to case takes for one; such pairs are not known of a service whose ids are hexadecimal, and encoding
/// every capital would make names unreadable for that.
#[must_use]
pub fn file_name(task: &MusicTaskId, number: ImageNumber, kind: ImageKind) -> String {
    format!("{}-{}.{kind}", safe(task.as_str()), number.digit())
}

/// Words for the files of a music task, as `Miles Davis - So What`: safe on every file system and in a spreadsheet, in one
/// form of Unicode (NFC).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameWords(String);

impl NameWords {
    /// These words; `None` if nothing of them is seen.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text: String = visible(text).nfc().map(|c| if is_unsafe(c) { '_' } else { c }).collect();
        // A file whose name begins with a dot would not be listed.
        let is_bad_start = text.starts_with('.') || is_formula(&text) || is_device(&text);
        let text = if is_bad_start { format!("_{text}") } else { text };
        let text = cut(&text, MAX_WORDS_IN_NAME - "_1.webp".len());
        (!text.chars().all(is_blank)).then(|| Self(text.to_owned()))
    }

    /// Whether words may hold this character as it is.
    #[must_use]
    pub fn may_hold(c: char) -> bool {
        c == ' ' || !(is_unsafe(c) || is_blank(c))
    }

    /// The same with the id behind them, for where others have these words too; `None` if it is too long for that.
    #[must_use]
    pub fn with_id(&self, task: &MusicTaskId) -> Option<Self> {
        let id = safe(task.as_str());
        let room = MAX_WORDS_IN_NAME.checked_sub(id.len() + "__1.webp".len())?;
        Some(Self(format!("{}_{id}", cut(&self.0, room))))
    }

    /// The same for all words that some file system takes for the same: in one case.
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.to_uppercase().to_lowercase().nfc().collect()
    }

    /// The words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the file for an image, as `Miles Davis - So What_1.png`; at most 200 bytes.
    #[must_use]
    pub fn file_name(&self, number: ImageNumber, kind: ImageKind) -> String {
        format!("{}_{}.{kind}", self.0, number.digit())
    }
}

/// Whether Windows, or a path, takes a character for something else; or it stands for bytes that were no text.
const fn is_unsafe(c: char) -> bool {
    matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | char::REPLACEMENT_CHARACTER)
}

/// The beginning of a text that has so many bytes at most, without blanks at its end.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[..end].trim_end()
}

/// The id as it stands in a name: `%` and the byte's number for what is not safe there.
fn safe(id: &str) -> String {
    // A file whose name begins with a dot would not be listed, or would be a folder.
    let plain = usize::from(id.starts_with('.') || is_device(id));
    let first = id.bytes().take(plain).map(|byte| format!("%{byte:02X}"));
    let encoded: String = first.chain([utf8_percent_encode(&id[plain..], &UNSAFE).to_string()]).collect();
    // A `~` is in no other name, so this cannot be one of another id.
    if encoded.len() > MAX_ID_IN_NAME { format!("~{}", URL_SAFE_NO_PAD.encode(id)) } else { encoded }
}

/// Whether Windows would open a device instead: `con.x-1.png` is one, `con-1.png` is not.
fn is_device(name: &str) -> bool {
    let Some((before_dot, _)) = name.split_once('.') else { return false };
    let name = before_dot.trim_end().to_lowercase();
    let is_digit = |rest: &str| matches!(rest, "¹" | "²" | "³") || matches!(rest.as_bytes(), [b'0'..=b'9']);
    let is_port = |port: &str| name.strip_prefix(port).is_some_and(is_digit);
    DEVICES.contains(&name.as_str()) || is_port("com") || is_port("lpt")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::MAX_ID_BYTES;

    fn task(id: &str) -> MusicTaskId {
        MusicTaskId::new(id).unwrap()
    }

    fn name(id: &str) -> String {
        file_name(&task(id), ImageNumber::One, ImageKind::Png)
    }

    #[test]
    fn ids_become_names_that_are_safe_everywhere() {
        let table = [
            ("73d6128b3523a0079df10da9471017c8", "73d6128b3523a0079df10da9471017c8-1.png"),
            ("Ab_c.d-e", "Ab_c.d-e-1.png"),
            ("a/b", "a%2Fb-1.png"),
            ("a%2Fb", "a%252Fb-1.png"),
            ("..", "%2E.-1.png"),
            ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd-1.png"),
            (".hidden", "%2Ehidden-1.png"),
            ("dot.", "dot.-1.png"),
            (r#"\:*?"<>|"#, "%5C%3A%2A%3F%22%3C%3E%7C-1.png"),
            ("~x", "%7Ex-1.png"),
            ("con", "con-1.png"),
            ("Con.x", "%43on.x-1.png"),
            ("lpt9.", "%6Cpt9.-1.png"),
            ("com10.x", "com10.x-1.png"),
            ("-rf", "-rf-1.png"),
        ];
        for (id, expected) in table {
            assert_eq!(name(id), expected);
        }
        let task = MusicTaskId::new("a").unwrap();
        assert_eq!(file_name(&task, ImageNumber::Two, ImageKind::WebP), "a-2.webp");
        assert_eq!(file_name(&task, ImageNumber::Two, ImageKind::Jpeg), "a-2.jpg");
    }

    #[test]
    fn the_longest_ids_have_names_of_at_most_255_bytes() {
        for c in (b'!'..=b'~').map(char::from) {
            for length in [1, 82, 83, MAX_ID_BYTES] {
                let task = MusicTaskId::new(c.to_string().repeat(length)).unwrap();
                let name = file_name(&task, ImageNumber::One, ImageKind::WebP);
                assert!(name.len() <= 255, "{c} {length} times is {} bytes", name.len());
                assert!(length > 1 || !name.contains('~'), "{name}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_two_images_share_a_name(
            ids in prop::collection::vec("[!-~]{1,128}|[a%/.~-]{1,3}|[%/]{81,85}|(con|COM1)[.][a-]?", 2..40)
        ) {
            let mut owners = HashMap::new();
            for id in ids {
                let task = MusicTaskId::new(&id).unwrap();
                for number in ImageNumber::ALL {
                    for kind in [ImageKind::Png, ImageKind::Jpeg, ImageKind::WebP] {
                        let name = file_name(&task, number, kind);
                        prop_assert!(name.len() <= 255 && !name.starts_with('.') && !name.contains('/'));
                        let owner = owners.entry(name).or_insert_with(|| (id.clone(), number, kind)).clone();
                        prop_assert_eq!(owner, (id.clone(), number, kind));
                    }
                }
            }
        }
    }

    #[test]
    fn words_become_names_that_are_safe_everywhere() {
        let table = [
            ("Miles Davis - So What", "Miles Davis - So What"),
            ("  AC/DC: \t\"T.N.T.\"\n", "AC_DC_ _T.N.T._"),
            (r#"\:*?"<>|"#, "________"),
            ("../../etc/passwd", "_.._.._etc_passwd"),
            (".", "_."),
            ("Sgt. Pepper. ", "Sgt. Pepper."),
            ("e\u{301}tude \u{212b}", "\u{e9}tude \u{c5}"),
            ("zero\u{200b} width \u{202e}gpj.", "zero width gpj."),
            ("NUL\0BEL\u{7}", "NUL BEL"),
            ("=1+2", "_=1+2"),
            ("-rf", "_-rf"),
            ("＠x", "_＠x"),
            ("con", "con"),
            ("Con.fusion", "_Con.fusion"),
            ("aux .x", "_aux .x"),
            ("COM¹.x", "_COM¹.x"),
            ("bytes \u{fffd}", "bytes _"),
            ("", ""),
            (" \u{2800}\u{200d}\t", ""),
        ];
        for (text, expected) in table {
            let words = NameWords::new(text);
            assert_eq!(words.as_ref().map_or("", NameWords::as_str), expected, "{text:?}");
        }
        let words = NameWords::new("So What").unwrap();
        assert_eq!(words.file_name(ImageNumber::Two, ImageKind::WebP), "So What_2.webp");
        assert_eq!(words.with_id(&task("a/b")).unwrap().as_str(), "So What_a%2Fb");
    }

    #[test]
    fn words_that_some_file_system_takes_for_the_same_are_the_same_folded() {
        for (one, other) in [("So What", "SO WHAT"), ("Stra\u{df}e", "STRASSE"), ("\u{e9}", "E\u{301}"), ("ς", "Σ")] {
            assert_eq!(NameWords::new(one).unwrap().folded(), NameWords::new(other).unwrap().folded(), "{one} {other}");
        }
        assert_ne!(NameWords::new("So What").unwrap().folded(), NameWords::new("So-What").unwrap().folded());
    }

    #[test]
    fn an_id_too_long_to_stand_behind_words_does_not() {
        let words = NameWords::new(&"\u{e9}".repeat(500)).unwrap();
        assert_eq!(words.as_str().len(), 192);
        let with = |length: usize| words.with_id(&task(&"x".repeat(length)));
        let name = with(MAX_ID_BYTES).unwrap().file_name(ImageNumber::One, ImageKind::WebP);
        assert!((198..=MAX_WORDS_IN_NAME).contains(&name.len()) && name.contains("é_x"), "{name}");
        assert_eq!(words.with_id(&task(&"/".repeat(70))), None);
    }

    proptest! {
        #[test]
        fn whatever_the_words_their_names_are_safe_and_read_back_as_they_are(text in "\\PC{0,300}|[ -~]{0,300}|.{0,9}") {
            let Some(words) = NameWords::new(&text) else { return Ok(()) };
            prop_assert_eq!(NameWords::new(words.as_str()), Some(words.clone()));
            let with_id = words.with_id(&task("73d6128b3523a0079df10da9471017c8")).unwrap();
            prop_assert_eq!(NameWords::new(with_id.as_str()), Some(with_id.clone()));
            for words in [words, with_id] {
                for (number, kind) in ImageNumber::ALL.iter().flat_map(|n| ImageKind::ALL.iter().map(move |k| (*n, *k))) {
                    let name = words.file_name(number, kind);
                    prop_assert!(name.len() <= MAX_WORDS_IN_NAME && is_image_name(&name));
                    prop_assert!(!name.starts_with('.') && !name.contains(is_unsafe) && !is_formula(&name));
                    prop_assert!(!is_device(&name) && visible(&name) == name);
                }
            }
        }
    }
}
