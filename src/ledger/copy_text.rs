//! The text form of COPY: a row is a line, its fields stand between tabs, `\N` is none, and what would end a field or a line
//! stands behind a backslash.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html>

use std::borrow::Cow;

/// A field that holds nothing.
const NONE: &str = "\\N";

/// Adds a field to a line.
pub(super) fn push_field(line: &mut Vec<u8>, field: Option<&str>) {
    for byte in field.unwrap_or(NONE).bytes() {
        match byte {
            b'\\' if field.is_some() => line.extend(b"\\\\"),
            b'\t' => line.extend(b"\\t"),
            b'\n' => line.extend(b"\\n"),
            b'\r' => line.extend(b"\\r"),
            byte => line.push(byte),
        }
    }
    line.push(b'\t');
}

/// Ends a line behind its last field.
pub(super) fn end_line(line: &mut Vec<u8>) {
    line.pop();
    line.push(b'\n');
}

/// The fields of a line without its end.
pub(super) fn fields(line: &str) -> impl Iterator<Item = Option<Cow<'_, str>>> {
    line.split('\t').map(|field| (field != NONE).then(|| unescaped(field)))
}

fn unescaped(field: &str) -> Cow<'_, str> {
    if !field.contains('\\') {
        return Cow::Borrowed(field);
    }
    let mut text = String::with_capacity(field.len());
    let mut rest = field.chars();
    while let Some(character) = rest.next() {
        let meant = if character == '\\' { rest.next().map(escaped) } else { Some(character) };
        text.extend(meant);
    }
    Cow::Owned(text)
}

/// What a character behind a backslash stands for.
const fn escaped(character: char) -> char {
    match character {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_as_it_was() {
        let texts =
            [None, Some(""), Some("a\tb\nc\rd"), Some("\\N"), Some("\\"), Some("\\t\u{8}\u{b}\u{c}é"), Some("7")];
        let mut line = Vec::new();
        for text in texts {
            push_field(&mut line, text);
        }
        end_line(&mut line);
        let line = String::from_utf8(line).unwrap();
        let read: Vec<_> = fields(line.strip_suffix('\n').unwrap()).collect();
        assert_eq!(read.iter().map(Option::as_deref).collect::<Vec<_>>(), texts);
        assert_eq!((line.matches('\n').count(), line.matches('\t').count()), (1, texts.len() - 1));
    }

    #[test]
    fn what_a_server_writes_behind_a_backslash_is_understood() {
        assert_eq!(fields(r"\b\f\n\r\t\v\\").next().unwrap().unwrap(), "\u{8}\u{c}\n\r\t\u{b}\\");
    }
}
