//! Images as files: told by their bytes, checked for being whole, named after their music task, put into a folder.
//!
//! No network, and no picture is decoded or held in memory: whether a file is whole is read from its structure and
//! checksums. That is enough to refuse what downloads really bring instead of an image (nothing, half of it, an error
//! page, bytes that changed on their way), and it keeps decoders and what can be done to them out of downloads.

mod folder;
mod store;
mod structure;
#[cfg(test)]
mod tests;

pub use folder::{ImageDraft, ImageFolder};
pub use store::{DefaultCover, DefaultCoverError, Draft, ImageNumber, Store, file_name};
pub use structure::{NotAnImage, SIGNATURE_BYTES, check, kind_of};
