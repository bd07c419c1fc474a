//! Small copies of downloaded pictures, to stand in the page.
//!
//! What is broken, too large or no picture at all has no small copy, and the page says so.

use std::io::Cursor;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, RgbImage};

use super::decode::{Decoder, over_white};

/// JPEG qualities to try, until a small copy is as small as it should be.
const QUALITIES: [u8; 3] = [70, 55, 40];

/// Largest small copy, in bytes per 1,000 pixels: 2.5 KB at 96 pixels.
const BYTES_PER_1000_PIXELS: u32 = 270;

/// Largest side of small copies in a page of this many pictures; `None` if there are too many to show any.
///
/// 160 pixels up to 200, 96 up to 2,000, 64 up to 10,000.
#[must_use]
pub const fn thumbnail_size(covers: usize) -> Option<u32> {
    match covers {
        ..=200 => Some(160),
        201..=2_000 => Some(96),
        2_001..=10_000 => Some(64),
        _ => None,
    }
}

/// A small JPEG of each PNG, JPEG or WebP file as a `data:` address, its larger side at most `size` pixels; in the order
/// of the files, made on all cores. Blocking.
///
/// `None` for a file that is missing, broken, too large or not a picture.
#[must_use]
pub fn thumbnails(paths: &[PathBuf], size: u32) -> Vec<Option<String>> {
    let slots: Vec<OnceLock<Option<String>>> = paths.iter().map(|_| OnceLock::new()).collect();
    let (next, decoder) = (AtomicUsize::new(0), Decoder::new());
    let work = || {
        while let Some((path, slot)) = take(&next, paths, &slots) {
            slot.get_or_init(|| thumbnail(&decoder, path, size));
        }
    };
    let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(paths.len());
    thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    slots.into_iter().map(|slot| slot.into_inner().flatten()).collect()
}

fn thumbnail(decoder: &Decoder, path: &Path, size: u32) -> Option<String> {
    let small = on_white(&decoder.decode(path, size)?.thumbnail(size, size));
    let jpeg = encode(&small)?;
    Some(format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg)))
}

/// The next piece of work, taken by one worker only.
fn take<'a, P, S>(next: &AtomicUsize, paths: &'a [P], slots: &'a [S]) -> Option<(&'a P, &'a S)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    Some((paths.get(place)?, slots.get(place)?))
}

fn on_white(picture: &DynamicImage) -> RgbImage {
    let rgba = picture.to_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [red, green, blue, alpha] = rgba.get_pixel(x, y).0;
        image::Rgb([red, green, blue].map(|part| over_white(part, alpha)))
    })
}

