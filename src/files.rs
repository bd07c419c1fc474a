//! Files that replace their predecessors as a whole or not at all, also where the program is killed or the power fails.
//!
//! Knows nothing of any format.

mod atomic;
mod place;
mod replacement;

pub use atomic::{AtomicFile, check_folder, fsync_dir, make_folder, remove_abandoned};
pub use place::{FileError, folder_of, is_mounted, is_same, is_stdout, real};
pub use replacement::{Replacement, check_writable, replace_whole};
