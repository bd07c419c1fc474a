//! The grammar of music task ids that spell out how the service behaves for them; `docs/sandbox.md` has the tables. Pure.

use std::num::NonZeroU32;

use image::ImageFormat;

/// How the service behaves for one music task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behavior {
    /// Accepted once, then a duplicate.
    Ordinary,
    /// A finished cover is there before the first request.
    Covered,
    /// A cover is there, and its id is not told.
    CoveredWithoutId,
    /// A cover record is there (409), and its id is not told.
    Conflict,
    /// Something is wrong with the answer to a generate request.
    Answer(Fault),
    /// Something is wrong with the cover.
    Cover(CoverFault),
    /// Something is wrong with the music.
    Music(MusicFault),
    /// Something is wrong with the downloads of the images.
    Image(ImageFault),
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is another one, and the service does nothing.
    Canned(Canned),
    /// The service acts, and its answer does not arrive as it should.
    Delivery(Delivery),
}

/// An answer that is always the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Canned {
    /// HTTP 200 with this code in the body.
    Code(u16),
    /// This HTTP status, as the service or its gateway would send it.
    Http(u16),
    /// 429 with the message about credits.
    Broke,
    /// A page where JSON is expected.
    Html,
    /// No body.
    Empty,
    /// JSON without `code`.
    NoCode,
    /// Code 200 without an id.
    NoId,
    /// Maintenance as it is really met: code 500, and only its words speak of it.
    Maintenance,
    /// Code 500, and its words say that there is no such endpoint or model.
    NoPage,
    /// What is said to a wrong path: a real 404 without `code`.
    Nowhere,
    /// This HTTP status with a gateway's page, and so without `code`.
    Page(u16),
}

/// How an answer gets to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// As it is.
    Whole,
    /// Padded to more than a client should take, of a length that is not announced.
    Padded,
    /// Without its second half, though HTTP says it is whole.
    Halved,
    /// The connection breaks before its end.
    Cut,
    /// It never comes, and then the connection breaks.
    Never,
    /// It comes late.
    Late,
    /// One byte in its middle is another.
    Damaged,
    /// Compressed, which nobody asked for.
    Compressed(Compression),
    /// It comes a second time in the place of the next answer on the same connection, that one in the place of the next
    /// but one, and so on.
    Twice,
}

/// How an answer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    /// gzip, as its header says.
    Gzip,
    /// gzip, and only its first bytes tell.
    GzipUnsaid,
    /// zlib, which is what HTTP calls deflate, as its header says.
    Deflate,
}

/// What is wrong with a cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CoverFault {
    /// It fails.
    Fails,
    /// Its record names another music task.
    Foreign,
    /// It has no images.
    WithoutImages,
    /// It is running for ever.
    Stuck,
}

/// What is wrong with music.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MusicFault {
    /// It is not finished.
    Unfinished,
    /// It could not be made.
    Failed,
}

/// What is wrong with a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageFault {
    /// Another encoding than the name says.
    Encoded(ImageFormat),
    /// The image does not arrive as it should.
    Delivery(Delivery),
    /// Nothing with HTTP 200.
    Empty,
    /// This HTTP status, with a page.
    Status(u16),
    /// A redirect to where nobody may be led.
    Astray,
    /// A redirect to where the image is.
    Moved,
}

/// Which of the requests, covers, reads or downloads for one music task show a behavior.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Times {
    /// All.
    Always,
    /// The first so many.
    First(NonZeroU32),
}

/// What a music task id spells out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Script {
    behavior: Behavior,
    times: Times,
}

impl Script {
    pub(super) fn of(id: &str) -> Self {
        Self::read(id).unwrap_or(Self { behavior: Behavior::Ordinary, times: Times::Always })
    }

    /// The behavior that is met after it was met, or could have been, `before` times.
    pub(super) fn at(self, before: u32) -> Behavior {
        match self.times {
            Times::First(many) if before >= many.get() => Behavior::Ordinary,
            Times::First(_) | Times::Always => self.behavior,
        }
    }

