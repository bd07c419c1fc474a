//! Whether bytes are a whole image, and how large, from their structure and checksums alone.
//!
//! Each format says where it ends: PNG by its `IEND` chunk, JPEG by its end marker, WebP by the size in its head. The
//! way there is walked, since the bytes of an end also occur before it (a preview inside a JPEG has an end of its own).
//! Bytes behind the end are let pass: viewers ignore them, and a refusal would lose a whole cover for good.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use thiserror::Error;

use crate::domain::{ImageKind, ImageSize};

/// How many first bytes tell the kind of an image.
pub const SIGNATURE_BYTES: usize = 12;

/// PNG, third edition, 5.2.
const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Length of the data of `IHDR`, which begins with width and height (PNG, third edition, 11.2.1).
const PNG_HEAD_BYTES: u32 = 13;

/// Start of image, and the beginning of the marker that must follow it (ITU T.81, B.2.1).
const JPEG_SIGNATURE: &[u8] = b"\xff\xd8\xff";

/// What a frame begins with behind its length: precision, height and width (ITU T.81, B.2.2).
const FRAME_HEAD_BYTES: u64 = 5;

/// As much of a chunk of WebP as tells its size, whichever chunk it is.
const WEBP_HEAD_BYTES: usize = 10;

/// Why bytes are not an image that can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotAnImage {
    /// No bytes at all.
    #[error("the image is empty")]
    Empty,
    /// None of the signatures.
    #[error("it is neither PNG, JPEG nor WebP")]
    Unknown,
    /// The bytes end before the image does.
    #[error("the {} is cut off", name(*.0))]
    CutOff(ImageKind),
    /// The structure is broken: after this many bytes comes what cannot stand there.
    #[error("the {} is damaged after {_1} bytes", name(*_0))]
    Damaged(ImageKind, u64),
    /// A whole structure without a picture in it.
    #[error("the {} holds no picture", name(*.0))]
    NoPicture(ImageKind),
}

/// The kind of image that begins with these bytes; [`SIGNATURE_BYTES`] are enough.
#[must_use]
pub fn kind_of(first: &[u8]) -> Option<ImageKind> {
    if first.starts_with(PNG_SIGNATURE) {
        Some(ImageKind::Png)
    } else if first.starts_with(JPEG_SIGNATURE) {
        Some(ImageKind::Jpeg)
    } else if first.starts_with(b"RIFF") && first.get(8..12) == Some(b"WEBP") {
        Some(ImageKind::WebP)
    } else {
        None
    }
}

/// The kind and size of the image that `source` holds from its beginning on, if it is a whole one.
///
/// # Errors
/// If `source` cannot be read.
pub fn check(source: impl Read + Seek) -> io::Result<Result<(ImageKind, ImageSize), NotAnImage>> {
    match Walk::start(source).and_then(|mut walk| walk.image()) {
        Ok(image) => Ok(Ok(image)),
        Err(Fault::Refused(reason)) => Ok(Err(reason)),
        Err(Fault::Unreadable(cause)) => Err(cause),
    }
}

/// Why a walk ends before the image does.
enum Fault {
    Refused(NotAnImage),
    Unreadable(io::Error),
}

impl From<io::Error> for Fault {
    fn from(cause: io::Error) -> Self {
        Self::Unreadable(cause)
    }
}

/// Width and height of a picture, if there is one.
type Pixels = Option<(u32, u32)>;

/// A way through the bytes of a file.
struct Walk<R> {
    source: BufReader<R>,
    length: u64,
    at: u64,
}

impl<R: Read + Seek> Walk<R> {
    fn start(mut source: R) -> Result<Self, Fault> {
        let length = source.seek(SeekFrom::End(0))?;
        source.rewind()?;
        Ok(Self { source: BufReader::new(source), length, at: 0 })
    }

