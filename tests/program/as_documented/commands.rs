//! Every command on the pages is run as it stands there, ends as the page says, and prints what the page shows.

use std::fmt::Write as _;
use std::fs;

use super::is_update;
use super::mask::is_shown;
use super::pages::{Command, Page, pages};
use super::session::{Ended, PLACES, Session, serves};

/// What is not run, by a part of the command, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("cargo ", "builds this program or another, or runs the tests that this is one of"),
    ("apt-get ", "changes this machine"),
    ("podman ", "needs an image of Rust, and one of Debian"),
    ("su ", "needs another user"),
    ("useradd ", "changes this machine"),
    ("systemctl ", "changes this machine"),
    ("postgres://", "needs a server; `tests/postgres` runs it"),
];

/// Why a command is not run, if it is not.
fn reason(command: &Command) -> Option<&'static str> {
    let is_changed =
        |command: &str| PLACES.iter().any(|(place, _)| place.starts_with("cargo") && command.starts_with(place));
    let found = NOT_RUN.iter().find(|(part, _)| command.text.contains(part))?;
    (!is_changed(&command.text)).then_some(found.1)
}

/// The exit code that the page tells of, in a comment behind the command.
fn told_code(command: &Command) -> i32 {
    let told = command.text.rsplit_once("ends with ").map(|(_, rest)| rest.split([':', ',', ' ']).next().unwrap());
    told.map_or(0, |code| code.parse().unwrap())
}

/// What is wrong with a command that has ended.
fn complaint(page: &Page, command: &Command, ended: &Ended) -> Option<String> {
    let (place, text) = (format!("{}:{}", page.name(), command.line), &command.text);
    let expected = (!serves(text)).then(|| told_code(command));
    if ended.code != expected {
        return Some(format!("{place}: `{text}` ended with {:?}, not {expected:?}:\n{}", ended.code, ended.output));
    }
    let shown = page.lines()[command.printed.clone()?].join("\n");
    (!is_shown(&shown, &ended.output)).then(|| format!("{place}: `{text}` prints something else:\n{}", ended.output))
}

/// Puts what was printed into the page, where that differs by more than times.
fn update(page: &Page, ended: &[(&Command, Ended)]) {
    let mut lines: Vec<String> = page.lines().into_iter().map(str::to_owned).collect();
    for (command, ended) in ended.iter().rev() {
        let Some(block) = command.printed.clone() else { continue };
        let shown = lines[block.clone()].join("\n");
        if !shown.contains('…') && !is_shown(&shown, &ended.output) {
            lines.splice(block, ended.output.trim_end().lines().map(str::to_owned));
        }
    }
    let text = lines.join("\n") + "\n";
    // The page of options may be written at the same time.
    if text != page.text {
        fs::write(&page.path, text).unwrap();
    }
}

#[test]
fn every_command_is_run_and_prints_what_the_page_shows() {
    let pages = pages();
    let begun: Vec<_> = pages
        .iter()
        .map(|page| {
            let commands: Vec<Command> =
                page.commands().into_iter().filter(|command| reason(command).is_none()).collect();
            let session = Session::new();
            let running = session.start(&commands.iter().collect::<Vec<_>>());
            (page, commands, session, running)
        })
        .collect();
    let mut wrong = String::new();
    for (page, commands, session, running) in begun {
        let ran = running.finish();
        let _ = write!(wrong, "{}", ran.stderr);
        let ended: Vec<_> = commands.iter().enumerate().map(|(at, command)| (command, session.ended(at))).collect();
        if is_update() {
            update(page, &ended);
        }
        for complaint in ended.iter().filter_map(|(command, ended)| complaint(page, command, ended)) {
            let _ = writeln!(wrong, "{complaint}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn nothing_is_excused_that_stands_on_no_page() {
    let commands: Vec<String> = pages().iter().flat_map(Page::commands).map(|command| command.text).collect();
    for part in NOT_RUN.iter().map(|(part, _)| part).chain(PLACES.iter().map(|(from, _)| from)) {
        assert!(commands.iter().any(|text| text.contains(part)), "no command has `{part}`");
    }
}
