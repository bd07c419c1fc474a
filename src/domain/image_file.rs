//! Images on disk: of which kind, how large, in which file.

use super::words::words;

words! {
    /// The kinds of image that are saved, told by their first bytes. The word is the extension of their files.
    ImageKind {
        /// PNG.
        Png = "png",
        /// JPEG.
        Jpeg = "jpg",
        /// WebP.
        WebP = "webp",
    }
}

/// How large an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSize {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
    /// Bytes of its file.
    pub bytes: u64,
}

impl ImageSize {
    /// Pixels of the shorter side.
    #[must_use]
    pub const fn shorter_side(self) -> u32 {
        if self.width < self.height { self.width } else { self.height }
    }
}

/// The file that holds an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// Its name, within the folder of downloads.
    pub name: String,
    /// How large the image is; `None` if only earlier results tell of it, and not that.
    pub size: Option<ImageSize>,
}
