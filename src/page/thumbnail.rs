//! Small copies of downloaded pictures, to stand in the page.
//!
//! Pictures come from the network, so they are decoded within limits, and all that are decoded at a time share one budget
//! of memory. A PNG, which is what the service makes, is shrunk row by row while it is read, so that its size costs next
//! to nothing. The decoders of JPEG and WebP hold a picture as a whole; what does not fit into the budget is not decoded.
//! What is broken, too large or no picture at all has no small copy, and the page says so.

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits, RgbImage};
use png::Transformations;

/// JPEG qualities to try, until a small copy is as small as it should be.
const QUALITIES: [u8; 3] = [70, 55, 40];

/// Largest side of a copy that is small.
const SMALL: u32 = 160;

/// Largest copy, in bytes per 1,000 pixels: 2.5 KB at 96 pixels, 61 KB at 640. A large one shows less of each loss.
const fn bytes_per_1000_pixels(size: u32) -> u32 {
    if size <= SMALL { 270 } else { 150 }
}

/// Largest side of small copies in a page of this many pictures; `None` if there are too many to show any.
///
/// 160 pixels up to 200, 96 up to 2,000, 64 up to 10,000.
#[must_use]
pub const fn thumbnail_size(covers: usize) -> Option<u32> {
    match covers {
        ..=200 => Some(SMALL),
        201..=2_000 => Some(96),
        2_001..=10_000 => Some(64),
        _ => None,
    }
}

/// Largest side of copies that are looked at in the page itself, if there are this many; `None` if there are too many.
///
/// 640 pixels up to 120, 480 up to 200, 320 up to 480: 10 MB, which mail servers take.
#[must_use]
pub const fn embedded_size(pictures: usize) -> Option<u32> {
    match pictures {
        ..=120 => Some(640),
        121..=200 => Some(480),
        201..=480 => Some(320),
        _ => None,
    }
}

/// A JPEG of each PNG, JPEG or WebP file as a `data:` address, its larger side at most `size` pixels; in the order
/// of the files, made on all cores. Blocking.
///
/// `None` for a file that is missing, broken, too large or not a picture.
#[must_use]
pub fn thumbnails(paths: &[PathBuf], size: u32) -> Vec<Option<String>> {
    let mut small = vec![None; paths.len()];
    let (left, decoder) = (Mutex::new(paths.iter().zip(&mut small)), Decoder::new());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some((path, slot)) = next() {
            *slot = thumbnail(&decoder, path, size);
        }
    };
    let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(paths.len());
    thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    small
}

fn thumbnail(decoder: &Decoder, path: &Path, size: u32) -> Option<String> {
    let small = on_white(&decoder.decode(path, size)?.thumbnail(size, size));
    let jpeg = encode(&small, bytes_per_1000_pixels(size))?;
    Some(format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg)))
}

fn on_white(picture: &DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8();
    }
    let rgba = picture.to_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [red, green, blue, alpha] = rgba.get_pixel(x, y).0;
        image::Rgb([red, green, blue].map(|part| over_white(part, alpha)))
    })
}

