//! The rows of a page, and how far the covers of all rows have come.

use std::sync::Arc;

use super::pictures::{Pictures, pictures};
use crate::catalog::{Catalog, Labels};
use crate::domain::Status;
use crate::error::Error;
use crate::join::{Join, Joined};
use crate::ledger::{AnyLedger, Artwork};
use crate::page::{MAX_ROWS, PageRow, Stage, Stages};
use crate::results::{Cover, Remedy, ResultLine, ResultsError, Standing, View};

/// Where rows come from, and how they look.
pub(super) struct RowReader<'a> {
    pub(super) catalog: &'a Arc<Catalog>,
    pub(super) ledger: &'a AnyLedger,
    pub(super) labels: &'a Labels,
    pub(super) view: View,
    pub(super) pictures: Pictures<'a>,
}

impl RowReader<'_> {
    /// All rows counted, and those to show: those that are `left` first, and then as many others as there is room for.
    pub(super) async fn read(&self, left: u64) -> Result<(Stages, Vec<PageRow>), Error> {
        let most = u64::try_from(MAX_ROWS).unwrap_or(u64::MAX);
        let mut room_for_others = most.saturating_sub(left);
        let (mut stages, mut rows, mut files) = (Stages::new(self.view.now), Vec::new(), Vec::new());
        let mut join = Join::new(self.catalog, Some(self.ledger), self.view.trust)?;
        loop {
            let chunk = join.next().await.map_err(ResultsError::from)?;
            if chunk.is_empty() {
                break;
            }
            for joined in &chunk {
                let (line, art) = (ResultLine::new(self.catalog, joined, self.view), art_of(joined));
                let stage = stage(&line, art);
                stages.add(stage, art.and_then(Artwork::expires_at));
                let is_left = !line.status.is_settled() || matches!(line.cover, Cover::Awaited | Cover::Forgotten);
                if rows.len() >= MAX_ROWS || (!is_left && room_for_others == 0) {
                    continue;
                }
                room_for_others = room_for_others.saturating_sub(u64::from(!is_left));
                files.push(self.pictures.files_of(art));
                rows.push(self.row(joined, &line, stage));
            }
        }
        self.pictures.put_into(&mut rows, files).await;
        Ok((stages, rows))
    }

    fn row(&self, joined: &Joined, line: &ResultLine, stage: Stage) -> PageRow {
        let (record, art) = (joined.record.as_ref(), art_of(joined));
        PageRow {
            line: joined.row.line,
            id: joined.row.id.as_ref().map(ToString::to_string).unwrap_or_default(),
            labels: self.labels.of(self.catalog, &joined.row),
            status: line.status,
            stage,
            reason: line.reason,
            code: record.and_then(|record| record.answer.code),
            message: line.what_was_said().to_owned(),
            attempts: record.map_or(0, |record| record.submissions),
            first_sent_at: record.and_then(|record| record.first_sent_at),
            finished_at: record.and_then(|record| record.finished_at),
            cover_task_id: record.and_then(|record| record.cover.as_ref()).map(ToString::to_string),
            images: art.map(pictures).unwrap_or_default(),
            fallback: art.is_some_and(|art| art.fallback.is_some()),
            expires_at: art.and_then(Artwork::expires_at),
        }
    }
}

fn art_of(joined: &Joined) -> Option<&Artwork> {
    joined.record.as_ref().map(|record| &record.artwork)
}

/// How far the cover of a row has come.
fn stage(line: &ResultLine, art: Option<&Artwork>) -> Stage {
    if !line.status.is_settled() || line.cover == Cover::Forgotten {
        return match Standing::of(line.status, line.retryable, line.cover).remedy() {
            Remedy::Person => Stage::Person,
            Remedy::NextRun => Stage::NextRun,
        };
    }
    match art {
        _ if line.status == Status::Ignored => Stage::Ignored,
        Some(art) if art.is_on_disk() => Stage::Saved,
        Some(art) if art.images.is_some() => Stage::Online,
        Some(_) | None => Stage::Accepted,
    }
}
