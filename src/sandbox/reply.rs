//! What the stand-in says: envelopes and the vendor's words, and its image host, which as with the service is another host
//! than the API: it asks for no key, knows no limit, and is open in maintenance.
//!
//! Bodies are made when they are sent: images are drawn then, and what is padded is never in memory as a whole.

use std::array;
use std::io::{self, Cursor};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Uri, header};
use flate2::read::{GzEncoder, ZlibEncoder};
use image::{ImageFormat, ImageResult, RgbImage};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::task::spawn_blocking;
use tokio_util::io::ReaderStream;

use super::behavior::{Behavior, Canned, Compression, Delivery, Fault, ImageFault, Script};
use super::scenario::{Carrier, fingerprint};
use super::webhook::Webhook;
use crate::domain::Route;

/// What 429 says when it is about credits.
const BROKE: &str = "The current credits are insufficient. Please top up.";
/// What code 500 says when it is about maintenance, as recorded of `api.kie.ai`.
const MAINTENANCE: &str = "The server is currently being maintained, please try again later~";
/// What code 500 says when it is about the address, as recorded of `api.kie.ai`.
const NO_PAGE: &str = "The page does not exist";
/// Where a redirect leads; nobody is there.
const MOVED: &str = "https://moved.invalid/";

/// An HTTP answer, and how it gets to the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) location: Option<String>,
    pub(super) content: Content,
    /// After how long.
    pub(super) latency: Duration,
    pub(super) delivery: Delivery,
    pub(super) webhook: Option<Webhook>,
}

impl Reply {
    fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type,
            location: None,
            content: Content::Bytes(body.into()),
            latency: Duration::ZERO,
            delivery: Delivery::Whole,
            webhook: None,
        }
    }

    fn json(status: u16, value: &Value) -> Self {
        Self::new(status, "application/json", value.to_string())
    }

    /// What a gateway says; with where to go instead, if that is what the status is about.
    fn page(status: u16) -> Self {
        let location = (300..=399).contains(&status).then(|| MOVED.to_owned());
        Self { location, ..Self::new(status, "text/html", "<html><body>bad gateway</body></html>") }
    }

    /// The answer that is always the same.
    pub(super) fn canned(canned: Canned, carrier: Carrier) -> Self {
        match canned {
            Canned::Code(code) => Envelope::bare(code).carried_by(Carrier::Body),
            // What the edge says to a client it does not like.
            Canned::Http(403) => Self::new(403, "text/plain", "error code: 1010"),
            Canned::Http(status @ (300..=399 | 502..=504)) | Canned::Page(status) => Self::page(status),
            Canned::Http(status) => Envelope::bare(status).carried_by(Carrier::Status),
            Canned::Broke => Envelope { msg: BROKE, ..Envelope::bare(429) }.carried_by(carrier),
            Canned::Html => Self::page(200),
            Canned::Empty => Self::new(200, "application/json", ""),
            Canned::NoCode => Self::json(200, &json!({"status": "ok (sandbox)"})),
            Canned::NoId => Envelope::bare(200).carried_by(Carrier::Body),
            Canned::Maintenance => Envelope { msg: MAINTENANCE, ..Envelope::bare(500) }.carried_by(carrier),
            Canned::NoPage => Envelope { msg: NO_PAGE, ..Envelope::bare(500) }.carried_by(carrier),
            Canned::Nowhere => Self::nowhere("/api/v1/suno/cover/generate"),
        }
    }

    /// What the web framework says to a wrong path or method: a real 404 without `code`.
    pub(super) fn nowhere(path: &str) -> Self {
        Self::json(404, &json!({"status": 404, "error": "Not Found", "path": path}))
    }

    /// The image, as what its name says it is.
    pub(super) fn image(gradient: Gradient) -> Self {
        Self { content: Content::Image(gradient), ..Self::new(200, "image/png", "") }
    }

    /// What an image host says under this status.
    pub(super) fn image_host(status: u16) -> Self {
        Self::new(status, "text/html", format!("<html><body>{status} from the image host (sandbox)</body></html>"))
    }

    /// What an image host says that has the image elsewhere.
    pub(super) fn redirect(location: String) -> Self {
        Self { location: Some(location), ..Self::image_host(302) }
    }
}

