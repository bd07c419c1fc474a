//! The report page: one HTML file that tells a label's people which covers are in hand and what the night came to.
//!
//! A pure renderer: a [`Page`] in, bytes out. It asks neither ledger nor catalog, reads no clock and no file but the
//! pictures that [`thumbnails`] is asked for. The file needs no network and trusts nothing it is given: every text of the
//! catalog or the service is escaped and isolated, only http(s) addresses become links, and a content security policy
//! of hashes lets nothing run but the page's own script.

mod chart;
mod document;
mod labels;
mod row;
mod stages;
mod thumbnail;

pub use chart::{Activity, Kind};
pub use document::{MAX_ROWS, Next, Page, RunLine};
pub use row::{PageImage, PageRow, Stage};
pub use stages::Stages;
pub use thumbnail::{embedded_size, thumbnail_size, thumbnails};
