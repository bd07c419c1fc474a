//! Failures told as they happen: which row it is, what people call it, and why.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::catalog::{Catalog, CatalogError, Labels, Row};
use crate::domain::{MusicTaskId, one_line};
use crate::results::RowName;
use crate::runner::Failure;

/// Where the rows of a run are found by their music tasks.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// What its rows are called by.
    pub labels: Labels,
}

impl Rows {
    /// A line for each failure. The catalog is read once for all of them.
    pub(super) async fn told(&self, failures: Vec<Failure>) -> Vec<String> {
        let rows = self.clone();
        let work = spawn_blocking(move || {
            // One that cannot be read any more ends the run; until then ids say enough.
            let names = rows.names(&failures).unwrap_or_default();
            failures.iter().map(|failure| told(failure, names.get(&failure.task))).collect()
        });
        work.await.unwrap_or_else(|defect| std::panic::resume_unwind(defect.into_panic()))
    }

    fn names(&self, failures: &[Failure]) -> Result<HashMap<MusicTaskId, RowName>, CatalogError> {
        let mut names = HashMap::new();
        let (mut rows, mut row) = (self.catalog.rows()?, Row::default());
        while names.len() < failures.len() && rows.next_row(&mut row)? {
            if let Ok(id) = &row.id
                && failures.iter().any(|failure| failure.task == *id)
                && !names.contains_key(id)
            {
                names.insert(id.clone(), RowName::of(&self.catalog, &self.labels, &row));
            }
        }
        Ok(names)
    }
}

/// `failed: line 7 (So What, Miles Davis), 73d6128b: not_found: the task does not exist`.
fn told(failure: &Failure, name: Option<&RowName>) -> String {
    let Failure { task, reason, message } = failure;
    let name = name.map(|name| format!("line {name}, ")).unwrap_or_default();
    let said = if message.is_empty() { String::new() } else { format!(": {}", one_line(message)) };
    format!("failed: {name}{task}: {reason}{said}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::CatalogOptions;
    use crate::domain::Reason;

    #[tokio::test]
    async fn a_failure_is_told_by_line_labels_id_and_cause() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "task_id,title\na,So What\n,x\nb,Naima\nb,again\n").unwrap();
        let catalog = Catalog::open(&file.path().to_path_buf().into(), &CatalogOptions::default()).unwrap();
        let labels = Labels::find(&catalog, &[]).unwrap();
        let rows = Rows { catalog: Arc::new(catalog), labels };
        let failure = |id: &str, message: &str| Failure {
            task: MusicTaskId::new(id).unwrap(),
            reason: Reason::NotFound,
            message: message.to_owned(),
        };
        let told = rows.told(vec![failure("b", "no\nsuch task"), failure("gone", "")]).await;
        assert_eq!(told, ["failed: line 4 (Naima), b: not_found: no such task", "failed: gone: not_found"]);
    }
}
