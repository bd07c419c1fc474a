//! Music tasks as people name them: by their ids, by the beginnings of those, and in lists on standard input.

use std::collections::BTreeSet;
use std::io::{Read as _, stdin};

use tokio::task::spawn_blocking;

use crate::domain::MusicTaskId;
use crate::error::Error;
use crate::ledger::{AnyLedger, ReadLedger as _};

/// What stands for a list on standard input.
const LIST: &str = "-";

/// Candidates that are named for the beginning of an id.
const SHOWN: u32 = 5;

/// Whether one of these words stands for a list on standard input.
pub(super) fn read_list(words: &[String]) -> bool {
    words.iter().any(|word| word == LIST)
}

/// The ids that these words are, and that are in the list; `option` is what they were given to, and `otherwise` tells what was
/// not done if one is none.
pub(super) async fn ids(words: &[String], option: &str, otherwise: &str) -> Result<BTreeSet<MusicTaskId>, Error> {
    let id = |word: &[u8]| {
        let said = String::from_utf8_lossy(word);
        MusicTaskId::new(word)
            .map_err(|bad| Error::usage(format!("{option}`{said}` is no music task id: {bad}"), otherwise))
    };
    let typed = words.iter().filter(|word| *word != LIST).map(|word| id(word.as_bytes()));
    let mut ids = typed.collect::<Result<BTreeSet<_>, Error>>()?;
    if read_list(words) {
        let list = list().await?;
        for word in list.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
            ids.insert(id(word)?);
        }
    }
    Ok(ids)
}

/// All of standard input. A person may take their time over it, and signals are heard meanwhile.
async fn list() -> Result<Vec<u8>, Error> {
    let read = || {
        let mut list = Vec::new();
        stdin().lock().read_to_end(&mut list).map(|_| list)
    };
    let list = spawn_blocking(read).await.unwrap_or_else(|defect| std::panic::resume_unwind(defect.into_panic()));
    list.map_err(|cause| Error::System { what: "read the list of ids from standard input", cause })
}

/// The music task of this id, else the only one whose id begins so; `None` if the ledger knows none.
pub(super) async fn find(ledger: &AnyLedger, start: &MusicTaskId) -> Result<Option<MusicTaskId>, Error> {
    let candidates = ledger.beginning_with(start, SHOWN + 1).await?;
    match candidates.as_slice() {
        [] => Ok(None),
        // The shortest comes first.
        [only] => Ok(Some(only.clone())),
        [exact, ..] if exact == start => Ok(Some(exact.clone())),
        several => Err(ambiguous(start, several)),
    }
}

fn ambiguous(start: &MusicTaskId, several: &[MusicTaskId]) -> Error {
    let shown = SHOWN as usize;
    let names: Vec<&str> = several.iter().take(shown).map(MusicTaskId::as_str).collect();
    let more = if several.len() > shown { " …" } else { "" };
    let problem = format!("several music tasks begin with `{start}`: {}{more}", names.join(", "));
    Error::usage(problem, "give more of the one that is meant")
}
