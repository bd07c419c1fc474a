//! The pages that people read, and the commands in them.
//!
//! A command stands in an indented block, in a fence of the kind `sh` or `cron`, or behind `$ ` in a fence of the kind
//! `console`, which goes on with what it prints. `<!-- $ … -->` is a command that nobody sees; a fence of the kind `text`
//! right below is what it prints. A fence of the kind `toml` is a file, whose path is in the comment of its first line.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A page, as it stands in the repository.
pub(super) struct Page {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// A command on a page.
#[derive(Debug)]
pub(super) struct Command {
    /// Line of the page, from 1.
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) is_cron: bool,
    /// The lines of the page, from 0, that show what it prints.
    pub(super) printed: Option<Range<usize>>,
}

/// The folder of the repository.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md, CONTRIBUTING.md and all of `docs/`.
pub(super) fn pages() -> Vec<Page> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|kind| kind == "md")).collect();
    paths.extend(["README.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    paths.sort();
    paths.into_iter().map(|path| Page { text: fs::read_to_string(&path).unwrap(), path }).collect()
}

impl Page {
    /// Its path within the repository.
    pub(super) fn name(&self) -> String {
        self.path.strip_prefix(root()).unwrap().display().to_string()
    }

    pub(super) fn lines(&self) -> Vec<&str> {
        self.text.lines().collect()
    }

    /// Its commands, in their order.
    pub(super) fn commands(&self) -> Vec<Command> {
        let lines = self.lines();
        let mut found = Vec::new();
        let mut at = 0;
        while at < lines.len() {
            at = if let Some(kind) = lines[at].strip_prefix("```") {
                let length = lines[at + 1..].iter().position(|line| *line == "```").expect("a fence is closed");
                let inside = at + 1..at + 1 + length;
                fenced(&lines, kind, inside.clone(), &mut found);
                inside.end + 1
            } else if let Some(text) = lines[at].strip_prefix("<!-- $ ").and_then(|rest| rest.strip_suffix(" -->")) {
                found.push(Command { line: at + 1, text: text.to_owned(), is_cron: false, printed: None });
                at + 1
            } else if is_indented(&lines, at) {
                let length = lines[at..].iter().take_while(|line| line.starts_with("    ")).count();
                found.extend(joined(&lines, at..at + length));
                at + length
            } else {
                at + 1
            };
        }
        found
    }
}

/// Whether a block of indented lines begins here.
fn is_indented(lines: &[&str], at: usize) -> bool {
    lines[at].starts_with("    ") && at.checked_sub(1).is_none_or(|before| lines[before].is_empty())
}

fn fenced(lines: &[&str], kind: &str, inside: Range<usize>, found: &mut Vec<Command>) {
    match kind {
        "sh" => found.extend(joined(lines, inside)),
        "cron" => found.extend(inside.filter_map(|at| cron(lines, at))),
        "toml" => found.push(file(lines, inside)),
        "console" => found.extend(session(lines, inside)),
        "text" if inside.start >= 2 && lines[inside.start - 2].starts_with("<!-- $ ") => {
            found.last_mut().unwrap().printed = Some(inside);
        }
        _ => {
            let command = lines[inside].iter().find(|line| line.starts_with("coverbatch ") || line.starts_with("$ "));
            assert_eq!(command, None, "a command in a fence of the kind `{kind}`, where none is run");
        }
    }
}

/// One command for each line; a backslash at the end joins it to the next.
fn joined(lines: &[&str], block: Range<usize>) -> Vec<Command> {
    let mut found: Vec<Command> = Vec::new();
    let mut goes_on = false;
    for at in block {
        let line = lines[at].trim();
        let (text, is_joined) = line.strip_suffix('\\').map_or((line, false), |start| (start, true));
        match found.last_mut() {
            Some(last) if goes_on => last.text.push_str(text),
            _ => found.push(Command { line: at + 1, text: text.to_owned(), is_cron: false, printed: None }),
        }
        goes_on = is_joined;
    }
    found
}

/// The command of a line of a crontab, without its five fields of time. A line that sets a variable has none.
fn cron(lines: &[&str], at: usize) -> Option<Command> {
    let mut fields = lines[at].split_whitespace();
    let is_time = |field: &str| field.bytes().all(|byte| byte.is_ascii_digit() || b"*/,-".contains(&byte));
    if fields.by_ref().take(5).filter(|field| is_time(field)).count() < 5 {
        assert!(lines[at].contains('='), "neither a command nor a variable: {}", lines[at]);
        return None;
    }
    let text = fields.collect::<Vec<_>>().join(" ");
    assert!(!text.contains('%'), "cron takes `%` for the end of a line: {text}");
    Some(Command { line: at + 1, text, is_cron: true, printed: None })
}

/// What makes the file that a block shows.
fn file(lines: &[&str], inside: Range<usize>) -> Command {
    let path = lines[inside.start].strip_prefix("# ").expect("the path of the file");
    let text = format!("install -D /dev/stdin {path} <<'END'\n{}\nEND", lines[inside.clone()].join("\n"));
    Command { line: inside.start + 1, text, is_cron: false, printed: None }
}

/// Each `$ ` begins a command; what it prints goes on to the next.
fn session(lines: &[&str], inside: Range<usize>) -> Vec<Command> {
    let starts: Vec<usize> = inside.clone().filter(|at| lines[*at].starts_with("$ ")).collect();
    assert_eq!(starts.first(), Some(&inside.start), "a session begins with a command");
    let ends = starts[1..].iter().copied().chain([inside.end]);
    let command = |(start, end): (usize, usize)| Command {
        line: start + 1,
        text: lines[start][2..].to_owned(),
        is_cron: false,
        printed: Some(start + 1..end),
    };
    starts.iter().copied().zip(ends).map(command).collect()
}