    /// Whether the service will never know this music task (404 or 422 for all requests).
    pub(super) fn is_unknown(self) -> bool {
        let always = |canned| Self { behavior: Behavior::Answer(Fault::Canned(canned)), times: Times::Always };
        [404, 422].into_iter().any(|code| self == always(Canned::Code(code)) || self == always(Canned::Http(code)))
    }

    fn read(id: &str) -> Option<Self> {
        let (word, rest) = id.split_once('-').filter(|(_, rest)| !rest.is_empty())?;
        if let "code" | "http" | "page" = word {
            return Self::numbered(word, rest);
        }
        let (word, times) = repeated(word)?;
        let behavior = match (word, times) {
            ("covered", Times::Always) if rest.strip_prefix("noid-").is_some_and(|rest| !rest.is_empty()) => {
                Behavior::CoveredWithoutId
            }
            ("covered", Times::Always) => Behavior::Covered,
            ("conflict", Times::Always) => Behavior::Conflict,
            ("genfail", _) => Behavior::Cover(CoverFault::Fails),
            ("foreign", Times::Always) => Behavior::Cover(CoverFault::Foreign),
            ("noimages", Times::Always) => Behavior::Cover(CoverFault::WithoutImages),
            ("stuck", Times::Always) => Behavior::Cover(CoverFault::Stuck),
            ("unfinished", _) => Behavior::Music(MusicFault::Unfinished),
            ("musicfail", Times::Always) => Behavior::Music(MusicFault::Failed),
            (word, _) => match word.strip_prefix("img") {
                Some(kind) => Behavior::Image(ImageFault::named(kind)?),
                None => Behavior::Answer(Fault::named(word)?),
            },
        };
        Some(Self { behavior, times })
    }

    /// The script in `code-`, `http-` or `page-` and this `NNN-rest` or `NNNxK-rest`.
    fn numbered(word: &str, rest: &str) -> Option<Self> {
        let (number, _) = rest.split_once('-').filter(|(_, rest)| !rest.is_empty())?;
        let (digits, times) = repeated(number)?;
        let canned = match (word, number_in(digits)?) {
            ("code", code @ 100..=999) => Canned::Code(code),
            ("http", status @ 200..=599) => Canned::Http(status),
            ("page", status @ 200..=599) => Canned::Page(status),
            _ => return None,
        };
        Some(Self { behavior: Behavior::Answer(Fault::Canned(canned)), times })
    }
}

impl Fault {
    fn named(word: &str) -> Option<Self> {
        Some(match word {
            "broke" => Self::Canned(Canned::Broke),
            "html" => Self::Canned(Canned::Html),
            "empty" => Self::Canned(Canned::Empty),
            "nocode" => Self::Canned(Canned::NoCode),
            "noid" => Self::Canned(Canned::NoId),
            "huge" => Self::Delivery(Delivery::Padded),
            "garbled" => Self::Delivery(Delivery::Halved),
            "cut" => Self::Delivery(Delivery::Cut),
            "hang" => Self::Delivery(Delivery::Never),
            "slow" => Self::Delivery(Delivery::Late),
            "maint" => Self::Canned(Canned::Maintenance),
            "nopage" => Self::Canned(Canned::NoPage),
            "nowhere" => Self::Canned(Canned::Nowhere),
            "gzip" => Self::Delivery(Delivery::Compressed(Compression::Gzip)),
            "gzipunsaid" => Self::Delivery(Delivery::Compressed(Compression::GzipUnsaid)),
            "deflate" => Self::Delivery(Delivery::Compressed(Compression::Deflate)),
            "surplus" => Self::Delivery(Delivery::Twice),
            _ => return None,
        })
    }
}

