//! What the pages name is there: files, headings, tests, options and variables.

use std::collections::BTreeSet;
use std::fs;

use coverbatch::domain::{Reason, ResultColumn, Status};

use super::options::all;
use super::pages::{Page, pages, root};

/// Options of other programs.
const FOREIGN: &[&str] = &[
    "bench",
    "create-home",
    "env",
    "file",
    "help",
    "home-dir",
    "ignored",
    "locked",
    "nocapture",
    "now",
    "parallel",
    "parallel-max",
    "path",
    "program",
    "read-only",
    "release",
    "root",
    "rounds",
    "rows",
    "schema",
    "system",
    "tag",
    "test",
    "volume",
    "user",
    "version",
];

/// Variables that are no options.
const VARIABLES: &[&str] = &["CALLBACK_SECRET", "WEBHOOK_KEY", "TEST_KILLS"];

/// The words of a text that consist of such characters, from each of these beginnings on.
fn words_after<'a>(text: &'a str, start: &str, is_inside: fn(char) -> bool) -> Vec<&'a str> {
    let after = |at: usize| &text[at + start.len()..];
    let end = |rest: &'a str| &rest[..rest.find(|each| !is_inside(each)).unwrap_or(rest.len())];
    text.match_indices(start).map(|(at, _)| end(after(at))).collect()
}

/// Links to places of this repository: their text, and where they lead.
fn links(text: &str) -> Vec<(&str, &str)> {
    let link = |(at, _): (usize, &str)| {
        let target = text[at + 2..].split(')').next().unwrap();
        (text[..at].rsplit('[').next().unwrap(), target)
    };
    text.match_indices("](").map(link).filter(|(_, target)| !target.contains("://")).collect()
}

/// The anchors of a page, as they are made from its headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let anchor = |heading: &str| {
        let kept = heading.chars().filter(|each| each.is_alphanumeric() || " -_".contains(*each));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    text.lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

/// What is wrong with a link. One whose text is the name of a test leads to the file where that is.
fn broken(page: &Page, (text, target): (&str, &str)) -> Option<String> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { page.path.clone() } else { page.path.parent().unwrap().join(file) };
    if !path.exists() {
        return Some("leads nowhere".to_owned());
    }
    let is_test = text.starts_with('`') && text.matches('_').count() > 2;
    if is_test && !fs::read_to_string(&path).unwrap().contains(&format!("fn {}(", text.trim_matches('`'))) {
        return Some("leads to a file without this test".to_owned());
    }
    let is_there = anchor.is_empty() || anchors(&fs::read_to_string(&path).unwrap()).contains(anchor);
    (!is_there).then(|| "leads to a heading that is not there".to_owned())
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let wrong: Vec<String> = pages
        .iter()
        .flat_map(|page| links(&page.text).into_iter().map(move |link| (page, link)))
        .filter_map(|(page, link)| Some(format!("{}: [{}]({}) {}", page.name(), link.0, link.1, broken(page, link)?)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_option_and_variable_is_one_of_the_program() {
    let commands = all();
    let options: BTreeSet<&str> =
        commands.iter().flat_map(|(_, command)| command.get_arguments()).filter_map(|arg| arg.get_long()).collect();
    let mut wrong = Vec::new();
    for page in pages().iter().filter(|page| page.name() != "CONTRIBUTING.md") {
        let named = words_after(&page.text, "--", |each| each.is_ascii_lowercase() || each == '-' || each == '_');
        let is_known =
            |name: &str| name.is_empty() || name.starts_with('-') || options.contains(name) || FOREIGN.contains(&name);
        wrong.extend(named.into_iter().filter(|name| !is_known(name)).map(|name| format!("{}: --{name}", page.name())));
        let named = words_after(&page.text, "COVERBATCH_", |each| each.is_ascii_uppercase() || each == '_');
        let is_known = |name: &str| {
            let option = name.to_lowercase().replace('_', "-");
            name.is_empty() || options.contains(&*option) || VARIABLES.contains(&name)
        };
        wrong.extend(named.into_iter().filter(|name| !is_known(name)).map(|name| format!("{}: {name}", page.name())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_suite_is_there() {
    for page in pages() {
        for name in words_after(&page.text, "--test ", |each| each.is_ascii_lowercase() || each == '_') {
            let is_there =
                [format!("tests/{name}.rs"), format!("tests/{name}")].iter().any(|path| root().join(path).exists());
            assert!(is_there, "{}: there is no suite `{name}`", page.name());
        }
    }
}

#[test]
fn the_page_of_results_has_every_word_that_the_results_have() {
    let text = fs::read_to_string(root().join("docs/results.md")).unwrap();
    let words = Status::WORDS.iter().chain(&Reason::WORDS).chain(&ResultColumn::WORDS);
    let missing: Vec<_> = words.filter(|word| !text.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
