//! Where a path leads, what stands in the way of writing there, and the error that says so.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Names of standard output.
const STDOUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// Links followed from one name; more are a loop.
const MAX_LINKS: u32 = 40;

/// Whether a path means standard output. A file of the name `-` is `./-`.
#[must_use]
pub fn is_stdout(path: &Path) -> bool {
    STDOUT.iter().any(|name| path == Path::new(name))
}

/// What a path leads to, also where nothing is there yet: links are followed, and the folder is the real one.
#[must_use]
pub fn real(path: &Path) -> PathBuf {
    follow(path, MAX_LINKS)
}

fn follow(path: &Path, links: u32) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    match path.read_link() {
        Ok(target) if links > 0 => follow(&folder_of(path).join(target), links - 1),
        Ok(_) | Err(_) => match (folder_of(path).canonicalize(), path.file_name()) {
            (Ok(folder), Some(name)) => folder.join(name),
            (Ok(_) | Err(_), _) => path.to_owned(),
        },
    }
}

/// Whether two paths lead to one file, by whatever names and links.
#[must_use]
pub fn is_same(one: &Path, other: &Path) -> bool {
    if is_stdout(one) || is_stdout(other) {
        return is_stdout(one) && is_stdout(other);
    }
    let file = |path: &Path| path.metadata().ok().map(|file| (file.dev(), file.ino()));
    real(one) == real(other) || file(one).is_some_and(|id| file(other) == Some(id))
}

/// The folder that a path is in.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

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

/// A file cannot be written.
#[derive(Debug, Error)]
#[error("cannot write {}", name(path))]
pub struct FileError {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

impl FileError {
    /// The file at `path` cannot be written because of `cause`.
    pub fn new(path: impl Into<PathBuf>, cause: io::Error) -> Self {
        Self { path: path.into(), cause }
    }
}

fn name(path: &Path) -> String {
    if is_stdout(path) { "to standard output".to_owned() } else { format!("`{}`", path.display()) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn names_links_and_files_that_are_not_there_yet_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("file"), "").unwrap();
        fs::write(at("other"), "").unwrap();
        fs::hard_link(at("file"), at("hard")).unwrap();
        for (link, target) in [("link", "file"), ("ahead", "sub/../new"), ("loop", "loop"), ("way", "sub")] {
            symlink(target, at(link)).unwrap();
        }
        for (one, other) in [
            ("file", "sub/../file"),
            ("file", "link"),
            ("file", "hard"),
            ("new", "sub/../new"),
            ("new", "ahead"),
            ("way/new", "sub/new"),
            ("loop", "loop"),
        ] {
            assert!(is_same(&at(one), &at(other)) && is_same(&at(other), &at(one)), "{one} is {other}");
        }
        for (one, other) in [("file", "other"), ("file", "new"), ("new", "sub/new"), ("loop", "new")] {
            assert!(!is_same(&at(one), &at(other)), "{one} is not {other}");
        }
        assert!(is_same(Path::new("-"), Path::new("/dev/stdout")));
        assert!(!is_same(Path::new("-"), Path::new("./-")));
    }
}
