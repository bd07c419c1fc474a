//! The configuration file: what stands in it, and on which lines. Whether that can be used is judged elsewhere.
//!
//! Errors name lines and show none: one may hold what is secret.

use std::fs;
use std::ops::Range;
use std::path::{self, Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::Error;

/// The key of the tables of accounts, and the option that chooses one.
const ACCOUNT: &str = "account";

/// A configuration file that has been read.
#[derive(Debug)]
pub(super) struct ConfigFile {
    /// Its whole name.
    pub(super) path: PathBuf,
    /// What it sets, in the order of its lines.
    pub(super) entries: Vec<Entry>,
    /// The names of its tables `[account.NAME]`.
    pub(super) accounts: Vec<String>,
}

/// One key with its value.
#[derive(Debug)]
pub(super) struct Entry {
    /// The account whose table it stands in; `None` at the top.
    pub(super) account: Option<String>,
    pub(super) key: String,
    pub(super) value: FileValue,
    /// Counted from 1.
    pub(super) line: usize,
}

/// A value as it would stand on the command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileValue {
    /// `true` or `false`.
    Switch(bool),
    /// A text, number or time.
    Text(String),
    /// Several of these.
    List(Vec<String>),
    /// A table, or a list of anything else.
    Other,
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Usage`] if it cannot be read, or is no TOML.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let name = path.display();
        let text = fs::read_to_string(path).map_err(|cause| {
            Error::usage(format!("cannot read the configuration `{name}`: {cause}"), "see --config")
        })?;
        let table = DeTable::parse(&text).map_err(|bad| {
            let place = bad.span().map(|span| format!("line {}: ", line_of(&text, &span)));
            let place = place.unwrap_or_default();
            // Its `Display` would show the line.
            let problem = format!("the configuration `{name}` is no TOML: {place}{}", bad.message());
            Error::usage(problem, "write one `option = \"value\"` a line, with texts in quotes")
        })?;
        let mut file = Self {
            path: path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            entries: Vec::new(),
            accounts: Vec::new(),
        };
        file.take(&text, table.get_ref());
        file.entries.sort_by_key(|entry| entry.line);
        Ok(file)
    }

    /// What is in force for `account`: its own table before the top.
    pub(super) fn value(&self, key: &str, account: Option<&str>) -> Option<&Entry> {
        let standing = |at: Option<&str>| {
            self.entries.iter().find(move |entry| entry.key == key && entry.account.as_deref() == at)
        };
        account.and_then(|name| standing(Some(name))).or_else(|| standing(None))
    }

    /// Takes what stands in the file; `account = "NAME"` without tables is an option like any other.
    fn take(&mut self, text: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let Some(accounts) = value.get_ref().as_table().filter(|_| key.get_ref() == ACCOUNT) else {
                self.entries.push(entry(text, None, (key.get_ref(), key), value));
                continue;
            };
            for (name, value) in accounts {
                if let Some(own) = value.get_ref().as_table() {
                    self.take_account(text, name.get_ref(), own);
                } else {
                    let key = format!("{ACCOUNT}.{}", name.get_ref());
                    self.entries.push(entry(text, None, (&key, name), value));
                }
            }
        }
    }

    fn take_account(&mut self, text: &str, name: &str, own: &DeTable<'_>) {
        self.accounts.push(name.to_owned());
        self.entries.extend(own.iter().map(|(key, value)| entry(text, Some(name), (key.get_ref(), key), value)));
    }
}

impl Entry {
    /// The words of the value as they would stand on the command line. Those of a path are resolved from the folder of the
    /// file: the folder that a command is started in is another one under cron.
    pub(super) fn words(&self, file: &Path, is_path: bool) -> Vec<String> {
        let words = match &self.value {
            FileValue::Switch(is_on) => vec![is_on.to_string()],
            FileValue::Text(text) => vec![text.clone()],
            FileValue::List(texts) => texts.clone(),
            FileValue::Other => Vec::new(),
        };
        if is_path { words.iter().map(|word| resolved(word, file)).collect() } else { words }
    }
}

/// A path from the folder of the configuration file. Standard output and the addresses of databases are no paths.
fn resolved(word: &str, file: &Path) -> String {
    if word.is_empty() || word == "-" || word.contains("://") {
        return word.to_owned();
    }
    file.with_file_name(word).to_string_lossy().into_owned()
}

fn entry<T>(text: &str, account: Option<&str>, (key, at): (&str, &Spanned<T>), value: &Spanned<DeValue<'_>>) -> Entry {
    Entry {
        account: account.map(str::to_owned),
        key: key.to_owned(),
        value: file_value(text, value),
        line: line_of(text, &at.span()),
    }
}

fn file_value(text: &str, value: &Spanned<DeValue<'_>>) -> FileValue {
    match value.get_ref() {
        DeValue::Boolean(is_on) => FileValue::Switch(*is_on),
        DeValue::Array(values) => {
            let words: Option<Vec<String>> = values.iter().map(|value| word(text, value)).collect();
            words.map_or(FileValue::Other, FileValue::List)
        }
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => {
            word(text, value).map_or(FileValue::Other, FileValue::Text)
        }
    }
}

/// A text, or what stands in the file for a number or a time.
fn word(text: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(word) => Some(word.to_string()),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) => text.get(value.span()).map(str::to_owned),
        DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
}
