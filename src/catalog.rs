//! The catalog: the CSV file that names one music task per row, read as bytes and never altered.
//!
//! [`Catalog::open`] reads the file once from end to end, so a [`Catalog`] that exists can be used: it has a header,
//! an id column and no row that swallows the ones after it. Everybody who wants rows then takes a pass of their own
//! ([`Catalog::rows`]). Nothing here sends, writes results or decides what to do with a row, and nothing grows with
//! the number of rows but the list of repeated ids: the catalog may have millions of them.
//!
//! One handle stays open for the whole life, so a file that is replaced or deleted meanwhile goes on being read; one
//! that is written to in place is noticed ([`Catalog::unchanged`]).

mod columns;
mod dialect;
mod earlier;
mod error;
mod lines;
mod open;
mod origin;
mod quoting;
mod records;
mod repeats;
mod row;

pub use columns::ID_COLUMNS;
pub use dialect::{BadDelimiter, Delimiter, Dialect};
pub use earlier::Earlier;
pub use error::{CatalogError, NotCsv};
pub use open::{Catalog, CatalogOptions, Check};
pub use origin::CatalogSource;
pub use records::MAX_RECORD_BYTES;
pub use row::{BadRow, Row, Rows};
