//! How many rows the results CSV of an earlier night has: a catalog that lost most of them is not believed.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::dialect::{Grammar, Reading};
use super::error::{CatalogError, CatalogSource};
use super::header::Start;
use super::reader::RecordReader;
use super::record::Record;
use super::source::SourceFile;
use crate::domain::ResultColumn;

/// The readings that are tried, the plain one first.
const READINGS: [Reading; 4] = [
    Reading { backslash: false, blanks: false },
    Reading { backslash: true, blanks: false },
    Reading { backslash: false, blanks: true },
    Reading { backslash: true, blanks: true },
];

/// Whether the file is a results CSV with more than so many rows; one that cannot be read is none.
pub(super) fn has_more_rows(results: &Path, than: u64) -> bool {
    if !fs::metadata(results).is_ok_and(|file| file.is_file()) {
        return false;
    }
    let source = CatalogSource::Path(results.to_owned());
    let Ok(file) = SourceFile::open(&source).map(Arc::new) else { return false };
    let Ok(start) = Start::find(&file, 0, None, &ResultColumn::WORDS[..1]) else { return false };
    let grammars = READINGS.map(|reading| Grammar { reading, ..start.grammar });
    grammars.into_iter().find_map(|grammar| exceeds(&file, start.skipped, grammar, than).ok()).unwrap_or(false)
}

fn exceeds(file: &Arc<SourceFile>, skipped: u64, grammar: Grammar, than: u64) -> Result<bool, CatalogError> {
    let (mut reader, mut record) = (RecordReader::new(file, grammar, skipped)?, Record::default());
    reader.read(&mut record)?;
    let is_results = record.raw_cells().any(|name| name == ResultColumn::WORDS[0].as_bytes());
    let mut rows = 0;
    while is_results && rows <= than && reader.read(&mut record)? {
        rows += 1;
    }
    Ok(rows > than)
}
