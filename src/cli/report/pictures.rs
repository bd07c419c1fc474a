//! The pictures of a page: which files on disk are those of a row, how the page leads to them, and their small copies.

use std::panic::resume_unwind;
use std::path::{self, Component, Path, PathBuf};

use tokio::task::spawn_blocking;
use tracing::warn;

use crate::ledger::Artwork;
use crate::page::{PageImage, PageRow, embedded_size, thumbnail_size, thumbnails};

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