/// The body of every answer that the service itself gives.
#[derive(Debug)]
pub(super) struct Envelope {
    code: u16,
    msg: &'static str,
    data: Value,
}

impl Envelope {
    /// Code 200 with this.
    pub(super) fn success(data: Value) -> Self {
        Self { data, ..Self::bare(200) }
    }

    /// Code 400 with the id of the cover that is there. What a job is told is not documented: here, no more than words.
    pub(super) fn already_covered(route: Route, cover_id: &str) -> Self {
        match route {
            Route::Legacy => Self { data: json!({"taskId": cover_id}), ..Self::bare(400) },
            Route::Jobs => Self::invalid("A cover was already generated for this task (sandbox)"),
        }
    }

    /// Code 422 with these words.
    pub(super) fn invalid(msg: &'static str) -> Self {
        Self { msg, ..Self::bare(422) }
    }

    /// This code, its usual words, and no data.
    pub(super) const fn bare(code: u16) -> Self {
        Self { code, msg: words_of(code), data: Value::Null }
    }

    /// The HTTP answer. A 401 lacks the `data` key, as recorded of the service.
    pub(super) fn carried_by(&self, carrier: Carrier) -> Reply {
        let Self { code, msg, data } = self;
        let status = match carrier {
            Carrier::Body => 200,
            Carrier::Status => *code,
        };
        let body = match code {
            401 => json!({"code": code, "msg": msg}),
            _ => json!({"code": code, "msg": msg, "data": data}),
        };
        Reply::json(status, &body)
    }
}

/// The vendor's words for a code; those that speak of a cover are marked as the stand-in's.
const fn words_of(code: u16) -> &'static str {
    match code {
        200 => "success (sandbox)",
        400 => "A cover was already generated for this task (sandbox)",
        401 => "You do not have access permissions",
        402 => "Insufficient credits",
        404 => "Resource not found",
        405 => "Rate limit exceeded",
        408 => "Timed out",
        409 => "Cover record already exists (sandbox)",
        413 => "Content too long",
        422 => "Original music record does not exist",
        429 => "Your call frequency is too high. Please try again later.",
        430 => "Call frequency too high",
        433 => "Key usage limit exceeded",
        451 => "Source file could not be fetched",
        455 => "System maintenance",
        500 => "Unexpected server error",
        501 => "Generation failed",
        505 => "Feature disabled",
        531 => "Generation failed and credits were refunded",
        _ => "Something without words happened (sandbox)",
    }
}

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
    pub(super) pixels: u16,
    /// How it is written; the service writes PNG.
    pub(super) format: ImageFormat,
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
        let mut bytes = Cursor::new(Vec::new());
        self.drawn().write_to(&mut bytes, self.format)?;
        Ok(bytes.into_inner())
    }

    /// A pixel has the colour of the sum of its coordinates: each row is the one before it, moved by one.
    fn drawn(self) -> RgbImage {
        let mut rng = fastrand::Rng::with_seed(self.seed);
        let colors: [[u8; 3]; 2] = array::from_fn(|_| array::from_fn(|_| rng.u8(..)));
        let steps = 2 * u32::from(self.pixels);
        let color_at = |step| {
            array::from_fn(|part| {
                let [first, last] = colors.map(|color| u32::from(color[part]));
                u8::try_from((first * (steps - step) + last * step) / steps).unwrap_or(u8::MAX)
            })
        };
        let (colors, side): (Vec<[u8; 3]>, _) = ((0..steps).map(color_at).collect(), usize::from(self.pixels));
        let rows: Vec<&[u8]> = (0..side).map(|row| colors[row..row + side].as_flattened()).collect();
        let [width, height] = [self.pixels; 2].map(u32::from);
        RgbImage::from_raw(width, height, rows.concat()).unwrap_or_default()
    }
}

