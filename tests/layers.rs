//! The map in `src/lib.rs` is true: modules name only modules before them, outside crates stay in their homes, and
//! nothing is too long to be read.

#![expect(clippy::unwrap_used, reason = "a test ends where it is surprised")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, without its tests.
const FILE_LINES: usize = 300;

/// Longest function.
const FUNCTION_LINES: usize = 60;

/// A source file without its tests, comments and the contents of its texts.
struct Source {
    path: String,
    /// The module of `src/lib.rs` it belongs to; `None` for `lib.rs` and `main.rs`.
    module: Option<String>,
    code: String,
}

/// The rows of the table: a module and the crates that it is the only home of.
fn table() -> Vec<(String, Vec<String>)> {
    let map = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rows = map.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    let row = |row: &str| {
        let (module, rest) = row.split_once("`]").unwrap();
        let homes = rest.rsplit('|').nth(1).unwrap();
        (module.to_owned(), homes.split('`').skip(1).step_by(2).map(str::to_owned).collect())
    };
    rows.map(row).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join("src"), &mut paths);
    paths.sort();
    assert!(paths.len() > 40, "only {} files found", paths.len());
    paths.iter().map(|path| source(path)).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            paths.push(path);
        }
    }
}

fn source(path: &Path) -> Source {
    let relative = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
    let module = relative.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
    let text = fs::read_to_string(path).unwrap();
    // Tests stand last in a file; a `mod tests;` is one line.
    let own = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let module = Some(module).filter(|module| module != "lib" && module != "main");
    Source { path: format!("src/{relative}"), module, code: blanked(own) }
}

/// Code in which comments, texts and characters are blank, so that braces and names count only where they are code.
fn blanked(text: &str) -> String {
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
fn names_after<'a>(code: &'a str, prefix: &str) -> Vec<&'a str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
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
fn names_crate(code: &str, name: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        let starts = !before.ends_with(is_name) && !before.ends_with("crate::") && !before.ends_with("self::");
        let is_path = after.starts_with("::") && !before.ends_with("::");
        let is_use = before.ends_with("use ") && (after.starts_with(';') || after.starts_with(" as"));
        starts && (is_path || is_use)
    })
}

#[test]
fn the_table_lists_every_module_once() {
    let map = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mut declared: Vec<_> =
        map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let table = table();
    let mut listed: Vec<_> = table.iter().map(|(module, _)| module.as_str()).collect();
    declared.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, declared);
}

#[test]
fn a_module_names_only_modules_that_stand_before_it() {
    let order: BTreeMap<String, usize> =
        table().into_iter().enumerate().map(|(at, (module, _))| (module, at)).collect();
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(module) = &source.module else { continue };
        for name in names_after(&source.code, "crate::") {
            let stands = order.get(name).unwrap_or_else(|| panic!("{} names crate::{name}, no module", source.path));
            if *stands > order[module] {
                wrong.push(format!("{} names {name}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_outside_crate_stays_in_its_homes() {
    let table = table();
    let names: Vec<&str> = table.iter().map(|(module, _)| module.as_str()).collect();
    let mut homes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (module, cell) in &table {
        // A cell such as "`csv` (with `results`)" names a crate and a second home.
        let (others, crates): (Vec<&str>, Vec<&str>) =
            cell.iter().map(String::as_str).partition(|word| names.contains(word));
        for outside in crates {
            homes.entry(outside).or_default().push(module);
            homes.entry(outside).or_default().extend(&others);
        }
    }
    let crates: Vec<&str> = homes.keys().copied().collect();
    let expected = [
        "askama",
        "axum",
        "backoff",
        "clap",
        "csv",
        "encoding_rs",
        "governor",
        "hmac",
        "hyper",
        "image",
        "indicatif",
        "reqwest",
        "rusqlite",
        "secrecy",
    ];
    assert_eq!(crates, expected);
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for source in sources() {
        let Some(module) = source.module.clone() else { continue };
        for outside in crates.iter().filter(|outside| names_crate(&source.code, outside)) {
            assert!(homes[outside].contains(&module.as_str()), "{} names {outside}", source.path);
            found.entry(outside).or_default().push(module.clone());
        }
    }
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), expected, "each is really used");
}

#[test]
fn no_file_is_longer_than_300_lines() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|source| source.code.lines().count() > FILE_LINES)
        .map(|source| format!("{}: {} lines", source.path, source.code.lines().count()))
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn no_function_is_longer_than_60_lines() {
    let (mut long, mut functions) = (Vec::new(), 0);
    for source in sources() {
        for (at, _) in source.code.match_indices("fn ").filter(|(at, _)| *at == 0 || is_start(&source.code, *at)) {
            let rest = &source.code[at..];
            let Some(length) = body_lines(rest) else { continue };
            functions += 1;
            if length > FUNCTION_LINES {
                long.push(format!("{}: {length} lines: {}", source.path, rest.lines().next().unwrap()));
            }
        }
    }
    assert!(functions > 300, "only {functions} functions found");
    assert!(long.is_empty(), "{long:#?}");
}

fn is_start(code: &str, at: usize) -> bool {
    code[..at].ends_with(|c: char| c.is_whitespace() || c == '(')
}

/// Lines from the name of a function to the end of its body; `None` for a signature without one.
fn body_lines(code: &str) -> Option<usize> {
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

#[test]
fn the_reader_of_sources_sees_what_is_there() {
    let code = blanked(
        "use crate::{a, b::C}; // crate::c\nlet x = \"crate::d { \\\" \"; let y = '{'; fn f<'a>() { 'b: loop {} }\n",
    );
    assert_eq!(names_after(&code, "crate::"), ["a", "b"]);
    assert_eq!(code.matches('{').count(), 3);
    assert!(names_crate("use csv::Reader;", "csv") && names_crate("let w: csv::Writer<W>;", "csv"));
    assert!(!names_crate("use crate::csv::Reader; mod csv; xcsv::y; a::csv::b", "csv"));
    assert_eq!(body_lines("fn a() {\n  if x {\n  }\n}\nfn b() {}"), Some(4));
    assert_eq!(body_lines("fn a();\nfn b() {}"), None);
}
