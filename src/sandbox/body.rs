//! The body of an answer, made when it is sent: images are drawn then, and what is padded is never in memory as a whole.

use std::array;
use std::io::{self, Cursor};

use axum::body::Body;
use flate2::read::{GzEncoder, ZlibEncoder};
use image::{ImageFormat, ImageResult, Rgb, RgbImage};
use tokio::io::AsyncReadExt as _;
use tokio::task::spawn_blocking;
use tokio_util::io::ReaderStream;

use super::behavior::{Compression, Delivery, Encoding};

/// Length of what is padded: one byte more than any client should take, even of an image.
const PADDED: u64 = 50 * 1024 * 1024 + 1;
/// How much of it is in memory at a time.
const CHUNK: usize = 64 * 1024;

/// What the body of an answer holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// An image.
    Image(Gradient),
}

/// An image that stands in for a cover: from one colour to another, corner to corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gradient {
    /// Fixes the colours.
    pub(super) seed: u64,
    /// Its width and height.
    pub(super) pixels: u16,
    /// How it is written.
    pub(super) encoding: Encoding,
}

impl Content {
    /// The body, for this delivery.
    ///
    /// # Errors
    /// When an image cannot be encoded.
    pub(super) async fn into_body(self, delivery: Delivery) -> io::Result<Body> {
        let mut bytes = match self {
            Self::Bytes(bytes) => bytes,
            // Takes too long to be done while others wait.
            Self::Image(gradient) => spawn_blocking(move || gradient.encoded()).await?.map_err(io::Error::other)?,
        };
        match delivery {
            Delivery::Padded => {
                let endless = Cursor::new(bytes).chain(tokio::io::repeat(b' '));
                return Ok(Body::from_stream(ReaderStream::with_capacity(endless.take(PADDED), CHUNK)));
            }
            Delivery::Halved => bytes.truncate(bytes.len() / 2),
            Delivery::Damaged => {
                let middle = bytes.len() / 2;
                bytes[middle..].iter_mut().take(1).for_each(|byte| *byte = !*byte);
            }
            Delivery::Compressed(compression) => bytes = compressed(&bytes, compression)?,
            Delivery::Whole | Delivery::Cut | Delivery::Never | Delivery::Late | Delivery::Twice => {}
        }
        Ok(Body::from(bytes))
    }
}

fn compressed(bytes: &[u8], compression: Compression) -> io::Result<Vec<u8>> {
    use std::io::Read as _;

    let (mut compressed, level) = (Vec::new(), flate2::Compression::default());
    match compression {
        Compression::Gzip | Compression::GzipUnsaid => GzEncoder::new(bytes, level).read_to_end(&mut compressed)?,
        Compression::Deflate => ZlibEncoder::new(bytes, level).read_to_end(&mut compressed)?,
    };
    Ok(compressed)
}

impl Gradient {
    fn encoded(self) -> ImageResult<Vec<u8>> {
        let format = match self.encoding {
            Encoding::Png => ImageFormat::Png,
            Encoding::Jpeg => ImageFormat::Jpeg,
            Encoding::Webp => ImageFormat::WebP,
        };
        let mut bytes = Cursor::new(Vec::new());
        self.drawn().write_to(&mut bytes, format)?;
        Ok(bytes.into_inner())
    }

    fn drawn(self) -> RgbImage {
        let mut rng = fastrand::Rng::with_seed(self.seed);
        let colors: [[u8; 3]; 2] = array::from_fn(|_| array::from_fn(|_| rng.u8(..)));
        let side = u32::from(self.pixels);
        RgbImage::from_fn(side, side, |x, y| {
            let [from, to] = [2 * side - x - y, x + y];
            Rgb(array::from_fn(|part| {
                let [first, last] = colors.map(|color| u32::from(color[part]));
                u8::try_from((first * from + last * to) / (2 * side)).unwrap_or(u8::MAX)
            }))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn gradient(seed: u64) -> Gradient {
        Gradient { seed, pixels: 64, encoding: Encoding::Png }
    }

    #[test]
    fn an_image_is_of_its_seed_and_has_its_size() {
        assert_eq!(gradient(1).encoded().unwrap(), gradient(1).encoded().unwrap());
        let all: HashSet<Vec<u8>> = (0..50).map(|seed| gradient(seed).encoded().unwrap()).collect();
        assert_eq!(all.len(), 50);
        for pixels in [1, 64] {
            let image = Gradient { pixels, ..gradient(1) }.drawn();
            assert_eq!(image.dimensions(), (pixels.into(), pixels.into()));
        }
    }

    #[test]
    fn each_encoding_can_be_read_as_what_it_is() {
        for (encoding, format) in [
            (Encoding::Png, ImageFormat::Png),
            (Encoding::Jpeg, ImageFormat::Jpeg),
            (Encoding::Webp, ImageFormat::WebP),
        ] {
            let bytes = Gradient { encoding, ..gradient(1) }.encoded().unwrap();
            assert_eq!(image::guess_format(&bytes).unwrap(), format);
            assert_eq!(image::load_from_memory(&bytes).unwrap().width(), 64);
        }
    }
}
