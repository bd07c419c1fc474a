//! Catalogs as people have them: what is read of each, what is refused, and how the results repeat it.

mod headers;
mod ids;
mod properties;
mod quotes;
mod repeated;

use std::fs;
use std::io::Write as _;
use std::sync::Arc;

use coverbatch::catalog::{Catalog, CatalogOptions, Row};
use coverbatch::clock::UnixMillis;
use coverbatch::join::Trust;
use coverbatch::ledger::SqliteLedger;
use coverbatch::policy::InDoubt;
use coverbatch::results::{self, Format, Goal, Paths, Tally, View};
use tempfile::NamedTempFile;

/// Ids as the service has them.
const A: &str = "5f0c1d7e9b2a4386a1c0de55f00dcafe";
const B: &str = "0b9d2c71e6f84a35b7e1aa90c3d2f164";
const C: &str = "c41e77a0935b4d2f8e6019bb7d5a3f28";

fn open_with(bytes: impl AsRef<[u8]>, options: &CatalogOptions) -> Result<Arc<Catalog>, String> {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes.as_ref()).unwrap();
    let path = file.path().to_path_buf();
    let told = |error: coverbatch::catalog::CatalogError| {
        assert_eq!(coverbatch::error::Error::from(error).exit().code(), 7);
    };
    let opened = Catalog::open(&path.clone().into(), options);
    opened.map(Arc::new).map_err(|error| {
        let words = error.to_string().replace(&path.display().to_string(), "songs.csv");
        told(error);
        words
    })
}

fn open(bytes: impl AsRef<[u8]>) -> Result<Arc<Catalog>, String> {
    open_with(bytes, &CatalogOptions::default())
}

fn rows(catalog: &Catalog) -> Vec<Row> {
    let (mut rows, mut row, mut all) = (catalog.rows().unwrap(), Row::default(), Vec::new());
    while rows.next_row(&mut row).unwrap() {
        all.push(row.clone());
    }
    all
}

/// The id of each row, or what is wrong with it.
fn ids(catalog: &Catalog) -> Vec<String> {
    rows(catalog).iter().map(|row| row.id.as_ref().map_or_else(ToString::to_string, ToString::to_string)).collect()
}

fn lines(catalog: &Catalog) -> Vec<u64> {
    rows(catalog).iter().map(|row| row.line).collect()
}

/// The results and the failures of a night in which nothing was sent.
fn written(catalog: &Arc<Catalog>) -> [Vec<u8>; 2] {
    let folder = tempfile::tempdir().unwrap();
    let [results, failures] = ["results.csv", "failures.csv"].map(|name| folder.path().join(name));
    let view = View {
        unreached: None,
        in_doubt: InDoubt::Resend,
        trust: Trust::All,
        goal: Goal::Accepted,
        now: UnixMillis(1_800_000_000_000),
        warn_below: None,
    };
    let paths = Paths { results: results.clone(), failures: Some(failures.clone()), format: Format::Csv };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(results::write(catalog, None::<&SqliteLedger>, view, (&paths, Tally::default()))).unwrap();
    [results, failures].map(|path| fs::read(path).unwrap())
}