impl ImageFault {
    fn named(word: &str) -> Option<Self> {
        Some(match word {
            "jpeg" => Self::Encoded(ImageFormat::Jpeg),
            "webp" => Self::Encoded(ImageFormat::WebP),
            "html" => Self::Status(200),
            "empty" => Self::Empty,
            "cut" => Self::Delivery(Delivery::Cut),
            "trunc" => Self::Delivery(Delivery::Halved),
            "huge" => Self::Delivery(Delivery::Padded),
            "damaged" => Self::Delivery(Delivery::Damaged),
            "redirect" => Self::Astray,
            "moved" => Self::Moved,
            digits => Self::Status(number_in(digits).filter(|status| (200..=599).contains(status))?),
        })
    }
}

/// `wordxK` taken apart; without an `x`, always. `None` if what follows the `x` is not a number from 1.
fn repeated(text: &str) -> Option<(&str, Times)> {
    match text.split_once('x') {
        None => Some((text, Times::Always)),
        Some((word, count)) => Some((word, Times::First(number_in(count)?))),
    }
}

/// The number in digits without sign or leading zero, so that there is one way to write each.
fn number_in<N: std::str::FromStr>(digits: &str) -> Option<N> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(behavior: Behavior, times: Option<u32>) -> Script {
        let times = times.map_or(Times::Always, |many| Times::First(many.try_into().unwrap()));
        Script { behavior, times }
    }

    fn canned(canned: Canned) -> Behavior {
        Behavior::Answer(Fault::Canned(canned))
    }

    fn delivered(delivery: Delivery) -> Behavior {
        Behavior::Answer(Fault::Delivery(delivery))
    }

    #[test]
    fn an_id_spells_out_what_its_requests_meet() {
        let table = [
            ("covered-1", Behavior::Covered, None),
            ("covered-noid", Behavior::Covered, None),
            ("covered-noid-1", Behavior::CoveredWithoutId, None),
            ("conflict-a-b", Behavior::Conflict, None),
            ("code-455-1", canned(Canned::Code(455)), None),
            ("code-100-1", canned(Canned::Code(100)), None),
            ("code-999-1", canned(Canned::Code(999)), None),
            ("code-500x2-1", canned(Canned::Code(500)), Some(2)),
            ("http-502-1", canned(Canned::Http(502)), None),
            ("http-200-1", canned(Canned::Http(200)), None),
            ("http-599-1", canned(Canned::Http(599)), None),
            ("http-403x10-a-b", canned(Canned::Http(403)), Some(10)),
            ("broke-1", canned(Canned::Broke), None),
            ("brokex1-1", canned(Canned::Broke), Some(1)),
            ("html-1", canned(Canned::Html), None),
            ("htmlx2-1", canned(Canned::Html), Some(2)),
            ("empty-1", canned(Canned::Empty), None),
            ("nocode-1", canned(Canned::NoCode), None),
            ("noid-1", canned(Canned::NoId), None),
            ("huge-1", delivered(Delivery::Padded), None),
            ("garbledx2-1", delivered(Delivery::Halved), Some(2)),
            ("cut-1", delivered(Delivery::Cut), None),
            ("hangx2-1", delivered(Delivery::Never), Some(2)),
            ("slow-1", delivered(Delivery::Late), None),
            ("maintx2-1", canned(Canned::Maintenance), Some(2)),
            ("nopage-1", canned(Canned::NoPage), None),
            ("nowhere-1", canned(Canned::Nowhere), None),
            ("page-404-1", canned(Canned::Page(404)), None),
            ("page-530x2-1", canned(Canned::Page(530)), Some(2)),
            ("gzip-1", delivered(Delivery::Compressed(Compression::Gzip)), None),
            ("gzipunsaid-1", delivered(Delivery::Compressed(Compression::GzipUnsaid)), None),
            ("deflate-1", delivered(Delivery::Compressed(Compression::Deflate)), None),
            ("surplusx1-1", delivered(Delivery::Twice), Some(1)),
        ];
        for (id, behavior, times) in table {
            assert_eq!(Script::of(id), script(behavior, times), "{id}");
        }
    }

    #[test]
    fn an_id_spells_out_what_becomes_of_its_music_its_covers_and_their_images() {
        let table = [
            ("genfail-1", Behavior::Cover(CoverFault::Fails), None),
            ("genfailx2-1", Behavior::Cover(CoverFault::Fails), Some(2)),
            ("foreign-1", Behavior::Cover(CoverFault::Foreign), None),
            ("noimages-1", Behavior::Cover(CoverFault::WithoutImages), None),
            ("stuck-1", Behavior::Cover(CoverFault::Stuck), None),
            ("unfinished-1", Behavior::Music(MusicFault::Unfinished), None),
            ("unfinishedx2-1", Behavior::Music(MusicFault::Unfinished), Some(2)),
            ("musicfail-1", Behavior::Music(MusicFault::Failed), None),
            ("imgjpeg-1", Behavior::Image(ImageFault::Encoded(ImageFormat::Jpeg)), None),
            ("imgwebp-1", Behavior::Image(ImageFault::Encoded(ImageFormat::WebP)), None),
            ("imghtml-1", Behavior::Image(ImageFault::Status(200)), None),
            ("imgempty-1", Behavior::Image(ImageFault::Empty), None),
            ("imgcut-1", Behavior::Image(ImageFault::Delivery(Delivery::Cut)), None),
            ("imgtrunc-1", Behavior::Image(ImageFault::Delivery(Delivery::Halved)), None),
            ("imgdamaged-1", Behavior::Image(ImageFault::Delivery(Delivery::Damaged)), None),
            ("imghuge-1", Behavior::Image(ImageFault::Delivery(Delivery::Padded)), None),
            ("imgredirect-1", Behavior::Image(ImageFault::Astray), None),
            ("imgmoved-1", Behavior::Image(ImageFault::Moved), None),
            ("img404-1", Behavior::Image(ImageFault::Status(404)), None),
            ("img503x1-1", Behavior::Image(ImageFault::Status(503)), Some(1)),
            ("img200-1", Behavior::Image(ImageFault::Status(200)), None),
            ("img599-1", Behavior::Image(ImageFault::Status(599)), None),
        ];
        for (id, behavior, times) in table {
            assert_eq!(Script::of(id), script(behavior, times), "{id}");
        }
    }

    #[test]
    fn any_other_id_is_an_ordinary_track() {
        let ids = "- html html- HTML-1 htmlx-1 htmlx0-1 htmlx02-1 htmlx+2-1 htmlx2x2-1 htmlx4294967296-1 xhtml-1 \
                   coveredx2-1 conflictx2-1 code- code-455 code-455- code-99-1 code-1000-1 code-+55-1 code-045-1 \
                   code-455x-1 codex2-455-1 http-199-1 http-600-1 page-199-1 page-404 stuck stuck- stuckx2-1 genfailx0-1 musicfailx2-1 \
                   img-1 img404 img199-1 img600-1 img0404-1 img99999-1 jpeg-1 imgjpegx0-1 \
                   73d6128b3523a0079df10da9471017c8 8551aaaa-0000-4000-8000-00000000662c";
        for id in ids.split_whitespace().chain([""]) {
            assert_eq!(Script::of(id), script(Behavior::Ordinary, None), "{id}");
        }
    }

    #[test]
    fn a_number_is_for_how_many() {
        let meets = |id, before| Script::of(id).at(before) != Behavior::Ordinary;
        assert_eq!([0, 1, 2, 3].map(|before| meets("htmlx2-1", before)), [true, true, false, false]);
        assert_eq!([0, 1, 2, 3].map(|before| meets("img503x2-1", before)), [true, true, false, false]);
        assert!(meets("html-1", u32::MAX) && meets("covered-1", u32::MAX));
    }

    #[test]
    fn music_is_unknown_if_it_is_refused_as_such_for_ever() {
        let are_unknown = |ids: &[&str]| ids.iter().map(|id| Script::of(id).is_unknown()).collect::<Vec<_>>();
        assert_eq!(are_unknown(&["code-404-1", "code-422-1", "http-404-1", "http-422-1"]), [true; 4]);
        assert_eq!(are_unknown(&["code-422x2-1", "code-500-1", "plain"]), [false; 3]);
    }
}
