//! The words of the problem: ids, outcomes, states, reasons.
//!
//! Values only. Nothing here does I/O, reads a clock, draws random numbers or knows a file format, so that everything
//! that decides (`policy`) can be tested over its whole domain.

mod blank;
mod ended;
mod id;
mod message;
mod outcome;
mod rate;
mod reading;
mod result_column;
mod status;
mod words;

pub use blank::{is_blank, trimmed};
pub use ended::{Ended, Signal};
pub use id::{BadId, CoverTaskId, MAX_ID_BYTES, MusicTaskId};
pub use message::{MAX_MESSAGE_CHARS, escape_formula, is_formula, one_line, unescape_formula, visible};
pub use outcome::{Answer, Outcome, Verdict};
pub use rate::{BadDuration, BadRate, Brief, MAX_RATE_COUNT, Rate, parse_duration};
pub use reading::{
    CoverProgress, Found, Generated, ImageKind, Images, MAX_IMAGE_BYTES, MAX_IMAGES, MusicProgress, Reading,
};
pub use result_column::ResultColumn;
pub use status::{Reason, RowState, Status};
