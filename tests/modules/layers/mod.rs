//! The map in `src/lib.rs` is true: modules name only modules before them, outside crates stay in their homes, files
//! inside a module use each other one way only, and nothing is too long to be read.

mod circles;
mod sources;

use std::collections::BTreeMap;
use std::fs;

use circles::circles;
use sources::{Source, blanked, body_lines, is_name, names_after, names_crate, root, sources};

/// Longest file, without its tests.
const FILE_LINES: usize = 400;

/// Longest function.
const FUNCTION_LINES: usize = 60;

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
        let Some(module) = source.module() else { continue };
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
fn no_file_is_used_by_one_that_it_uses() {
    let circles = circles(&sources());
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn circles_of_files_are_seen_however_the_other_file_is_named() {
    let source = |path: &str, code: &str| Source {
        path: path.to_owned(),
        place: path.split('/').map(str::to_owned).collect(),
        code: code.to_owned(),
    };
    let seen = |parent: &str, a: &str, b: &str| circles(&[source("p", parent), source("p/a", a), source("p/b", b)]);
    for way in [
        "use super::b::B;",
        "use crate::p::{self, b::{B as D}};",
        "use super::b;\nfn f() -> b::B {}",
        "fn f() -> super::b::B {}",
        "use crate::{p, q};\nfn f(b: p::b::B) {}",
        "use super::B;",
    ] {
        let found = seen("pub mod a;\npub use b::B;\npub(crate) use a::A;", way, "use super::a::A;");
        assert_eq!(found, [["p/a names p/b: B", "p/b names p/a: A"]], "{way}");
    }
    let found = seen("pub mod a;\nuse a::A;\nstruct P(A);", "use super::P;", "");
    assert_eq!(found, [["p names p/a: A", "p/a names p: P"]]);
    let found = seen("pub mod a;\npub use a::A;\nstruct P;", "use super::P;", "use super::a::A;\nuse std::a::B;");
    assert!(found.is_empty(), "handed on is not used: {found:?}");
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
        "console",
        "csv",
        "encoding_rs",
        "flate2",
        "governor",
        "hmac",
        "hyper",
        "image",
        "indicatif",
        "reqwest",
        "rusqlite",
        "rustix",
        "rustls",
        "rustls_native_certs",
        "secrecy",
        "tokio_postgres",
        "tokio_postgres_rustls",
        "toml",
        "unicode_normalization",
    ];
    assert_eq!(crates, expected);
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for source in sources() {
        let Some(module) = source.module() else { continue };
        for outside in crates.iter().filter(|outside| names_crate(&source.code, outside)) {
            assert!(homes[outside].contains(&module), "{} names {outside}", source.path);
            found.entry(outside).or_default().push(module.to_owned());
        }
    }
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), expected, "each is really used");
}

#[test]
fn no_file_is_longer_than_400_lines() {
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
        for (at, _) in source.code.match_indices("fn ").filter(|(at, _)| !source.code[..*at].ends_with(is_name)) {
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
