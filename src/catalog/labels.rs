//! What a row is called, from the catalog's own columns: what people call it, by title, artist, ISRC or whatever else these
//! hold of a track; and what the files of its images are called.

use std::collections::BTreeSet;
use std::str::FromStr;

use thiserror::Error;

use super::{Catalog, Row};
use crate::domain::{one_line, trimmed};
use crate::images::NameWords;

/// Columns that usually hold what people call a track, in lower case: the first of each group that is there is taken.
const USUAL: [&[&str]; 2] =
    [&["title", "name", "track", "song", "track_title", "track_name"], &["artist", "artist_name"]];

/// The columns that tell people which track a row is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// Which of the catalog's own columns, from 0.
    columns: Vec<usize>,
    /// What was asked for.
    wanted: Vec<String>,
}

/// The catalog has no column of this name or number.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("the catalog has no column `{0}`")]
pub struct NoSuchColumn(pub String);

impl Labels {
    /// The columns of these names or numbers from 1, in this order; if none is wanted, the usual ones as far as they are
    /// there.
    ///
    /// # Errors
    /// [`NoSuchColumn`] for the first that is not there.
    pub fn find(catalog: &Catalog, wanted: &[String]) -> Result<Self, NoSuchColumn> {
        let find = |name: &String| catalog.own_position(name).ok_or_else(|| NoSuchColumn(name.clone()));
        let columns: Vec<usize> = if wanted.is_empty() {
            USUAL.iter().filter_map(|group| group.iter().find_map(|name| catalog.own_position(name))).collect()
        } else {
            wanted.iter().map(find).collect::<Result<_, _>>()?
        };
        let mut seen = BTreeSet::new();
        let columns = columns.into_iter().filter(|column| seen.insert(*column)).collect();
        Ok(Self { columns, wanted: wanted.to_vec() })
    }

    /// The same columns in another file, if it has them.
    #[must_use]
    pub fn within(&self, other: &Catalog) -> Self {
        Self::find(other, &self.wanted).unwrap_or_default()
    }

    /// What a row says in them, each on one line; nothing where it says nothing.
    #[must_use]
    pub fn of(&self, catalog: &Catalog, row: &Row) -> Vec<String> {
        let cells = self.columns.iter().filter_map(|column| catalog.own_value(row, *column));
        cells.map(|cell| one_line(&String::from_utf8_lossy(&cell))).filter(|text| !text.is_empty()).collect()
    }
}

/// Words and columns, as in `{artist} - {title}`; at least one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTemplate(Vec<Part<String>>);

/// A part of a template, or of one whose columns were found in a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part<C> {
    Text(String),
    Column(C),
}

/// Why a text is no template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadTemplate {
    /// A brace without its other one, or none between them.
    #[error("each `{{` needs its `}}`, with the name of a column between them")]
    Braces,
    /// All covers would be called the same.
    #[error("it names no column, such as `{{title}}`")]
    NoColumn,
    /// Words that would be changed in the name of a file.
    #[error("no name of a file can hold `{0}`")]
    Character(char),
}

impl FromStr for NameTemplate {
    type Err = BadTemplate;

    fn from_str(text: &str) -> Result<Self, BadTemplate> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (words, after) = rest.split_at(rest.find(['{', '}']).unwrap_or(rest.len()));
            if let Some(bad) = words.chars().find(|c| !NameWords::may_hold(*c)) {
                return Err(BadTemplate::Character(bad));
            }
            parts.extend((!words.is_empty()).then(|| Part::Text(words.to_owned())));
            if after.is_empty() {
                break;
            }
            let column_and_rest = after.strip_prefix('{').and_then(|named| named.split_once('}'));
            let (column, behind) = column_and_rest.ok_or(BadTemplate::Braces)?;
            if column.trim().is_empty() || column.contains('{') {
                return Err(BadTemplate::Braces);
            }
            parts.push(Part::Column(column.trim().to_owned()));
            rest = behind;
        }
        let has_column = parts.iter().any(|part| matches!(part, Part::Column(_)));
        has_column.then_some(Self(parts)).ok_or(BadTemplate::NoColumn)
    }
}

/// A template whose columns are those of one catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowNames(Vec<Part<usize>>);

impl RowNames {
    /// The template for a catalog.
    ///
    /// # Errors
    /// [`NoSuchColumn`] for the first column that the catalog does not have.
    pub fn find(catalog: &Catalog, template: &NameTemplate) -> Result<Self, NoSuchColumn> {
        let find = |part: &Part<String>| {
            Ok(match part {
                Part::Text(text) => Part::Text(text.clone()),
                Part::Column(name) => {
                    Part::Column(catalog.own_position(name).ok_or_else(|| NoSuchColumn(name.clone()))?)
                }
            })
        };
        template.0.iter().map(find).collect::<Result<_, _>>().map(Self)
    }

