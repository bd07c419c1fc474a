//! What people call a row: title, artist, ISRC or whatever else the catalog's own columns hold of a track.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{Catalog, Row};
use crate::domain::one_line;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::CatalogOptions;

    fn labels(text: &str, wanted: &[&str]) -> Result<Vec<Vec<String>>, NoSuchColumn> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let catalog = Catalog::open(&file.path().to_path_buf().into(), &CatalogOptions::default()).unwrap();
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let labels = Labels::find(&catalog, &wanted)?;
        let (mut rows, mut row, mut found) = (catalog.rows().unwrap(), Row::default(), Vec::new());
        while rows.next_row(&mut row).unwrap() {
            found.push(labels.of(&catalog, &row));
        }
        Ok(found)
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
}
