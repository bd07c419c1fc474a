//! Foreign words made fit for a cell, a log line and a terminal.

/// Longest message kept of an answer, in characters.
pub const MAX_MESSAGE_CHARS: usize = 200;

/// `text` on one line: control characters become spaces, runs of spaces one, cut at [`MAX_MESSAGE_CHARS`].
#[must_use]
pub fn one_line(text: &str) -> String {
    let spaced = text.chars().map(|c| if c.is_control() || is_line_break(c) { ' ' } else { c });
    let mut line = String::new();
    for c in spaced {
        if c != ' ' || !(line.is_empty() || line.ends_with(' ')) {
            line.push(c);
        }
    }
    line.trim_end().chars().take(MAX_MESSAGE_CHARS).collect()
}

/// Whether Unicode ends a line or reverses its direction here, which `char::is_control` does not cover.
const fn is_line_break(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Signs that make a spreadsheet take a cell for a formula, their full-width forms included.
const FORMULA_SIGNS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// `line`, with a `'` before it if a spreadsheet would take it for a formula.
#[must_use]
pub fn escape_formula(line: &str) -> String {
    if line.starts_with(FORMULA_SIGNS) { format!("'{line}") } else { line.to_owned() }
}

/// What [`escape_formula`] was given.
#[must_use]
pub fn unescape_formula(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|line| line.starts_with(FORMULA_SIGNS)).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(one_line(" a\r\n\tb\u{0}\u{2028}c\u{202e}d "), "a b c d");
        assert_eq!(one_line(&"é".repeat(500)).chars().count(), MAX_MESSAGE_CHARS);
    }
}