/// The best of [`QUALITIES`] that is small enough, or else the smallest.
fn encode(small: &RgbImage, bytes_per_1000_pixels: u32) -> Option<Vec<u8>> {
    let most = usize::try_from(small.width() * small.height() * bytes_per_1000_pixels / 1000).ok()?;
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

/// Widest and highest picture that is decoded, in pixels.
const MAX_SIDE: u32 = 8192;

/// Largest file that is opened, in bytes; downloads are not larger either.
const MAX_FILE: u64 = 50 << 20;

/// Memory for all pictures that are decoded at a time, in bytes.
const BUDGET: u64 = 160 << 20;

/// Most memory that a decoder takes for a pixel, in bytes: a progressive JPEG for coefficients of two bytes in each of
/// its three parts, and for the picture itself.
const BYTES_PER_PIXEL: u64 = 9;

/// Memory for what stands before a PNG's pixels, such as a colour profile, in bytes.
const PNG_EXTRAS: usize = 4 << 20;

/// Decodes pictures, several at a time.
#[derive(Debug)]
pub(super) struct Decoder {
    free: Mutex<u64>,
    freed: Condvar,
    /// Whoever takes memory in two steps has this in between: two who wait for their second step would wait for ever.
    turn: Mutex<()>,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { free: Mutex::new(BUDGET), freed: Condvar::new(), turn: Mutex::default() }
    }

    /// The picture in this file, perhaps shrunk already, but no smaller than twice `size`.
    ///
    /// `None` for a file that is missing, broken, too large or not a picture.
    pub(super) fn decode(&self, path: &Path, size: u32) -> Option<DynamicImage> {
        // Asked before opening: a pipe would wait for ever.
        let meta = path.metadata().ok()?;
        if !meta.is_file() || meta.len() > MAX_FILE {
            return None;
        }
        let file = BufReader::new(File::open(path).ok()?);
        let reader = ImageReader::new(file).with_guessed_format().ok()?;
        if reader.format()? == ImageFormat::Png {
            self.png(reader.into_inner(), size)
        } else {
            self.whole(reader, meta.len())
        }
    }

    fn whole(&self, mut reader: ImageReader<BufReader<File>>, file_bytes: u64) -> Option<DynamicImage> {
        let mut limits = Limits::default();
        (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
        limits.max_alloc = Some(BUDGET);
        reader.limits(limits);
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // The file is read as a whole before the size of the picture is known.
        let mut memory = self.reserve(file_bytes)?;
        let decoder = reader.into_decoder().ok()?;
        let (width, height) = decoder.dimensions();
        memory.grow(u64::from(width) * u64::from(height) * BYTES_PER_PIXEL)?;
        drop(turn);
        DynamicImage::from_decoder(decoder).ok()
    }

    fn png(&self, file: BufReader<File>, size: u32) -> Option<DynamicImage> {
        let mut decoder = png::Decoder::new_with_limits(file, png::Limits { bytes: PNG_EXTRAS });
        decoder.set_transformations(Transformations::STRIP_16 | Transformations::ALPHA);
        let mut reader = decoder.read_info().ok()?;
        let (width, height) = reader.info().size();
        if width.max(height) > MAX_SIDE {
            return None;
        }
        let samples = reader.output_color_type().0.samples();
        let mut shrinker = Shrinker::new(width, width.max(height) / (2 * size).max(1));
        if reader.info().interlaced {
            let (bytes, row) = (reader.output_buffer_size()?, reader.output_line_size(width)?);
            let _memory = self.reserve(u64::try_from(bytes).ok()?)?;
            let mut whole = vec![0; bytes];
            reader.next_frame(&mut whole).ok()?;
            whole.chunks_exact(row).for_each(|row| shrinker.add(row, samples));
            return shrinker.picture();
        }
        while let Some(row) = reader.next_row().ok()? {
            shrinker.add(row.data(), samples);
        }
        shrinker.picture()
    }

    /// Waits until so many bytes are free, and takes them; `None` if there are never so many.
    fn reserve(&self, bytes: u64) -> Option<Memory<'_>> {
        let mut memory = Memory { decoder: self, bytes: 0 };
        memory.grow(bytes)?;
        Some(memory)
    }

    fn free(&self) -> MutexGuard<'_, u64> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of the budget; free again when this is dropped.
struct Memory<'a> {
    decoder: &'a Decoder,
    bytes: u64,
}

impl Memory<'_> {
    fn grow(&mut self, bytes: u64) -> Option<()> {
        if self.bytes + bytes > BUDGET {
            return None;
        }
        let lacks = |free: &mut u64| *free < bytes;
        let mut free =
            self.decoder.freed.wait_while(self.decoder.free(), lacks).unwrap_or_else(PoisonError::into_inner);
        *free -= bytes;
        self.bytes += bytes;
        Some(())
    }
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        *self.decoder.free() += self.bytes;
        self.decoder.freed.notify_all();
    }
}

/// Makes one pixel of each square of pixels, from the rows of a picture one after the other.
struct Shrinker {
    /// The side of a square.
    factor: usize,
    /// Of each square in the row of squares at hand: red, green and blue, and how many pixels.
    sums: Vec<([u64; 3], u64)>,
    /// Rows of pixels in that row of squares so far.
    rows: usize,
    /// Of the rows of squares before it.
    shrunk: Vec<u8>,
}

impl Shrinker {
    fn new(width: u32, factor: u32) -> Self {
        let [width, factor] = [width, factor.max(1)].map(|pixels| usize::try_from(pixels).unwrap_or(usize::MAX));
        Self { factor, sums: vec![Default::default(); width.div_ceil(factor)], rows: 0, shrunk: Vec::new() }
    }

    /// The next row: pixels of so many samples, the last of them alpha.
    fn add(&mut self, row: &[u8], samples: usize) {
        for ((sums, count), square) in self.sums.iter_mut().zip(row.chunks(self.factor * samples)) {
            for pixel in square.chunks_exact(samples) {
                let (parts, alpha) = pixel.split_at(samples - 1);
                // The one part of a grey is all three of a colour.
                for (sum, part) in sums.iter_mut().zip(parts.iter().cycle()) {
                    *sum += u64::from(over_white(*part, alpha[0]));
                }
                *count += 1;
            }
        }
        self.rows += 1;
        if self.rows == self.factor {
            self.end_squares();
        }
    }

