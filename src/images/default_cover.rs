//! A picture of the user's own that stands in where the service makes none.

use std::fs::File;
use std::io::{self, Cursor, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::structure::{NotAnImage, check};
use crate::domain::{ImageKind, MAX_IMAGE_BYTES};

/// Why a file cannot be the default cover.
#[derive(Debug, Error)]
pub enum DefaultCoverError {
    /// It cannot be read.
    #[error("cannot read the default cover `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// It is no image that could be kept.
    #[error("cannot use `{}` as the default cover", path.display())]
    NotAnImage {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: NotAnImage,
    },
    /// It is larger than any image kept.
    #[error("cannot use `{}` as the default cover: it is larger than 50 MiB", .0.display())]
    TooLarge(PathBuf),
}

/// A whole image, read once, so that what happens to its file later does not matter to the run.
#[derive(Debug, Clone)]
pub struct DefaultCover {
    content: Arc<[u8]>,
    kind: ImageKind,
}

impl DefaultCover {
    /// The image at `path`.
    ///
    /// # Errors
    /// [`DefaultCoverError`], one for each way to be wrong.
    pub fn open(path: &Path) -> Result<Self, DefaultCoverError> {
        let read = read(path).map_err(|cause| DefaultCoverError::Unreadable { path: path.to_owned(), cause })?;
        let content = read.ok_or_else(|| DefaultCoverError::TooLarge(path.to_owned()))?;
        let kind = check(Cursor::new(&content))
            .map_err(|cause| DefaultCoverError::Unreadable { path: path.to_owned(), cause })?
            .map_err(|cause| DefaultCoverError::NotAnImage { path: path.to_owned(), cause })?;
        Ok(Self { content: content.into(), kind })
    }

    /// The bytes of the image.
    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }

    /// The kind of image.
    pub(super) const fn kind(&self) -> ImageKind {
        self.kind
    }
}

/// The bytes at `path`; `None` if they are too many.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    File::open(path)?.take(MAX_IMAGE_BYTES + 1).read_to_end(&mut content)?;
    Ok((content.len() as u64 <= MAX_IMAGE_BYTES).then_some(content))
}
