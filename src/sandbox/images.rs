//! The stand-in's image host: which file is asked for, and what becomes of the download. Pure.
//!
//! As with the service it is another host than the API: it asks for no key, knows no limit, and is open in maintenance.

use axum::http::{HeaderMap, Method, Uri, header};

use super::answer::{Answer, Content, Ending, Reply};
use super::dice::{Carrier, fingerprint};
use super::fate::{Canned, Fault, Times, is_number, word_of};
use super::picture::{Encoding, Extent, Picture};

/// Where all images are.
const FOLDER: &str = "/images/";
/// Where those are that have moved.
const MOVED: &str = "moved/";
/// Where nobody may be led: the address at which clouds tell a machine its own secrets.
const ASTRAY: &str = "http://169.254.169.254/x";

/// A download.
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
    /// Of which cover.
    pub(super) cover_id: String,
    /// 1 or 2.
    number: u8,
    /// Where it is asked for.
    place: Place,
}

/// Where an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Where the record says.
    First,
    /// Where it is led to from there.
    Moved,
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
        let (place, name) = name.strip_prefix(MOVED).map_or((Place::First, name), |name| (Place::Moved, name));
        let (cover_id, number) = name.strip_suffix(".png")?.rsplit_once('-')?;
        let number = match number {
            "1" => 1,
            "2" => 2,
            _ => return None,
        };
        Some(Self { cover_id: cover_id.to_owned(), number, place })
    }

    /// What downloads are counted by.
    pub(super) fn subject(&self, seed: u64) -> u64 {
        let place = match self.place {
            Place::First => "image",
            Place::Moved => "moved image",
        };
        fingerprint(seed, &[place, &self.cover_id, &self.number.to_string()])
    }

    /// What is on it.
    pub(super) fn picture(&self, seed: u64, pixels: u16) -> Picture {
        let seed = fingerprint(seed, &["picture", &self.cover_id, &self.number.to_string()]);
        Picture { seed, pixels, encoding: Encoding::Png, extent: Extent::Whole }
    }

    /// The fate of the download that has `before` others before it, of a cover for this music task.
    pub(super) fn fate(&self, music: &str, before: u32) -> ImageFate {
        match self.place {
            Place::First => ImageFate::of(music, before),
            Place::Moved => ImageFate::Ordinary,
        }
    }

    fn moved_to(&self, base_url: &str) -> String {
        format!("{base_url}{FOLDER}{MOVED}{}-{}.png", self.cover_id, self.number)
    }
}

/// What becomes of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageFate {
    /// A PNG.
    Ordinary,
    /// Another encoding, whatever the name says.
    Encoded(Encoding),
    /// A page with HTTP 200.
    Html,
    /// Nothing with HTTP 200.
    Empty,
    /// A connection that breaks before the end.
    Cut,
    /// Not all of it, or more than all.
    Sized(Extent),
    /// This HTTP status.
    Status(u16),
    /// A redirect to where nobody may be led.
    Astray,
    /// A redirect to where the image is.
    Moved,
}

impl ImageFate {
    fn of(music: &str, before: u32) -> Self {
        let spelled = || {
            let (word, times) = word_of(music)?;
            Some((Self::named(word.strip_prefix("img")?)?, times))
        };
        spelled().filter(|(_, times): &(Self, Times)| times.include(before)).map_or(Self::Ordinary, |(fate, _)| fate)
    }

    fn named(word: &str) -> Option<Self> {
        Some(match word {
            "jpeg" => Self::Encoded(Encoding::Jpeg),
            "webp" => Self::Encoded(Encoding::Webp),
            "html" => Self::Html,
            "empty" => Self::Empty,
            "cut" => Self::Cut,
            "trunc" => Self::Sized(Extent::FirstHalf),
            "huge" => Self::Sized(Extent::Padded),
            "redirect" => Self::Astray,
            "moved" => Self::Moved,
            digits if is_number(digits) => Self::Status(digits.parse().ok().filter(|s| (200..=599).contains(s))?),
            _ => return None,
        })
    }

    /// The reply to a download of this file with this picture on it.
    pub(super) fn reply(self, file: &ImageFile, picture: Picture, base_url: &str) -> Reply {
        match self {
            Self::Ordinary => Answer::picture(picture).into(),
            Self::Encoded(encoding) => Answer::picture(Picture { encoding, ..picture }).into(),
            Self::Sized(extent) => Answer::picture(Picture { extent, ..picture }).into(),
            Self::Cut => Reply { ending: Ending::Broken, ..Answer::picture(picture).into() },
            Self::Html => Canned::Html.answer(Carrier::Body).into(),
            Self::Empty => Answer { content: Content::Bytes(Vec::new()), ..Answer::picture(picture) }.into(),
            Self::Status(status) => Answer::image_host(status).into(),
            Self::Astray => Answer::redirect(ASTRAY.to_owned()).into(),
            Self::Moved => Answer::redirect(file.moved_to(base_url)).into(),
        }
    }
}

/// The fate of a download that chance has a fault for: it passes too, and is one that an image host can have.
impl From<Fault> for ImageFate {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Instead(_) => Self::Status(502),
            Fault::Spoilt(_) => Self::Cut,
        }
    }
}

#[cfg(test)]
mod tests;
