//! Images as files: told by their bytes, checked for being whole, measured, named, put into a folder.
//!
//! No network, and no picture is decoded or held in memory: whether a file is whole is read from its structure and
//! checksums. That is enough to refuse what downloads really bring instead of an image (nothing, half of it, an error
//! page, bytes that changed on their way), and it keeps decoders and what can be done to them out of downloads.

mod default_cover;
mod folder;
mod name;
mod store;
mod structure;
#[cfg(test)]
mod tests;

pub use default_cover::{DefaultCover, DefaultCoverError};
pub use folder::{ImageDraft, ImageFolder};
pub use name::{ImageName, ImageNumber, NameWords, file_name, is_image_name};
pub use store::{Draft, Store};
pub use structure::{NotAnImage, SIGNATURE_BYTES, check, kind_of};
