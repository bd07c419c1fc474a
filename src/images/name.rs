//! The file names of images: the id of the music task, made safe, so that no two tasks share a name.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::{ImageKind, MusicTaskId};

/// Longest id as it stands in a name, in bytes: names end at 255 on nearly every file system, and `-1.webp` follows.
const MAX_ID_IN_NAME: usize = 248;

/// Everything but letters, digits, `-`, `_` and `.`; also the `%` itself, or two ids could share a name.
const UNSAFE: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// Names that Windows takes for devices, whatever follows their first dot; COM and LPT with a digit are further ones.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// Which of a cover's images: there are [`crate::domain::MAX_IMAGES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ImageNumber {
    /// The first one, which a default cover can stand in for.
    One,
    /// The second one.
    Two,
}

impl ImageNumber {
    /// Both, in the service's order.
    pub const ALL: [Self; crate::domain::MAX_IMAGES] = [Self::One, Self::Two];

    /// The digit in the name of the file.
    const fn digit(self) -> char {
        match self {
            Self::One => '1',
            Self::Two => '2',
        }
    }
}

/// The name of the file for an image, as `<music task id>-1.png`; at most 255 bytes.
///
/// Different for different ids, numbers or kinds. Ids that differ only in case have names that do, too, which a file
/// system blind to case takes for one; such pairs are not known of a service whose ids are hexadecimal, and encoding
/// every capital would make names unreadable for that.
#[must_use]
pub fn file_name(task: &MusicTaskId, number: ImageNumber, kind: ImageKind) -> String {
    format!("{}{}", stem(task, number), kind.extension())
}

/// The name without its extension, with the dot.
pub(super) fn stem(task: &MusicTaskId, number: ImageNumber) -> String {
    format!("{}-{}.", safe(task.as_str()), number.digit())
}

/// The id as it stands in a name: `%` and the byte's number for what is not safe there.
fn safe(id: &str) -> String {
    let plain = usize::from(is_hidden(id) || is_device(id));
    let first = id.bytes().take(plain).map(|byte| format!("%{byte:02X}"));
    let encoded: String = first.chain([utf8_percent_encode(&id[plain..], &UNSAFE).to_string()]).collect();
    // A `~` is in no other name, so this cannot be one of another id.
    if encoded.len() > MAX_ID_IN_NAME { format!("~{}", URL_SAFE_NO_PAD.encode(id)) } else { encoded }
}

/// Whether a file of this name would not be listed, or would be a folder.
fn is_hidden(id: &str) -> bool {
    id.starts_with('.')
}

/// Whether Windows would open a device instead: `con.x-1.png` is one, `con-1.png` is not.
fn is_device(id: &str) -> bool {
    let Some((before_dot, _)) = id.split_once('.') else { return false };
    let name = before_dot.to_ascii_lowercase();
    let is_port = |port: &str| name.strip_prefix(port).is_some_and(|rest| matches!(rest.as_bytes(), [b'0'..=b'9']));
    DEVICES.contains(&name.as_str()) || is_port("com") || is_port("lpt")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::MAX_ID_BYTES;

    fn name(id: &str) -> String {
        file_name(&MusicTaskId::new(id).unwrap(), ImageNumber::One, ImageKind::Png)
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
}
