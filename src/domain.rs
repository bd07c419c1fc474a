//! The words of the problem: ids, outcomes, states, reasons.
//!
//! Values only. Nothing here does I/O, reads a clock, draws random numbers or knows a file format, so that everything
//! that decides (`policy`) can be tested over its whole domain.

mod credits;
mod ended;
mod id;
mod image_file;
mod outcome;
mod rate;
mod status;
mod text;
mod words;

pub use credits::{BadCredits, Credits};
pub use ended::{Ended, Signal};
pub use id::{BadId, CoverTaskId, MAX_ID_BYTES, MusicTaskId};
pub use image_file::{ImageFile, ImageKind, ImageSize};
pub use outcome::{
    Answer, CoverProgress, Found, Generated, IMAGES_APPEAR, IMAGES_LAST, Images, MAX_IMAGE_BYTES, MAX_IMAGES,
    MusicProgress, Outcome, Reading, Route, Verdict,
};
pub use rate::{BadDuration, BadRate, Brief, MAX_RATE_COUNT, Rate, day_and_time, parse_duration, plural};
pub use status::{ManualKind, Reason, ResultColumn, RowState, Status};
pub use text::{MAX_MESSAGE_CHARS, escape_formula, is_blank, is_formula, one_line, trimmed, unescape_formula, visible};
pub(crate) use words::words;
