//! The stand-in's image host: which file is asked for, and what becomes of the download. Pure.
//!
//! As with the service it is another host than the API: it asks for no key, knows no limit, and is open in maintenance.

use axum::http::{HeaderMap, Method, Uri, header};

use super::behavior::{Behavior, Delivery, Encoding, Fault, ImageFault, Script};
use super::body::{Content, Gradient};
use super::random::fingerprint;
use super::reply::Reply;

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
        let (is_moved, name) = name.strip_prefix(MOVED).map_or((false, name), |name| (true, name));
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
        Gradient { seed, pixels, encoding: Encoding::Png }
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
            Some(ImageFault::Encoded(encoding)) => Reply::image(Gradient { encoding, ..gradient }),
            Some(ImageFault::Delivery(delivery)) => Reply { delivery, ..image },
            Some(ImageFault::Empty) => Reply { content: Content::Bytes(Vec::new()), ..image },
            Some(ImageFault::Status(status)) => Reply::image_host(status),
            Some(ImageFault::Astray) => Reply::redirect(ASTRAY.to_owned()),
            Some(ImageFault::Moved) => {
                Reply::redirect(format!("{base_url}{FOLDER}{MOVED}{}-{}.png", self.cover_id, self.number))
            }
        }
    }
}

#[cfg(test)]
mod tests;