    /// The words for a row; `None` if it says nothing in any of the columns.
    #[must_use]
    pub fn of(&self, catalog: &Catalog, row: &Row) -> Option<NameWords> {
        let (mut words, mut says_something) = (String::new(), false);
        for part in &self.0 {
            match part {
                Part::Text(text) => words.push_str(text),
                Part::Column(column) => {
                    let cell = catalog.own_value(row, *column).unwrap_or_default();
                    let text = trimmed(&cell);
                    says_something |= !text.is_empty();
                    words.push_str(&String::from_utf8_lossy(text));
                }
            }
        }
        NameWords::new(&words).filter(|_| says_something)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::CatalogOptions;

    fn catalog(text: &str) -> Catalog {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Catalog::open(&file.path().to_path_buf().into(), &CatalogOptions::default()).unwrap()
    }

    fn of_all_rows<T>(catalog: &Catalog, of: impl Fn(&Row) -> T) -> Vec<T> {
        let (mut rows, mut row, mut found) = (catalog.rows().unwrap(), Row::default(), Vec::new());
        while rows.next_row(&mut row).unwrap() {
            found.push(of(&row));
        }
        found
    }

    fn labels(text: &str, wanted: &[&str]) -> Result<Vec<Vec<String>>, NoSuchColumn> {
        let catalog = catalog(text);
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let labels = Labels::find(&catalog, &wanted)?;
        Ok(of_all_rows(&catalog, |row| labels.of(&catalog, row)))
    }

    const TEXT: &str = "Artist,task_id,ISRC,Title\nMiles,a,US1,\"So\nWhat\"\n,b,US2,Naima\n";

    #[test]
    fn the_usual_columns_are_found_by_themselves_title_first() {
        assert_eq!(labels(TEXT, &[]), Ok(vec![vec!["So What".into(), "Miles".into()], vec!["Naima".into()]]));
        assert_eq!(labels("task_id\na\n", &[]), Ok(vec![vec![]]));
    }

    #[test]
    fn columns_are_named_or_numbered_in_the_order_that_is_wanted() {
        let found = labels(TEXT, &["isrc", "1", "ISRC"]);
        assert_eq!(found, Ok(vec![vec!["US1".into(), "Miles".into()], vec!["US2".into()]]));
        for wrong in ["album", "0", "5", ""] {
            assert_eq!(labels(TEXT, &["title", wrong]), Err(NoSuchColumn(wrong.to_owned())));
        }
    }

    fn words(template: &str) -> Result<Vec<Option<String>>, NoSuchColumn> {
        let text = "task_id,Artist,TITLE\na,Miles,So What\nb,, \nc,\"Art, Blakey\"\nd,\u{a0},{title}\n";
        let catalog = catalog(text);
        let names = RowNames::find(&catalog, &template.parse().unwrap())?;
        Ok(of_all_rows(&catalog, |row| Some(names.of(&catalog, row)?.as_str().to_owned())))
    }

    #[test]
    fn rows_are_called_by_their_columns_and_those_that_say_nothing_by_no_words() {
        let some = |words: &str| Some(words.to_owned());
        let found = words("{artist} - { title }").unwrap();
        assert_eq!(found, [some("Miles - So What"), None, some("Art, Blakey -"), some("_- {title}")]);
        assert_eq!(words("No. {3}{2}").unwrap()[0], some("No. So WhatMiles"));
        assert_eq!(words("{album}"), Err(NoSuchColumn("album".to_owned())));
        assert_eq!(words("{4}"), Err(NoSuchColumn("4".to_owned())));
    }

    #[test]
    fn what_is_no_template_is_told_why() {
        for (text, why) in [
            ("", BadTemplate::NoColumn),
            ("cover", BadTemplate::NoColumn),
            ("{", BadTemplate::Braces),
            ("}", BadTemplate::Braces),
            ("{}", BadTemplate::Braces),
            ("{a{b}", BadTemplate::Braces),
            ("{a} } b", BadTemplate::Braces),
            ("{a}/{b}", BadTemplate::Character('/')),
            ("{a}\n", BadTemplate::Character('\n')),
        ] {
            assert_eq!(text.parse::<NameTemplate>(), Err(why), "{text:?}");
        }
    }
}
