//! What differs from one time to the next, made equal: times, durations, and ports.

/// Whether a page shows what was printed, but for what is masked. A line of `…` is any lines.
pub(super) fn is_shown(shown: &str, printed: &str) -> bool {
    let printed = masked(printed);
    let mut rest = printed.as_str();
    let mut pieces = shown.split("…").map(masked).enumerate();
    let are_in_order = pieces.all(|(number, piece)| {
        let found = rest.find(&piece).filter(|at| number > 0 || *at == 0);
        found.inspect(|at| rest = &rest[at + piece.len()..]).is_some()
    });
    are_in_order && (rest.is_empty() || shown.ends_with('…'))
}

/// The text with each of them masked, and blanks in a row as one.
fn masked(text: &str) -> String {
    let line = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    text.trim().lines().map(line).collect::<Vec<_>>().join("\n")
}

fn word(word: &str) -> String {
    let bare = word.trim_end_matches([',', ';', '.', ')']);
    let end = &word[bare.len()..];
    if let Some((before, _)) = bare.split_once("127.0.0.1:") {
        return format!("{before}ADDRESS{end}");
    }
    let is_number = bare.starts_with(|first: char| first.is_ascii_digit());
    let is_date = bare.len() == 10 && bare.split('-').all(|part| part.parse::<u16>().is_ok());
    let is_duration = bare
        .strip_suffix(['s', 'm', 'h'])
        .is_some_and(|number| number.chars().all(|each| each.is_ascii_digit() || each == '.' || each == 'm'));
    if is_number && (is_date || is_duration || bare.contains(':')) { format!("TIME{end}") } else { word.to_owned() }
}

#[test]
fn what_is_left_out_may_be_anything() {
    assert!(is_shown("a 1s\n…\nb", "a 2s\nx\ny\nb\n"));
    assert!(!is_shown("a\n…\nb", "a\nx\nc\n") && !is_shown("a\n…\nb", "b\nx\nb\n") && !is_shown("a\nb", "a\nx\nb"));
}

#[test]
fn times_are_masked_and_counts_are_not() {
    assert_eq!(masked("  began    2026-11-22T14:09:06.725Z, took 3.8s\n"), "began TIME, took TIME");
    assert_eq!(
        masked("2 of 12 rows, 20/10s\nat 06:00, 41ms, until 2026-11-22"),
        "2 of 12 rows, 20/10s\nat TIME, TIME, until TIME"
    );
    assert_eq!(masked("POST http://127.0.0.1:8123/api"), "POST http://ADDRESS");
}
