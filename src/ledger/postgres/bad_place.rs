//! What can be wrong with the place of a ledger before anybody is asked there.

use thiserror::Error;

/// Why a place cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum BadPlace {
    /// It is no URL, or one with parameters that nobody knows.
    #[error("it is no URL of a PostgreSQL database: {0}")]
    Url(String),
    /// Whether to encrypt is unclear.
    #[error("sslmode is one of disable, prefer, require, verify-ca and verify-full, not `{0}`")]
    SslMode(String),
    /// It names a service that nobody describes.
    #[error("there is no service `{0}` in PGSERVICEFILE, ~/.pg_service.conf or the pg_service.conf of this machine")]
    NoService(String),
    /// A file that the URL or the environment names.
    #[error("cannot read `{path}`: {why}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        why: String,
    },
    /// What is in such a file.
    #[error("`{path}` holds {what}")]
    Certificates {
        /// Which file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
}
