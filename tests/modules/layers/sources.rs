//! The source files of the program, and what their text says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file without its tests, comments and the contents of its texts.
pub(crate) struct Source {
    pub(crate) path: String,
    /// Its place in the tree of modules, from below the crate; nothing for `lib.rs` and `main.rs`.
    pub(crate) place: Vec<String>,
    pub(crate) code: String,
}

impl Source {
    /// The module of `src/lib.rs` it belongs to.
    pub(crate) fn module(&self) -> Option<&str> {
        self.place.first().map(String::as_str)
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files that are compiled into the program, in the order of their paths.
pub(crate) fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join("src"), &mut paths);
    paths.sort();
    let mut tests = BTreeSet::new();
    let mut sources: Vec<Source> = paths.iter().map(|path| source(path, &mut tests)).collect();
    sources.retain(|source| (1..=source.place.len()).all(|depth| !tests.contains(&source.place[..depth])));
    assert!(sources.len() > 40, "only {} files found", sources.len());
    sources
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// Reads a file; its modules that only tests have are added to `tests`.
fn source(path: &Path, tests: &mut BTreeSet<Vec<String>>) -> Source {
    let relative = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap();
    let place = relative.trim_end_matches(".rs").split('/').map(str::to_owned);
    let place: Vec<String> = place.filter(|name| name != "lib" && name != "main").collect();
    let text = fs::read_to_string(path).unwrap();
    for (_, after) in text.match_indices("#[cfg(test)]\n").map(|(at, mark)| text.split_at(at + mark.len())) {
        let name = after.split_once("mod ").and_then(|(_, rest)| rest.lines().next()?.strip_suffix(';'));
        tests.extend(name.map(|name| [place.as_slice(), &[name.to_owned()]].concat()));
    }
    // Tests stand last in a file.
    let own = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    Source { path: format!("src/{relative}"), place, code: blanked(own) }
}

pub(crate) fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Code in which comments, texts and characters are blank, so that braces and names count only where they are code.
pub(crate) fn blanked(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest).unwrap_or(0);
        let (taken, after) = rest.split_at(length.max(first.len_utf8()));
        if length == 0 {
            code.push_str(taken);
        } else {
            code.extend(taken.chars().filter(|c| *c == '\n'));
            code.push(' ');
        }
        rest = after;
    }
    code
}

/// How many bytes of comment, text or character begin here, if any do.
fn skipped(rest: &str) -> Option<usize> {
    let after = |start: usize, end: &str| rest[start..].find(end).map_or(rest.len(), |at| start + at + end.len());
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("r#\"") {
        return Some(after(3, "\"#"));
    }
    if let Some(text) = rest.strip_prefix('"') {
        let mut escaped = false;
        let end = text.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        return Some(end.map_or(rest.len(), |at| at + 2));
    }
    let character = rest.strip_prefix('\'')?;
    let first = character.chars().next()?;
    if first == '\\' {
        return Some(after(3, "'"));
    }
    character[first.len_utf8()..].starts_with('\'').then(|| first.len_utf8() + 2)
}

/// The names that follow `prefix` in the code, groups in braces included.
pub(crate) fn names_after<'a>(code: &'a str, prefix: &str) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(is_name) {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        let group = rest.strip_prefix('{').map(|rest| rest.split('}').next().unwrap());
        for part in group.map_or_else(|| vec![rest], |group| group.split(',').collect()) {
            names.push(part.trim().split(|c| !is_name(c)).next().unwrap());
        }
    }
    names
}

/// Whether the code names an outside crate.
pub(crate) fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        let starts = !before.ends_with(is_name) && !before.ends_with("crate::") && !before.ends_with("self::");
        let is_path = after.starts_with("::") && !before.ends_with("::");
        let is_use = before.ends_with("use ") && (after.starts_with(';') || after.starts_with(" as"));
        starts && (is_path || is_use)
    })
}

/// Lines from the name of a function to the end of its body; `None` for a signature without one.
pub(crate) fn body_lines(code: &str) -> Option<usize> {
    let open = code.find(['{', ';']).filter(|at| code[*at..].starts_with('{'))?;
    let mut depth = 0_usize;
    for (at, c) in code[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return Some(code[..=open + at].lines().count()),
            '}' => depth -= 1,
            _ => {}
        }
    }
    panic!("a body that never ends: {}", code.lines().next().unwrap());
}