/// Where all images are.
const FOLDER: &str = "/images/";
/// Where those are that have moved.
const MOVED_FOLDER: &str = "moved/";
/// Where nobody may be led: the address at which clouds tell a machine its own secrets.
const ASTRAY: &str = "http://169.254.169.254/x";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageRequest {
    /// Which image; `None` for a name that no image has.
    pub(super) file: Option<ImageFile>,
    /// Whether it carries an `Authorization` header, which has no business here.
    pub(super) shows_key: bool,
}

/// The name of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageFile {
    pub(super) cover_id: String,
    /// 1 or 2.
    number: u8,
    /// Whether it is asked for where it is led to, and not where the record says.
    is_moved: bool,
}

impl ImageRequest {
    /// The download that this request asks for; `None` if it is not about an image.
    pub(super) fn read(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Self> {
        let name = uri.path().strip_prefix(FOLDER).filter(|_| method == Method::GET)?;
        Some(Self { file: ImageFile::read(name), shows_key: headers.contains_key(header::AUTHORIZATION) })
    }
}

impl ImageFile {
    fn read(name: &str) -> Option<Self> {
        let (is_moved, name) = name.strip_prefix(MOVED_FOLDER).map_or((false, name), |name| (true, name));
        let (cover_id, number) = name.strip_suffix(".png")?.rsplit_once('-')?;
        let number = ["1", "2"].into_iter().zip(1..).find_map(|(text, n)| (text == number).then_some(n))?;
        Some(Self { cover_id: cover_id.to_owned(), number, is_moved })
    }

    /// What downloads are counted by.
    pub(super) fn subject(&self, seed: u64) -> u64 {
        let place = if self.is_moved { "moved image" } else { "image" };
        fingerprint(seed, &[place, &self.cover_id, &self.number.to_string()])
    }

    /// The image, of this width and height.
    pub(super) fn gradient(&self, seed: u64, pixels: u16) -> Gradient {
        let seed = fingerprint(seed, &["picture", &self.cover_id, &self.number.to_string()]);
        Gradient { seed, pixels, format: ImageFormat::Png }
    }

    /// What is wrong with the download that has `before` others before it, of a cover for this music task; where the
    /// task spells out nothing, what chance has for it.
    pub(super) fn fault(&self, music: &str, before: u32, by_chance: Option<Fault>) -> Option<ImageFault> {
        if let Behavior::Image(fault) = Script::of(music).at(before)
            && !self.is_moved
        {
            return Some(fault);
        }
        by_chance.map(|fault| match fault {
            // Both pass, and both are what an image host can have.
            Fault::Canned(_) => ImageFault::Status(502),
            Fault::Delivery(_) => ImageFault::Delivery(Delivery::Cut),
        })
    }

    /// The reply to a download of this file with this image in it.
    pub(super) fn reply(&self, fault: Option<ImageFault>, gradient: Gradient, base_url: &str) -> Reply {
        let image = Reply::image(gradient);
        match fault {
            None => image,
            Some(ImageFault::Encoded(format)) => Reply::image(Gradient { format, ..gradient }),
            Some(ImageFault::Delivery(delivery)) => Reply { delivery, ..image },
            Some(ImageFault::Empty) => Reply { content: Content::Bytes(Vec::new()), ..image },
            Some(ImageFault::Status(status)) => Reply::image_host(status),
            Some(ImageFault::Astray) => Reply::redirect(ASTRAY.to_owned()),
            Some(ImageFault::Moved) => {
                Reply::redirect(format!("{base_url}{FOLDER}{MOVED_FOLDER}{}-{}.png", self.cover_id, self.number))
            }
        }
    }
}

#[cfg(test)]
mod tests;
