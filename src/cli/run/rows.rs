//! Which rows of the catalog a run takes up, and how many it sends.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use clap::Args;

use crate::cli::ids::{ids, read_list};
use crate::cli::options::positive_count;
use crate::domain::MusicTaskId;
use crate::error::Error;

#[derive(Debug, Args)]
#[command(next_help_heading = "Rows")]
pub(in crate::cli) struct RowArgs {
    /// Take up only the row of this id, and leave all others as they are; may be repeated; `-` reads ids from standard
    /// input. The exit code and the summary speak of these rows; metrics, monitor and
    /// notice, which speak of the whole catalog, are left alone
    #[arg(long, value_name = "ID", value_delimiter = ' ', env = "COVERBATCH_ONLY", hide_env = true)]
    only: Vec<String>,

    /// Send the first N rows that are to be sent; the others stay as they are
    #[arg(long, value_name = "N", value_parser = positive_count, env = "COVERBATCH_LIMIT", hide_env = true)]
    pub(in crate::cli) limit: Option<NonZeroU32>,
}

impl RowArgs {
    /// Whether not all rows are taken up.
    pub(in crate::cli) const fn is_confined(&self) -> bool {
        !self.only.is_empty()
    }

    /// Whether some rows only are taken up or sent.
    pub(super) const fn is_partial(&self) -> bool {
        self.is_confined() || self.limit.is_some()
    }

    /// Whether standard input is a list of ids.
    pub(super) fn reads_list(&self) -> bool {
        read_list(&self.only)
    }

    /// The music tasks that are taken up, if not all are.
    pub(super) async fn chosen(&self) -> Result<Option<BTreeSet<MusicTaskId>>, Error> {
        if !self.is_confined() {
            return Ok(None);
        }
        let chosen = ids(&self.only, "--only ", "nothing was sent").await?;
        if chosen.is_empty() {
            // Nobody who names no row means all of them.
            return Err(Error::usage(
                "--only names no row: the list on standard input is empty",
                "put one id on a line",
            ));
        }
        Ok(Some(chosen))
    }
}
