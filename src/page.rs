//! The report page: one HTML file that tells a label's people what a night came to and shows the covers.
//!
//! A pure renderer: a [`Page`] in, bytes out. It asks neither ledger nor catalog, reads no clock and no file but the
//! pictures that [`thumbnails`] is asked for. The file needs no network and trusts nothing it is given: every text of the
//! catalog or the service is escaped and isolated, only http(s) addresses become links, and a content security policy
//! of hashes lets nothing run but the page's own script.

mod chart;
mod document;
mod labels;
mod thumbnail;

pub use chart::{Activity, Kind};
pub use document::{MAX_ROWS, Page, PageImage, PageRow, RunLine};
pub use thumbnail::{thumbnail_size, thumbnails};
