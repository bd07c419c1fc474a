//! What Linux tells of a file beyond its mode. Elsewhere nothing is known, and what cannot be done is found out by trying.

use std::path::Path;

/// Whether nothing can be renamed over a file: it is mounted at its place, or may only grow, or not change at all.
#[cfg(target_os = "linux")]
pub(super) fn is_pinned(path: &Path) -> bool {
    use rustix::fs::StatxAttributes;
    has(path, StatxAttributes::MOUNT_ROOT | StatxAttributes::IMMUTABLE | StatxAttributes::APPEND)
}

/// Whether a file is mounted at its place, or on a file system that nobody can write to.
#[cfg(target_os = "linux")]
#[must_use]
pub fn is_mounted(path: &Path) -> bool {
    use rustix::fs::{StatVfsMountFlags, StatxAttributes, statvfs};
    let is_read_only = statvfs(path).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY));
    is_read_only || has(path, StatxAttributes::MOUNT_ROOT)
}

#[cfg(target_os = "linux")]
fn has(path: &Path, attributes: rustix::fs::StatxAttributes) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    statx(CWD, path, AtFlags::empty(), StatxFlags::TYPE).is_ok_and(|file| file.stx_attributes.intersects(attributes))
}

#[cfg(not(target_os = "linux"))]
pub(super) const fn is_pinned(_: &Path) -> bool {
    false
}

/// Whether a file is mounted at its place, or on a file system that nobody can write to.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub const fn is_mounted(_: &Path) -> bool {
    false
}
