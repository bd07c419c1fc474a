//! The user's own picture that stands in where the service makes none.

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
    #[error("cannot read the default cover `{}`", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// It is no image that could be kept.
    #[error("cannot use `{}` as the default cover", .0.display())]
    NotAnImage(PathBuf, #[source] NotAnImage),
    /// It is larger than any image kept.
    #[error("cannot use `{}` as the default cover: it is larger than 50 MiB", .0.display())]
    TooLarge(PathBuf),
}

/// A whole image, read once, so that what happens to its file later does not matter to the run.
#[derive(Debug, Clone)]
pub struct DefaultCover {
    pub(super) content: Arc<[u8]>,
    pub(super) kind: ImageKind,
}

impl DefaultCover {
    /// The image at `path`.
    ///
    /// # Errors
    /// [`DefaultCoverError`], one for each way to be wrong.
    pub fn open(path: &Path) -> Result<Self, DefaultCoverError> {
        let unreadable = |cause| DefaultCoverError::Unreadable(path.to_owned(), cause);
        let content = read(path).map_err(unreadable)?.ok_or_else(|| DefaultCoverError::TooLarge(path.to_owned()))?;
        let (kind, _) = check(Cursor::new(&content))
            .map_err(unreadable)?
            .map_err(|cause| DefaultCoverError::NotAnImage(path.to_owned(), cause))?;
        Ok(Self { content: content.into(), kind })
    }
}

/// The bytes at `path`; `None` if they are too many.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    File::open(path)?.take(MAX_IMAGE_BYTES + 1).read_to_end(&mut content)?;
    Ok((content.len() as u64 <= MAX_IMAGE_BYTES).then_some(content))
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::fs;

    use super::*;
    use crate::images::tests::sample;

    #[test]
    fn a_default_cover_is_a_whole_image_of_at_most_50_mib() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("default.png");
        assert!(matches!(DefaultCover::open(&path), Err(DefaultCoverError::Unreadable { .. })));
        fs::write(&path, &sample(ImageKind::Png)[..50]).unwrap();
        let error = DefaultCover::open(&path).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot use `{}` as the default cover", path.display()));
        assert_eq!(error.source().unwrap().to_string(), "the PNG is cut off");
        File::create(&path).unwrap().set_len(MAX_IMAGE_BYTES + 1).unwrap();
        assert!(matches!(DefaultCover::open(&path), Err(DefaultCoverError::TooLarge(_))));
    }
}
