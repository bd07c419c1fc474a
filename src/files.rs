//! Files that replace their predecessors as a whole or not at all, also where the program is killed or the power fails.
//!
//! Knows nothing of any format.

mod atomic;
mod error;
mod kernel;
mod place;
mod replacement;

pub use atomic::{AtomicFile, fsync_dir, make_folder, remove_abandoned};
pub use error::FileError;
pub use kernel::is_mounted;
pub use place::{folder_of, is_same, is_stdout, real};
pub use replacement::{Replacement, check_writable, replace_whole};