/// The best of [`QUALITIES`] that is small enough, or else the smallest.
fn encode(small: &RgbImage) -> Option<Vec<u8>> {
    let most = usize::try_from(small.width() * small.height() * BYTES_PER_1000_PIXELS / 1000).ok()?;
    let mut jpeg = Vec::new();
    for quality in QUALITIES {
        jpeg.clear();
        JpegEncoder::new_with_quality(Cursor::new(&mut jpeg), quality).encode_image(small).ok()?;
        if jpeg.len() <= most {
            break;
        }
    }
    Some(jpeg)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use image::{ImageFormat, Rgb, Rgba, RgbaImage};

    use super::*;
    use crate::page::decode::{MAX_FILE, MAX_SIDE};

    fn thumbnail(path: &Path, size: u32) -> Option<String> {
        super::thumbnail(&Decoder::new(), path, size)
    }

    /// A cover as art is: large shapes, gradients and some grain.
    fn art(side: u32) -> DynamicImage {
        let pixel = |x: u32, y: u32| {
            let grain = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) >> 27;
            let [x, y] = [x, y].map(|at| at * 255 / side);
            let disc = x.abs_diff(128).pow(2) + y.abs_diff(110).pow(2) < 3600;
            let colour = if disc { [230, 120 + y / 4, 60] } else { [x / 2 + 20, y / 2, 90 + x / 3] };
            Rgb(colour.map(|part| u8::try_from((part + grain).min(255)).unwrap()))
        };
        RgbImage::from_fn(side, side, pixel).into()
    }

    fn saved(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn read_back(address: &str) -> RgbImage {
        let bytes = STANDARD.decode(address.strip_prefix("data:image/jpeg;base64,").unwrap()).unwrap();
        image::load_from_memory_with_format(&bytes, ImageFormat::Jpeg).unwrap().to_rgb8()
    }

    #[test]
    fn the_usual_formats_become_small_copies_of_the_same_shape() {
        let folder = tempfile::tempdir().unwrap();
        let wide = art(600).crop_imm(0, 0, 600, 300);
        for (name, format) in [("a", ImageFormat::Png), ("b.txt", ImageFormat::Jpeg), ("c.png", ImageFormat::WebP)] {
            let small = read_back(&thumbnail(&saved(&folder, name, &encoded(&wide, format)), 96).unwrap());
            assert_eq!(small.dimensions(), (96, 48), "{name}");
        }
    }

    #[test]
    fn a_picture_looks_the_same_whatever_it_is_written_as() {
        let folder = tempfile::tempdir().unwrap();
        let small = [ImageFormat::Png, ImageFormat::WebP].map(|format| {
            let path = saved(&folder, "a", &encoded(&art(1000), format));
            read_back(&thumbnail(&path, 96).unwrap()).into_raw()
        });
        let apart = small[0].iter().zip(&small[1]).map(|(one, other)| usize::from(one.abs_diff(*other)));
        assert!(apart.sum::<usize>() <= 2 * small[0].len());
    }

    #[test]
    fn a_small_copy_is_small() {
        let folder = tempfile::tempdir().unwrap();
        let path = saved(&folder, "a.png", &encoded(&art(1024), ImageFormat::Png));
        let bytes = |size| thumbnail(&path, size).unwrap().len() * 3 / 4;
        assert!(bytes(96) < 2560, "{}", bytes(96));
        assert!(bytes(160) < 7000 && bytes(64) < 2000, "{} {}", bytes(160), bytes(64));
    }

    #[test]
    fn what_is_transparent_is_white() {
        let folder = tempfile::tempdir().unwrap();
        let clear = RgbaImage::from_pixel(64, 64, Rgba([0, 0, 0, 0]));
        let path = saved(&folder, "a.png", &encoded(&clear.into(), ImageFormat::Png));
        assert!(read_back(&thumbnail(&path, 64).unwrap()).pixels().all(|pixel| pixel.0.iter().all(|part| *part > 250)));
    }

    /// A PNG header that promises this many pixels.
    fn png_of(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = encoded(&art(8), ImageFormat::Png);
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let sum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
        })
    }

    #[test]
    fn bombs_and_broken_files_have_no_small_copy() {
        let folder = tempfile::tempdir().unwrap();
        let whole = encoded(&art(64), ImageFormat::Png);
        let jpeg = encoded(&art(64), ImageFormat::Jpeg);
        let strip = |width| encoded(&RgbImage::new(width, 1).into(), ImageFormat::Png);
        assert!(thumbnail(&saved(&folder, "widest", &strip(MAX_SIDE)), 96).is_some());
        let cases: [(&str, Vec<u8>); 9] = [
            ("empty", Vec::new()),
            ("text", b"<html>not here any more</html>".to_vec()),
            ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec()),
            ("gif", b"GIF89a\x01\0\x01\0\0\0\0;".to_vec()),
            ("signature only", whole[..8].to_vec()),
            ("half a png", whole[..whole.len() / 2].to_vec()),
            ("head of a jpeg", jpeg[..100].to_vec()),
            ("too wide", strip(MAX_SIDE + 1)),
            ("bomb", png_of(60_000, 60_000)),
        ];
        for (name, bytes) in cases {
            assert_eq!(thumbnail(&saved(&folder, name, &bytes), 96), None, "{name}");
        }
        assert_eq!(thumbnail(&folder.path().join("missing"), 96), None);
        assert_eq!(thumbnail(folder.path(), 96), None);
        assert_eq!(thumbnail(Path::new("/dev/zero"), 96), None);
        let huge = File::create(folder.path().join("huge")).unwrap();
        huge.set_len(MAX_FILE + 1).unwrap();
        assert_eq!(thumbnail(&folder.path().join("huge"), 96), None);
    }

    #[test]
    fn many_are_made_at_once_and_keep_their_places() {
        let folder = tempfile::tempdir().unwrap();
        let one = saved(&folder, "a.png", &encoded(&art(64), ImageFormat::Png));
        let broken = saved(&folder, "b.png", b"no");
        let paths: Vec<PathBuf> = (0..40).map(|at| if at % 3 == 0 { broken.clone() } else { one.clone() }).collect();
        let small = thumbnails(&paths, 64);
        assert_eq!(small.len(), 40);
        assert!((0..40).all(|at| small[at].is_none() == (at % 3 == 0)));
        assert!(thumbnails(&[], 64).is_empty());
    }

    #[test]
    fn pages_of_any_size_stay_usable() {
        let sizes = [0, 200, 201, 2_000, 2_001, 10_000, 10_001].map(thumbnail_size);
        assert_eq!(sizes, [Some(160), Some(160), Some(96), Some(96), Some(64), Some(64), None]);
    }
}