    fn image(&mut self) -> Result<(ImageKind, ImageSize), Fault> {
        let mut first = Vec::new();
        self.source.by_ref().take(SIGNATURE_BYTES as u64).read_to_end(&mut first)?;
        if first.is_empty() {
            return Err(Fault::Refused(NotAnImage::Empty));
        }
        let kind = kind_of(&first).ok_or(Fault::Refused(NotAnImage::Unknown))?;
        self.source.rewind()?;
        let pixels = match kind {
            ImageKind::Png => self.png()?,
            ImageKind::Jpeg => self.jpeg()?,
            ImageKind::WebP => self.webp()?,
        };
        let pixels = pixels.filter(|(width, height)| *width > 0 && *height > 0);
        let (width, height) = pixels.ok_or(Fault::Refused(NotAnImage::NoPicture(kind)))?;
        Ok((kind, ImageSize { width, height, bytes: self.length }))
    }

    /// Chunks of length, type, data and checksum, from `IHDR` to `IEND` (PNG, third edition, 5.3 and 5.6).
    fn png(&mut self) -> Result<Pixels, Fault> {
        let kind = ImageKind::Png;
        self.skip(kind, PNG_SIGNATURE.len() as u64)?;
        let (mut pixels, mut has_data) = (None, false);
        loop {
            let begin = self.at;
            let damaged = Fault::Refused(NotAnImage::Damaged(kind, begin));
            let length = u32::from_be_bytes(self.take(kind)?);
            let name: [u8; 4] = self.take(kind)?;
            let is_head = begin == PNG_SIGNATURE.len() as u64;
            let stands = name.iter().all(u8::is_ascii_alphabetic) && (name == *b"IHDR") == is_head;
            if !stands || length > i32::MAX.unsigned_abs() || (is_head && length != PNG_HEAD_BYTES) {
                return Err(damaged);
            }
            let mut checksum = crc32fast::Hasher::new();
            checksum.update(&name);
            if is_head {
                let [width, height]: [[u8; 4]; 2] = [self.take(kind)?, self.take(kind)?];
                checksum.update([width, height].as_flattened());
                pixels = Some((u32::from_be_bytes(width), u32::from_be_bytes(height)));
            }
            self.sum_up(&mut checksum, kind, begin + 8 + u64::from(length))?;
            // A wrong one makes readers refuse the picture, unless it is of a chunk that they can do without, which they
            // leave out: its name begins with a small letter (5.4 and 13.2).
            if checksum.finalize() != u32::from_be_bytes(self.take(kind)?) && name[0].is_ascii_uppercase() {
                return Err(damaged);
            }
            has_data |= name == *b"IDAT" && length > 0;
            if name == *b"IEND" {
                return Ok(pixels.filter(|_| has_data));
            }
        }
    }

    /// Takes the bytes up to `end` into the checksum.
    fn sum_up(&mut self, checksum: &mut crc32fast::Hasher, kind: ImageKind, end: u64) -> Result<(), Fault> {
        while self.at < end {
            let block = self.source.fill_buf()?;
            let used = usize::try_from(end - self.at).unwrap_or(usize::MAX).min(block.len());
            if used == 0 {
                return Err(Fault::Refused(NotAnImage::CutOff(kind)));
            }
            checksum.update(&block[..used]);
            self.source.consume(used);
            self.at += used as u64;
        }
        Ok(())
    }

    /// Marker segments, and after each start of scan coded data up to the next marker (ITU T.81, B.1.1 and B.2).
    fn jpeg(&mut self) -> Result<Pixels, Fault> {
        let kind = ImageKind::Jpeg;
        self.skip(kind, 2)?;
        let (mut pixels, mut has_scan) = (None, false);
        loop {
            let begin = self.at;
            if self.take(kind)? != [0xff] {
                return Err(Fault::Refused(NotAnImage::Damaged(kind, begin)));
            }
            match self.marker()? {
                0xd9 => return Ok(pixels.filter(|_| has_scan)),
                // Without a segment: TEM and the restarts.
                0x01 | 0xd0..=0xd7 => {}
                // No marker at all, or a second start of image.
                0x00 | 0xd8 => return Err(Fault::Refused(NotAnImage::Damaged(kind, begin))),
                marker => {
                    let length = u64::from(u16::from_be_bytes(self.take(kind)?));
                    let end =
                        self.at + length.checked_sub(2).ok_or(Fault::Refused(NotAnImage::Damaged(kind, begin)))?;
                    if is_frame(marker) && self.at + FRAME_HEAD_BYTES <= end {
                        let [_precision] = self.take(kind)?;
                        let [height, width] = [self.take(kind)?, self.take(kind)?].map(u16::from_be_bytes);
                        pixels = Some((width.into(), height.into()));
                    }
                    self.skip(kind, end - self.at)?;
                    if marker == 0xda {
                        has_scan = true;
                        self.skip_scan()?;
                    }
                }
            }
        }
    }

