//! Which rows of the catalog a run takes up, and how many it sends.

use std::collections::BTreeSet;
use std::io::{Read as _, stdin};
use std::num::NonZeroU32;

use clap::Args;
use tokio::task::spawn_blocking;

use crate::cli::options::positive_count;
use crate::domain::MusicTaskId;
use crate::error::Error;

/// What stands for a list on standard input.
const LIST: &str = "-";

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
        self.only.iter().any(|word| word == LIST)
    }

    /// The music tasks that are taken up, if not all are.
    pub(super) async fn chosen(&self) -> Result<Option<BTreeSet<MusicTaskId>>, Error> {
        if !self.is_confined() {
            return Ok(None);
        }
        let mut chosen = BTreeSet::new();
        for word in self.only.iter().filter(|word| *word != LIST) {
            chosen.insert(id(word.as_bytes())?);
        }
        if self.reads_list() {
            let list = list().await?;
            for word in list.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
                chosen.insert(id(word)?);
            }
        }
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

fn id(word: &[u8]) -> Result<MusicTaskId, Error> {
    let said = || String::from_utf8_lossy(word).into_owned();
    MusicTaskId::new(word)
        .map_err(|bad| Error::usage(format!("--only `{}` is no music task id: {bad}", said()), "nothing was sent"))
}

/// All of standard input. A person may take their time over it, and signals are heard meanwhile.
async fn list() -> Result<Vec<u8>, Error> {
    let read = || {
        let mut list = Vec::new();
        stdin().lock().read_to_end(&mut list).map(|_| list)
    };
    let list = spawn_blocking(read).await.unwrap_or_else(|defect| std::panic::resume_unwind(defect.into_panic()));
    list.map_err(|cause| Error::System { what: "read the list of --only from standard input", cause })
}
