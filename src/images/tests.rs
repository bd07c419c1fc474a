//! Small real images for the tests of this module.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

use crate::domain::ImageKind;

pub(super) const KINDS: [ImageKind; 3] = [ImageKind::Png, ImageKind::Jpeg, ImageKind::WebP];

/// A small image of this kind with something to see in it.
pub(super) fn sample(kind: ImageKind) -> Vec<u8> {
    let format = match kind {
        ImageKind::Png => ImageFormat::Png,
        ImageKind::Jpeg => ImageFormat::Jpeg,
        ImageKind::WebP => ImageFormat::WebP,
    };
    let shade = |value: u32| u8::try_from(value * 37 % 256).unwrap();
    let picture = RgbImage::from_fn(23, 17, |x, y| Rgb([shade(x), shade(y), shade(x * y)]));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(picture).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}
