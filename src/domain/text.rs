//! Texts from outside made fit for a cell, a log line and a terminal.

/// Whether nothing is seen of a character: white space, controls, and what only joins, marks or reverses others.
///
/// NUL is none: it stands in files that are no text.
#[must_use]
pub fn is_blank(c: char) -> bool {
    c.is_whitespace() || (c.is_control() && c != '\0') || is_invisible(c) || c == BRAILLE_BLANK
}

/// A sign of no dots, which is printed as a space.
const BRAILLE_BLANK: char = '\u{2800}';

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

/// Longest message kept of an answer, in characters.
pub const MAX_MESSAGE_CHARS: usize = 200;

/// `text` on one line without anything that is not seen, cut at [`MAX_MESSAGE_CHARS`].
#[must_use]
pub fn one_line(text: &str) -> String {
    visible(text).chars().take(MAX_MESSAGE_CHARS).collect()
}

/// `text` on one line: control characters and line breaks become spaces, runs of spaces one; what has no width or turns
/// the direction of writing is left out.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(4 * MAX_MESSAGE_CHARS));
    for c in text.chars() {
        let is_blank = c.is_control() || c.is_whitespace();
        if is_blank && !(line.is_empty() || line.ends_with(' ')) {
            line.push(' ');
        } else if !is_blank && !is_invisible(c) {
            line.push(c);
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// Signs that make a spreadsheet take a cell for a formula, their full-width forms included.
const FORMULA_SIGNS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Whether a spreadsheet takes a cell that begins like this for a formula.
#[must_use]
pub fn is_formula(text: &str) -> bool {
    text.starts_with(FORMULA_SIGNS)
}

/// Whether a character has no width or turns the direction of writing: those that Unicode lets be ignored
/// (`Default_Ignorable_Code_Point`), and the anchors of annotations.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// `line`, with a `'` before it if a spreadsheet would take it for a formula.
#[must_use]
pub fn escape_formula(line: &str) -> String {
    if is_formula(line) { format!("'{line}") } else { line.to_owned() }
}

/// What [`escape_formula`] was given.
#[must_use]
pub fn unescape_formula(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|line| is_formula(line)).unwrap_or(cell)
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

    #[test]
    fn a_message_that_begins_like_a_formula_is_escaped_and_comes_back() {
        for sign in FORMULA_SIGNS {
            let line = format!("{sign}cmd()");
            assert_eq!(escape_formula(&line), format!("'{line}"));
            assert_eq!(unescape_formula(&escape_formula(&line)), line);
        }
        for plain in ["a=b", "'quoted'", "''=x", "'", ""] {
            assert_eq!((escape_formula(plain).as_str(), unescape_formula(plain)), (plain, plain));
        }
    }

    #[test]
    fn a_message_is_one_short_line() {
        assert_eq!(one_line(" a\r\n\tb\u{0}\u{2028}c\u{a0}\u{3000}d "), "a b c d");
        assert_eq!(one_line(&"é".repeat(500)).chars().count(), MAX_MESSAGE_CHARS);
        assert_eq!(one_line("\u{200b}\r\n"), "");
    }

    #[test]
    fn what_is_not_seen_is_left_out() {
        let hidden = "\u{ad}\u{200b}\u{200d}\u{200f}\u{202e}\u{2066}\u{2069}\u{2060}\u{feff}\u{fe0f}\u{3164}\u{e0041}";
        for c in hidden.chars() {
            assert_eq!(one_line(&format!("{c}a{c}b{c}")), "ab", "{c:?}");
        }
        for seen in ["é", "e\u{301}", "曲", "🎵", "עברית", "ไทย"] {
            assert_eq!(one_line(seen), seen);
        }
    }

    #[test]
    fn what_a_spreadsheet_would_reckon_is_a_formula() {
        assert!(["=1", "+1", "-1", "@x", "＝1", "＠"].into_iter().all(is_formula));
        assert!(["", "1=1", "a", "'=1", " ="].into_iter().all(|text| !is_formula(text)));
    }
}