    /// The byte that tells which marker stands here; any number of fill bytes may stand before it.
    fn marker(&mut self) -> Result<u8, Fault> {
        loop {
            let [byte] = self.take(ImageKind::Jpeg)?;
            if byte != 0xff {
                return Ok(byte);
            }
        }
    }

    /// Goes to the marker that ends a scan: neither a coded `ff` (followed by 0) nor a restart.
    fn skip_scan(&mut self) -> Result<(), Fault> {
        let mut after_ff = false;
        loop {
            let block = self.source.fill_buf()?;
            if block.is_empty() {
                return Err(Fault::Refused(NotAnImage::CutOff(ImageKind::Jpeg)));
            }
            for (before, byte) in block.iter().enumerate() {
                if after_ff && !matches!(byte, 0 | 0xd0..=0xd7 | 0xff) {
                    return self.step_to(self.at + before as u64 - 1);
                }
                after_ff = *byte == 0xff;
            }
            let used = block.len();
            self.source.consume(used);
            self.at += used as u64;
        }
    }

    /// Chunks that fill the size given in the head, one of them a picture (RFC 9649, 2.3 to 2.7).
    fn webp(&mut self) -> Result<Pixels, Fault> {
        let kind = ImageKind::WebP;
        self.skip(kind, 4)?;
        let end = 8 + u64::from(u32::from_le_bytes(self.take(kind)?));
        self.skip(kind, 4)?;
        let (mut pixels, mut has_picture) = (None, false);
        while self.at < end {
            let begin = self.at;
            let name: [u8; 4] = self.take(kind)?;
            let size = u64::from(u32::from_le_bytes(self.take(kind)?));
            if self.at + size > end {
                return Err(Fault::Refused(NotAnImage::Damaged(kind, begin)));
            }
            // Odd sizes are padded, though not by everyone at the end.
            let next = (self.at + size + size % 2).min(end);
            if pixels.is_none() && size >= WEBP_HEAD_BYTES as u64 {
                // What holds all frames comes before the first of them.
                pixels = webp_pixels(name, self.take(kind)?);
            }
            self.skip(kind, next - self.at)?;
            has_picture |= size > 0 && matches!(&name, b"VP8 " | b"VP8L" | b"ANMF");
        }
        Ok(pixels.filter(|_| has_picture))
    }

    /// The next bytes.
    fn take<const N: usize>(&mut self, kind: ImageKind) -> Result<[u8; N], Fault> {
        if self.at + N as u64 > self.length {
            return Err(Fault::Refused(NotAnImage::CutOff(kind)));
        }
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    /// Leaves out this many bytes, which must be there.
    fn skip(&mut self, kind: ImageKind, count: u64) -> Result<(), Fault> {
        if self.at + count > self.length {
            return Err(Fault::Refused(NotAnImage::CutOff(kind)));
        }
        self.step_to(self.at + count)
    }

    fn step_to(&mut self, at: u64) -> Result<(), Fault> {
        self.source.seek_relative(at.cast_signed() - self.at.cast_signed())?;
        self.at = at;
        Ok(())
    }
}

/// Whether a marker begins a frame: all of this range but those of tables and of extensions (ITU T.81, table B.1).
const fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// The size in the first bytes of a chunk: of the canvas, of a key frame (RFC 6386, 9.1), or of a lossless frame (RFC
/// 9649, 2.7 and 3.4).
fn webp_pixels(name: [u8; 4], head: [u8; WEBP_HEAD_BYTES]) -> Pixels {
    const SIDE: u32 = (1 << 14) - 1;
    let le = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| (sum << 8) | u32::from(*byte));
    match (&name, head) {
        (b"VP8X", head) => Some((le(&head[4..7]) + 1, le(&head[7..10]) + 1)),
        (b"VP8 ", [_, _, _, 0x9d, 0x01, 0x2a, ..]) => Some((le(&head[6..8]) & SIDE, le(&head[8..10]) & SIDE)),
        (b"VP8L", [0x2f, ..]) => Some(((le(&head[1..5]) & SIDE) + 1, ((le(&head[1..5]) >> 14) & SIDE) + 1)),
        (_, _) => None,
    }
}

