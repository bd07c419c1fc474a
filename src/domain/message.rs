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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_short_line() {
        assert_eq!(one_line(" a\r\n\tb\u{0}\u{2028}c\u{202e}d "), "a b c d");
        assert_eq!(one_line(&"é".repeat(500)).chars().count(), MAX_MESSAGE_CHARS);
    }
}
