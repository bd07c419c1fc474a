//! A row of the results as a JSON object: the catalog's columns by their names, then those of the verdict.

use std::collections::BTreeSet;

use serde::Serializer as _;
use serde_json::Value;

use super::line::ResultLine;
use crate::catalog::{Catalog, Row};
use crate::domain::ResultColumn;

/// The objects of a catalog's rows.
pub(super) struct JsonFormat {
    /// The catalog's own columns; a name that repeats is followed by its number.
    names: Vec<String>,
}

impl JsonFormat {
    /// The format of this catalog.
    pub(super) fn new(catalog: &Catalog) -> Self {
        let names = catalog.own_names().map(|name| String::from_utf8_lossy(name).into_owned());
        Self { names: told_apart(names) }
    }

    /// The line of a row. Cells of the catalog are texts; those of the verdict are numbers and truths where they are, and
    /// null where they are empty.
    pub(super) fn line(&self, catalog: &Catalog, row: &Row, line: &ResultLine) -> serde_json::Result<Vec<u8>> {
        let text = |nth| catalog.own_value(row, nth).map(|cell| String::from_utf8_lossy(&cell).into_owned());
        let own = self.names.iter().enumerate().map(|(nth, name)| (name.as_str(), Value::from(text(nth))));
        let columns = ResultColumn::ALL.iter().zip(line.cells());
        let verdict = columns.map(|(column, cell)| (column.word(), value(*column, cell)));
        let mut json = Vec::new();
        serde_json::Serializer::new(&mut json).collect_map(own.chain(verdict))?;
        json.push(b'\n');
        Ok(json)
    }
}

fn told_apart(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let free = |(number, name): (usize, String)| {
        // The name with its number may be that of another column.
        let numbered = (number..).map(|number: usize| format!("{name}_{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !seen.contains(name)).unwrap_or(name);
        seen.insert(free.clone());
        free
    };
    (1..).zip(names).map(free).collect()
}

/// A cell of the verdict as what it is.
fn value(column: ResultColumn, cell: &str) -> Value {
    if cell.is_empty() {
        return Value::Null;
    }
    match column {
        ResultColumn::Retryable | ResultColumn::Fallback => Value::Bool(cell == "yes"),
        ResultColumn::HttpStatus
        | ResultColumn::Code
        | ResultColumn::Attempts
        | ResultColumn::DuplicateOfRow
        | ResultColumn::Credits
        | ResultColumn::Width1
        | ResultColumn::Height1
        | ResultColumn::Bytes1
        | ResultColumn::Width2
        | ResultColumn::Height2
        | ResultColumn::Bytes2 => serde_json::from_str(cell).unwrap_or_else(|_| Value::from(cell)),
        ResultColumn::Status
        | ResultColumn::Reason
        | ResultColumn::Message
        | ResultColumn::CoverTaskId
        | ResultColumn::FirstSentAt
        | ResultColumn::FinishedAt
        | ResultColumn::Image1
        | ResultColumn::Image2
        | ResultColumn::File1
        | ResultColumn::File2
        | ResultColumn::ExpiresAt
        | ResultColumn::Route => Value::from(cell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_repeats_is_told_by_its_number() {
        let names = ["id", "title", "title", "", ""].map(str::to_owned);
        assert_eq!(told_apart(names.into_iter()), ["id", "title", "title_3", "", "_5"]);
        let names = ["id", "x_4", "x", "x"].map(str::to_owned);
        assert_eq!(told_apart(names.into_iter()), ["id", "x_4", "x", "x_5"]);
    }

    #[test]
    fn a_verdict_is_made_of_numbers_truths_and_texts() {
        assert_eq!(value(ResultColumn::Code, "404"), Value::from(404));
        assert_eq!(value(ResultColumn::Credits, "0.4"), Value::from(0.4));
        assert_eq!(value(ResultColumn::Retryable, "no"), Value::Bool(false));
        assert_eq!(value(ResultColumn::CoverTaskId, "404"), Value::from("404"));
        assert_eq!(value(ResultColumn::Attempts, ""), Value::Null);
    }
}