    fn end_squares(&mut self) {
        for (sums, count) in self.sums.iter_mut().map(std::mem::take) {
            self.shrunk.extend(sums.map(|sum| u8::try_from(sum / count.max(1)).unwrap_or(u8::MAX)));
        }
        self.rows = 0;
    }

    fn picture(mut self) -> Option<DynamicImage> {
        if self.rows > 0 {
            self.end_squares();
        }
        let width = u32::try_from(self.sums.len()).ok()?;
        let height = u32::try_from(self.shrunk.len() / 3 / self.sums.len()).ok()?;
        RgbImage::from_raw(width, height, self.shrunk).map(DynamicImage::from)
    }
}

/// A part of a colour with this alpha on white, since JPEG has no alpha.
fn over_white(part: u8, alpha: u8) -> u8 {
    let [part, alpha] = [part, alpha].map(u16::from);
    u8::try_from((part * alpha + 255 * (255 - alpha)) / 255).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::{Arc, mpsc};
    use std::thread;
    use std::time::Duration;

    use image::{ImageFormat, Rgb, Rgba, RgbaImage};

    use super::{MAX_FILE, MAX_SIDE, *};

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

    #[test]
    fn a_square_of_pixels_becomes_its_mean_on_white_also_at_the_edges() {
        let mut rgba = Shrinker::new(3, 2);
        rgba.add(&[[10, 20, 30, 255], [30, 40, 50, 255], [90, 0, 0, 255]].concat(), 4);
        rgba.add(&[[10, 20, 30, 255], [30, 40, 50, 255], [110, 0, 0, 255]].concat(), 4);
        rgba.add(&[[0, 0, 0, 0], [1, 1, 1, 255], [0, 0, 0, 51]].concat(), 4);
        let picture = rgba.picture().unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (2, 2));
        assert_eq!(picture.into_raw(), [20, 30, 40, 100, 0, 0, 128, 128, 128, 204, 204, 204]);
        let mut grey = Shrinker::new(2, 1);
        grey.add(&[7, 255, 100, 0], 2);
        assert_eq!(grey.picture().unwrap().to_rgb8().into_raw(), [7, 7, 7, 255, 255, 255]);
    }

    fn png(width: u32, height: u32, is_interlaced: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        let pixels = vec![9; usize::try_from(width * height * 3).unwrap()];
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        bytes[28] = u8::from(is_interlaced);
        let checksum = crc32fast::hash(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    #[test]
    fn a_png_needs_nothing_of_the_budget_unless_it_is_interlaced() {
        let folder = tempfile::tempdir().unwrap();
        let decoder = Arc::new(Decoder::new());
        let decode = |name: &str, bytes: Vec<u8>| {
            let (path, decoder, (done, is_done)) = (folder.path().join(name), Arc::clone(&decoder), mpsc::channel());
            std::fs::write(&path, bytes).unwrap();
            thread::spawn(move || done.send(decoder.decode(&path, 96).unwrap().to_rgb8()));
            is_done
        };
        let memory = decoder.reserve(BUDGET).unwrap();
        let wide = decode("wide.png", png(MAX_SIDE, 85, false)).recv_timeout(Duration::from_secs(30)).unwrap();
        assert_eq!(wide.dimensions(), (MAX_SIDE.div_ceil(42), 3));
        // Of one pixel there is one pass, and its bytes are the same.
        let interlaced = decode("interlaced.png", png(1, 1, true));
        assert!(interlaced.recv_timeout(Duration::from_millis(50)).is_err(), "it did not wait");
        drop(memory);
        assert_eq!(interlaced.recv_timeout(Duration::from_secs(30)).unwrap().into_raw(), [9, 9, 9]);
    }

    #[test]
    fn what_would_go_beyond_the_budget_waits_and_what_is_larger_than_it_is_refused() {
        let decoder = Arc::new(Decoder::new());
        let mut first = decoder.reserve(BUDGET / 2).unwrap();
        assert!(first.grow(BUDGET / 2 + 1).is_none() && decoder.reserve(BUDGET + 1).is_none());
        let (done, is_done) = mpsc::channel();
        thread::spawn({
            let decoder = Arc::clone(&decoder);
            move || done.send(decoder.reserve(BUDGET).map(|memory| memory.bytes))
        });
        assert!(is_done.recv_timeout(Duration::from_millis(50)).is_err(), "it did not wait");
        drop(first);
        assert_eq!(is_done.recv_timeout(Duration::from_secs(30)).unwrap(), Some(BUDGET));
        assert_eq!(*decoder.free(), BUDGET);
    }
}
