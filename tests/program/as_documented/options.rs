//! `docs/options.md` tells of the options that the program has.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use clap::{Arg, Command};
use coverbatch::cli;

use super::is_update;
use super::pages::root;

/// Where the part of the page begins that the program makes.
const MARK: &str = "<!-- From here on made by `UPDATE_DOCS=1 cargo test --test program as_documented::`; the words stand in `src/cli`. -->\n";

/// All commands that do something, by their whole names.
pub(super) fn all() -> Vec<(String, Command)> {
    fn add(name: &str, command: &Command, found: &mut Vec<(String, Command)>) {
        let inner = command.get_subcommands().filter(|inner| inner.get_name() != "help");
        let before = found.len();
        inner.for_each(|inner| add(&format!("{name} {}", inner.get_name()), inner, found));
        if found.len() == before {
            found.push((name.to_owned(), command.clone()));
        }
    }
    let mut found = Vec::new();
    add("coverbatch", &cli::command(), &mut found);
    found
}

#[test]
fn the_page_of_options_is_what_the_program_says() {
    let path = root().join("docs/options.md");
    let page = fs::read_to_string(&path).unwrap();
    let (prose, made) = page.split_once(MARK).expect("the page has the mark");
    let mut known = BTreeSet::new();
    let expected: String = all().iter().map(|(name, command)| chapter(name, command, &mut known)).collect();
    if is_update() {
        fs::write(&path, format!("{prose}{MARK}{expected}")).unwrap();
    } else {
        assert!(
            made == expected,
            "docs/options.md is out of date: UPDATE_DOCS=1 cargo test --test program as_documented::"
        );
    }
}

/// One command. Options that an earlier one has in the same words are only named.
fn chapter(name: &str, command: &Command, known: &mut BTreeSet<String>) -> String {
    let mut text = format!("\n## {name}\n\n{}.\n", command.get_about().unwrap());
    if let Some(example) = command.get_before_help() {
        text.push('\n');
        for line in example.to_string().trim_start_matches("Example: ").lines() {
            let _ = writeln!(text, "    {}", line.trim());
        }
    }
    let options = command.get_arguments().filter(|option| option.get_id() != "help");
    let (new, old): (Vec<&Arg>, Vec<&Arg>) = options.partition(|option| known.insert(row(option)));
    let mut headings: Vec<_> = Vec::new();
    for heading in new.iter().map(|option| option.get_help_heading()) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        let _ = write!(text, "\n| {} | default | |\n|---|---|---|\n", heading.unwrap_or("Options"));
        new.iter().filter(|option| option.get_help_heading() == heading).for_each(|option| text.push_str(&row(option)));
    }
    if !old.is_empty() {
        let name = |option: &&Arg| option.get_long().map_or_else(|| spelled(option), |long| format!("`--{long}`"));
        let names: Vec<String> = old.iter().map(name).collect();
        let _ = write!(text, "\nAs above: {}.\n", names.join(", "));
    }
    text
}

/// A row of the table: how the option is spelled, its default, and what it does.
fn row(option: &Arg) -> String {
    let help = option.get_help().unwrap().to_string();
    let (help, told) = help.trim_end_matches(']').split_once(" [default: ").unwrap_or((&help, ""));
    let set: Vec<_> = option.get_default_values().iter().map(|value| format!("`{}`", value.display())).collect();
    let shows_default = option.get_action().takes_values();
    let default = if set.is_empty() || !shows_default { told.to_owned() } else { set.join(" ") };
    let values: Vec<_> = option.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    let values = if values.is_empty() || !shows_default { String::new() } else { format!(": {}", values.join(", ")) };
    format!("| {} | {} | {} |\n", escaped(&spelled(option)), escaped(&default), escaped(&(help.to_owned() + &values)))
}

fn spelled(option: &Arg) -> String {
    let value = option.get_value_names().map(|names| names.join(" ")).filter(|_| option.get_action().takes_values());
    let Some(long) = option.get_long() else { return format!("`{}`", value.unwrap_or_default()) };
    let short = option.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let value = value.map(|value| format!(" {value}")).unwrap_or_default();
    format!("{short}`--{long}{value}`")
}

fn escaped(cell: &str) -> String {
    cell.replace('|', "\\|").replace('<', "&lt;")
}