/// What people call the kind.
const fn name(kind: ImageKind) -> &'static str {
    match kind {
        ImageKind::Png => "PNG",
        ImageKind::Jpeg => "JPEG",
        ImageKind::WebP => "WebP",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::super::tests::{KINDS, sample};
    use super::*;

    fn read(bytes: &[u8]) -> Result<ImageKind, NotAnImage> {
        check(Cursor::new(bytes)).unwrap().map(|(kind, _)| kind)
    }

    fn changed(kind: ImageKind, change: impl FnOnce(&mut Vec<u8>)) -> Result<ImageKind, NotAnImage> {
        let mut bytes = sample(kind);
        change(&mut bytes);
        read(&bytes)
    }

    /// A frame of 3 x 2 pixels.
    const FRAME: &[u8] = b"\xff\xc0\x00\x08\x08\x00\x02\x00\x03\x00";

    /// A JPEG of these parts between its start, with the head of a frame, and its end.
    fn jpeg(parts: &[&[u8]]) -> Result<ImageKind, NotAnImage> {
        read(&[&b"\xff\xd8"[..], FRAME, &parts.concat(), b"\xff\xd9"].concat())
    }

    #[test]
    fn whole_images_are_told_by_their_bytes() {
        for kind in KINDS {
            assert_eq!(read(&sample(kind)), Ok(kind));
            assert_eq!(kind_of(&sample(kind)[..SIGNATURE_BYTES]), Some(kind));
        }
    }

    #[test]
    fn sizes_are_those_that_a_decoder_finds() {
        let size = |bytes: &[u8]| check(Cursor::new(bytes)).unwrap().map(|(_, size)| size);
        for bytes in KINDS.map(sample).into_iter().chain([LOSSY_WEBP.to_vec(), extended_webp()]) {
            let decoded = image::load_from_memory(&bytes).unwrap();
            let expected = ImageSize { width: decoded.width(), height: decoded.height(), bytes: bytes.len() as u64 };
            assert_eq!(size(&bytes), Ok(expected));
            assert_ne!(expected.width, expected.height);
        }
    }

    /// 3 x 2 pixels as Chromium writes them: a key frame of VP8.
    const LOSSY_WEBP: &[u8] = b"RIFF\x34\0\0\0WEBPVP8 \x28\0\0\0\
        \x90\x01\x00\x9d\x01\x2a\x03\x00\x02\x00\x07\x40\x96\x25\xa0\x02\x74\xba\x00\x03\
        \x98\x00\xfe\xe5\x0a\xf8\x27\xa9\x72\x8f\xfe\x37\x8f\x02\xbc\x97\x63\xa0\x00\x00";

    /// The sample behind a head that tells the size of a canvas.
    fn extended_webp() -> Vec<u8> {
        let picture = sample(ImageKind::WebP).split_off(12);
        let head: &[u8] = b"VP8X\x0a\0\0\0\0\0\0\0\x16\0\0\x10\0\0";
        let length = u32::try_from(4 + head.len() + picture.len()).unwrap().to_le_bytes();
        [&b"RIFF"[..], &length, b"WEBP", head, &picture].concat()
    }

    #[test]
    fn an_image_without_a_size_holds_no_picture() {
        let scan: &[u8] = b"\xff\xda\x00\x02ab";
        let none = Err(NotAnImage::NoPicture(ImageKind::Jpeg));
        assert_eq!(read(&[b"\xff\xd8", scan, b"\xff\xd9"].concat()), none, "no frame");
        // A frame too short to tell, and one whose height would come later.
        for frame in [&b"\xff\xc0\x00\x06\x08\x00\x02\x00"[..], b"\xff\xc2\x00\x07\x08\x00\x00\x00\x03"] {
            assert_eq!(read(&[b"\xff\xd8", frame, scan, b"\xff\xd9"].concat()), none, "{frame:?}");
        }
        // Tables are no frames.
        let tables: &[u8] = b"\xff\xc4\x00\x07\x08\x00\x02\x00\x03";
        assert_eq!(read(&[b"\xff\xd8", tables, scan, b"\xff\xd9"].concat()), none);
        let chunk = |name: &[u8], head: [u8; 10]| read(&[b"RIFF\x16\0\0\0WEBP", name, b"\x0a\0\0\0", &head].concat());
        let none = Err(NotAnImage::NoPicture(ImageKind::WebP));
        assert_eq!(chunk(b"VP8 ", [1; 10]), none, "no key frame");
        assert_eq!(chunk(b"VP8L", [1; 10]), none, "no signature");
        assert_eq!(chunk(b"VP8X", [1; 10]), none, "a canvas without a picture");
        assert_eq!(chunk(b"VP8 ", [0, 0, 0, 0x9d, 1, 0x2a, 0, 0, 5, 0]), none, "no width");
    }

    #[test]
    fn every_shorter_beginning_of_an_image_is_refused() {
        for kind in KINDS {
            let bytes = sample(kind);
            for length in 0..bytes.len() {
                assert!(read(&bytes[..length]).is_err(), "{kind:?}, {length} of {} bytes", bytes.len());
            }
        }
    }

    #[test]
    fn bytes_behind_the_end_are_let_pass() {
        for (kind, more) in KINDS.into_iter().zip([&b"\0\0\0\0"[..], b"\0", b"<html>"]) {
            assert_eq!(changed(kind, |bytes| bytes.extend(more)), Ok(kind));
        }
    }

    #[test]
    fn what_comes_instead_of_an_image_is_refused_in_words() {
        let table: [(&[u8], &str); 9] = [
            (b"", "the image is empty"),
            (b"<html><body>404</body></html>", "it is neither PNG, JPEG nor WebP"),
            (br#"{"code":404}"#, "it is neither PNG, JPEG nor WebP"),
            (b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", "it is neither PNG, JPEG nor WebP"),
            (b"RIFF\x04\x00\x00\x00WAVE", "it is neither PNG, JPEG nor WebP"),
            (b"\x89PNG\r\n\x1a\n", "the PNG is cut off"),
            (b"\xff\xd8\xff\xd9", "the JPEG holds no picture"),
            (b"\xff\xd8\xff\xe0\x00\x01\xff\xd9", "the JPEG is damaged after 2 bytes"),
            (b"RIFF\x04\x00\x00\x00WEBP", "the WebP holds no picture"),
        ];
        for (bytes, words) in table {
            assert_eq!(read(bytes).unwrap_err().to_string(), words, "{bytes:?}");
        }
    }

    #[test]
    fn a_png_begins_with_its_head_and_holds_data() {
        let chunk = |name: &[u8], data: &[u8]| {
            let length = u32::try_from(data.len()).unwrap().to_be_bytes();
            let checksum = crc32fast::hash(&[name, data].concat()).to_be_bytes();
            [&length[..], name, data, &checksum].concat()
        };
        let png = |chunks: &[Vec<u8>]| read(&[PNG_SIGNATURE, &chunks.concat()].concat());
        let (head, picture, end) = (chunk(b"IHDR", &[1; 13]), chunk(b"IDAT", b"x"), chunk(b"IEND", b""));
        assert_eq!(png(&[head.clone(), picture.clone(), end.clone()]), Ok(ImageKind::Png));
        assert_eq!(png(&[head.clone(), end.clone()]), Err(NotAnImage::NoPicture(ImageKind::Png)));
        assert_eq!(png(&[picture.clone(), head.clone(), end.clone()]), Err(NotAnImage::Damaged(ImageKind::Png, 8)));
        assert_eq!(png(&[head.clone(), head.clone(), end.clone()]), Err(NotAnImage::Damaged(ImageKind::Png, 33)));
        for size in [&[0, 0, 0, 0, 0, 0, 0, 5], &[0, 0, 0, 5, 0, 0, 0, 0]] {
            let empty = chunk(b"IHDR", &[&size[..], &[8, 2, 0, 0, 0]].concat());
            assert_eq!(png(&[empty, picture.clone(), end.clone()]), Err(NotAnImage::NoPicture(ImageKind::Png)));
        }
        assert_eq!(png(&[chunk(b"IHDR", &[1; 12]), end]), Err(NotAnImage::Damaged(ImageKind::Png, 8)));
        assert_eq!(png(&[head, picture]), Err(NotAnImage::CutOff(ImageKind::Png)));
    }

    #[test]
    fn a_png_with_a_byte_that_was_changed_on_its_way_is_refused() {
        let bytes = sample(ImageKind::Png);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let damaged = changed(ImageKind::Png, |bytes| bytes[at] ^= 1 << bit);
                assert!(damaged.is_err(), "bit {bit} of byte {at}: {damaged:?}");
            }
        }
        // After the signature and the chunk of the head, the data begins.
        assert_eq!(changed(ImageKind::Png, |bytes| bytes[50] ^= 1), Err(NotAnImage::Damaged(ImageKind::Png, 33)));
    }

    #[test]
    fn what_readers_of_a_png_leave_out_may_be_damaged() {
        let with_text = |checksum: &[u8]| {
            let text = [&[0, 0, 0, 3][..], b"tEXt", b"a\0b", checksum].concat();
            let mut bytes = sample(ImageKind::Png);
            bytes.splice(33..33, text);
            (read(&bytes), image::load_from_memory(&bytes).is_ok())
        };
        assert_eq!(with_text(&[0; 4]), (Ok(ImageKind::Png), true));
        assert_eq!(with_text(&crc32fast::hash(b"tEXta\0b").to_be_bytes()), (Ok(ImageKind::Png), true));
    }

    #[test]
    fn the_end_of_a_preview_inside_a_jpeg_is_not_its_end() {
        let preview: &[u8] = b"\xff\xe1\x00\x06\xff\xd8\xff\xd9";
        let scan: &[u8] = b"\xff\xda\x00\x02ab\xff\x00\xff\xd0cd\xff\xff\x00e\xff\xff";
        assert_eq!(jpeg(&[preview, scan]), Ok(ImageKind::Jpeg));
        assert_eq!(jpeg(&[preview]), Err(NotAnImage::NoPicture(ImageKind::Jpeg)));
        assert_eq!(read(&[b"\xff\xd8", preview].concat()), Err(NotAnImage::CutOff(ImageKind::Jpeg)));
        // Several scans with tables between them, as in progressive files; fill bytes; TEM.
        assert_eq!(jpeg(&[scan, b"\xff\xc4\x00\x03x", scan, b"\xff\x01"]), Ok(ImageKind::Jpeg));
    }

    #[test]
    fn a_scan_longer_than_any_buffer_is_walked_through() {
        for length in 8_150..8_230 {
            let scan = [&b"\xff\xda\x00\x02"[..], &vec![b'x'; length], b"\xff\x00\xff\xd7"].concat();
            assert_eq!(jpeg(&[&scan]), Ok(ImageKind::Jpeg), "{length}");
        }
    }

    #[test]
    fn a_webp_is_as_long_as_its_head_says() {
        assert_eq!(changed(ImageKind::WebP, |bytes| bytes[4] += 2), Err(NotAnImage::CutOff(ImageKind::WebP)));
        assert_eq!(changed(ImageKind::WebP, |bytes| bytes[16] += 2), Err(NotAnImage::Damaged(ImageKind::WebP, 12)));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_judged_without_panic(start in 0..3_usize, tail: Vec<u8>) {
            let head: &[u8] = [PNG_SIGNATURE, JPEG_SIGNATURE, b"RIFF\xff\0\0\0WEBP"][start];
            let _ = read(&[head, &tail].concat());
            let _ = read(&tail);
        }

        #[test]
        fn a_changed_byte_is_judged_without_panic(kind in 0..3_usize, at: prop::sample::Index, byte: u8) {
            let _ = changed(KINDS[kind], |bytes| {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            });
        }
    }
}
