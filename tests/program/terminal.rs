//! What a run shows at a terminal, which `script` stands for.

use crate::story::{Batch, PROGRAM, StandIn};

/// What is seen of a run of these rows at a terminal of this kind, 80 columns wide, and how it ends.
fn seen(terminal: &str) -> String {
    let service = StandIn::quick(&[]);
    let batch = Batch::of("task_id,title\na,Stella\ncode-404-b,Naima\nc,Nardis\nd,Peri\n").to(&service.address);
    // One row a second, so that the failure is told while others are to come.
    let batch = batch.env("COVERBATCH_RATE", "1/1s").env("COVERBATCH_CONCURRENCY", "1").env("TERM", terminal);
    let line = format!("script --quiet --return --command 'stty cols 80 rows 24; {PROGRAM} run songs.csv' /dev/null");
    batch.shell(&line).exit(4).stdout
}

/// How the failing row is told.
const FAILURE: &str = "failed: line 3 (Naima), code-404-b: not_found: Resource not found";

#[test]
fn failures_are_told_above_the_line_while_it_goes_on() {
    let screen = seen("xterm");
    let (before, after) = screen.split_once(FAILURE).unwrap_or_else(|| panic!("no failure in:\n{screen:?}"));
    assert!(before.contains("2/4") || before.contains("1/4"), "{before:?}");
    assert!(
        after.starts_with("\r\n") || after.starts_with("\u{1b}[K\r\n") || after.trim_start().starts_with('['),
        "{after:?}"
    );
    // The line is drawn on below it, to its end; the digest comes when it is gone.
    let (line, digest) = after.split_once("coverbatch: 3 new covers, 1 newly failed").unwrap();
    assert!(line.contains("[#") && line.contains("3/4"), "{line:?}");
    assert!(!digest.contains("[#"), "{digest:?}");
    assert_eq!(screen.matches(FAILURE).count(), 1);
}

#[test]
fn a_terminal_that_cannot_draw_gets_whole_lines() {
    let screen = seen("dumb");
    assert!(screen.contains(&format!("{FAILURE}\r\n")), "{screen:?}");
    assert!(!screen.contains("[#") && !screen.contains("\u{1b}["), "{screen:?}");
    assert!(screen.contains("coverbatch: 3 new covers, 1 newly failed"), "{screen:?}");
}
