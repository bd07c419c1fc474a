//! Blanks: characters at the ends of a text that nobody sees.

/// Whether nothing is seen of a character: white space, controls, and what only joins, marks or reverses others.
///
/// NUL is none: it stands in files that are no text.
#[must_use]
pub fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || (c.is_control() && c != '\0')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The no-break space of Latin-1 and its like, which is no UTF-8.
const NO_BREAK_SPACE: u8 = 0xa0;

/// The text without the blanks around it; of a text that is no UTF-8, only those of Latin-1 are known.
#[must_use]
pub fn trimmed(text: &[u8]) -> &[u8] {
    let is_seen = |end: Option<&u8>| end.is_some_and(u8::is_ascii_graphic);
    if is_seen(text.first()) && is_seen(text.last()) {
        return text;
    }
    if let Ok(text) = str::from_utf8(text) {
        return text.trim_matches(is_blank).as_bytes();
    }
    let is_kept = |byte: &u8| !byte.is_ascii_whitespace() && *byte != NO_BREAK_SPACE;
    let start = text.iter().position(is_kept).unwrap_or(text.len());
    let end = text.iter().rposition(is_kept).map_or(start, |last| last + 1);
    &text[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_around_a_text_are_trimmed_and_those_within_are_kept() {
        for blank in "\t\r\n \u{a0}\u{ad}\u{1680}\u{2009}\u{200b}\u{200d}\u{200e}\u{202c}\u{2060}\u{2069}\u{2800}\u{3000}\u{3164}\u{fe0f}\u{feff}\u{e0020}".chars() {
            let text = format!("{blank}{blank}a{blank}b{blank}");
            assert_eq!(trimmed(text.as_bytes()), format!("a{blank}b").as_bytes(), "{}", text.escape_unicode());
        }
        for seen in ["a", "é", "'", "-", "\u{fffd}", "", "١", "\0"] {
            assert_eq!(trimmed(format!(" {seen}\u{a0}").as_bytes()), seen.as_bytes());
        }
        assert_eq!(trimmed(b"\xa0 \xe9t\xa0\xe9 \t"), b"\xe9t\xa0\xe9");
        assert_eq!(trimmed(b"\xa0\xa0"), b"");
    }
}
