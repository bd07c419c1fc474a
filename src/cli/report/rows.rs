//! The rows of a page with their pictures, and how far the covers of all rows have come.

use std::panic::resume_unwind;
use std::path::{self, Component, Path, PathBuf};
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tracing::warn;

use crate::catalog::{Catalog, Labels};
use crate::domain::Status;
use crate::error::Error;
use crate::join::{Join, Joined};
use crate::ledger::{AnyLedger, Artwork};
use crate::page::{MAX_ROWS, PageImage, PageRow, Stage, Stages, embedded_size, thumbnail_size, thumbnails};
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

/// Where pictures are, and where the page is that shows them.
pub(super) struct Pictures<'a> {
    /// The folder of the images.
    pub(super) folder: Option<&'a Path>,
    /// Where the page will be.
    pub(super) page: &'a Path,
    /// Whether the page is to work alone, with copies large enough to be looked at.
    pub(super) embed: bool,
}

impl Pictures<'_> {
    /// Where the images of a cover are on disk, one for each image that has a name or an address.
    pub(super) fn files_of(&self, art: Option<&Artwork>) -> Vec<Option<PathBuf>> {
        let names = art.map(names).unwrap_or_default();
        names.into_iter().map(|name| within(self.folder?, &name?)).collect()
    }

    /// Gives the rows copies of their images, whose files these are, and the way from the page to each.
    pub(super) async fn put_into(&self, rows: &mut [PageRow], files: Vec<Vec<Option<PathBuf>>>) {
        let all: Vec<PathBuf> = files.iter().flatten().flatten().cloned().collect();
        let copies = match self.size(all.len()) {
            Some(size) => {
                let work = spawn_blocking(move || thumbnails(&all, size));
                work.await.unwrap_or_else(|defect| resume_unwind(defect.into_panic()))
            }
            None => Vec::new(),
        };
        let mut copies = copies.into_iter();
        for (row, files) in rows.iter_mut().zip(files) {
            for (image, file) in row.images.iter_mut().zip(files) {
                let Some(file) = file else { continue };
                image.file = Some(way(self.page, &file).to_string_lossy().into_owned());
                image.thumbnail = copies.next().flatten();
            }
        }
    }

    /// The side of so many copies, in pixels.
    fn size(&self, count: usize) -> Option<u32> {
        let embedded = embedded_size(count).filter(|_| self.embed);
        if self.embed && embedded.is_none() {
            warn!(images = count, "too many images for larger copies (--embed); the page has small ones");
        }
        embedded.or_else(|| thumbnail_size(count))
    }
}

/// The images of a cover as far as they are known; the default cover stands in where none is.
pub(super) fn pictures(art: &Artwork) -> Vec<PageImage> {
    let urls = art.images.as_ref().map_or(&[][..], |images| images.urls());
    let count = urls.len().max(names(art).len());
    let size = |at: usize| art.files.get(at)?.as_ref()?.size;
    let image =
        |at| PageImage { url: urls.get(at).cloned().unwrap_or_default(), size: size(at), ..PageImage::default() };
    (0..count).map(image).collect()
}

/// The names of the files, one for each image that has a name or an address.
fn names(art: &Artwork) -> Vec<Option<String>> {
    let known = art.images.as_ref().map_or(0, |images| images.urls().len());
    let mut names: Vec<Option<String>> =
        art.files.iter().take(known).map(|file| Some(file.as_ref()?.name.clone())).collect();
    if let Some(fallback) = &art.fallback {
        match names.first_mut() {
            Some(first) => *first = Some(fallback.clone()),
            None => names.push(Some(fallback.clone())),
        }
    }
    names
}

/// Where a file of a folder is. `None` for a name or a link that leads elsewhere: it may come from a results CSV that
/// anybody wrote.
fn within(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut parts = Path::new(name).components();
    let is_name = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    Some(folder.join(name)).filter(|path| is_name && !path.is_symlink())
}

/// The way from a page to a file, through the folders that they have in common.
fn way(page: &Path, file: &Path) -> PathBuf {
    let real = |path: &Path| path.canonicalize().or_else(|_| path::absolute(path)).unwrap_or_else(|_| path.to_owned());
    let absolute = path::absolute(page).unwrap_or_else(|_| page.to_owned());
    let folder = real(absolute.parent().unwrap_or(Path::new("/")));
    let file = real(file);
    let common = folder.components().zip(file.components()).take_while(|(one, other)| one == other).count();
    let up = folder.components().skip(common).map(|_| Component::ParentDir);
    up.chain(file.components().skip(common)).collect()
}
