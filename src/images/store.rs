//! A folder of images, in which a file is there whole or not at all, under the name of its music task, made safe, so that
//! no two tasks share a name; and the user's own picture that stands in where the service makes none.

use std::fs::{self, File};
use std::io::{self, Cursor, Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;

use super::structure::{NotAnImage, check};
use crate::domain::{ImageKind, MAX_IMAGE_BYTES, MAX_IMAGES, MusicTaskId};
use crate::files::{AtomicFile, FileError, fsync_dir, make_folder, remove_abandoned};

/// What a new folder may be read and written by, before the umask.
const FOLDER_MODE: u32 = 0o777;

/// Longest id as it stands in a name, in bytes: names end at 255 on nearly every file system, and `-1.webp` follows.
const MAX_ID_IN_NAME: usize = 248;

/// Everything but letters, digits, `-`, `_` and `.`; also the `%` itself, or two ids could share a name.
const UNSAFE: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// Names that Windows takes for devices, whatever follows their first dot; COM and LPT with a digit are further ones.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// Which of a cover's images: there are [`MAX_IMAGES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ImageNumber {
    /// The first one, which a default cover can stand in for.
    One,
    /// The second one.
    Two,
}

impl ImageNumber {
    /// Both, in the service's order.
    pub const ALL: [Self; MAX_IMAGES] = [Self::One, Self::Two];

    /// The digit in the name of the file.
    const fn digit(self) -> char {
        match self {
            Self::One => '1',
            Self::Two => '2',
        }
    }
}

/// The name of the file for an image, as `<music task id>-1.png`; at most 255 bytes.
///
/// Different for different ids, numbers or kinds. Ids that differ only in case have names that do, too, which a file
/// system blind to case takes for one; such pairs are not known of a service whose ids are hexadecimal, and encoding
/// every capital would make names unreadable for that.
#[must_use]
pub fn file_name(task: &MusicTaskId, number: ImageNumber, kind: ImageKind) -> String {
    format!("{}{kind}", stem(task, number))
}

/// The name without its extension, with the dot.
fn stem(task: &MusicTaskId, number: ImageNumber) -> String {
    format!("{}-{}.", safe(task.as_str()), number.digit())
}

/// The id as it stands in a name: `%` and the byte's number for what is not safe there.
fn safe(id: &str) -> String {
    // A file whose name begins with a dot would not be listed, or would be a folder.
    let plain = usize::from(id.starts_with('.') || is_device(id));
    let first = id.bytes().take(plain).map(|byte| format!("%{byte:02X}"));
    let encoded: String = first.chain([utf8_percent_encode(&id[plain..], &UNSAFE).to_string()]).collect();
    // A `~` is in no other name, so this cannot be one of another id.
    if encoded.len() > MAX_ID_IN_NAME { format!("~{}", URL_SAFE_NO_PAD.encode(id)) } else { encoded }
}

/// Whether Windows would open a device instead: `con.x-1.png` is one, `con-1.png` is not.
fn is_device(id: &str) -> bool {
    let Some((before_dot, _)) = id.split_once('.') else { return false };
    let name = before_dot.to_ascii_lowercase();
    let is_port = |port: &str| name.strip_prefix(port).is_some_and(|rest| matches!(rest.as_bytes(), [b'0'..=b'9']));
    DEVICES.contains(&name.as_str()) || is_port("com") || is_port("lpt")
}

/// How the names of unfinished images begin.
const TEMP_PREFIX: &str = ".coverbatch-image-";

/// The folder that images are saved in; several processes may use one at a time.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The images in `folder`, which is made if it is missing; what killed processes left is removed.
    ///
    /// # Errors
    /// [`FileError`] if it is no folder or cannot be written to.
    pub fn open(folder: &Path) -> Result<Self, FileError> {
        make_folder(folder, FOLDER_MODE)
            .and_then(|()| AtomicFile::within(folder, TEMP_PREFIX))
            .map_err(|cause| FileError::new(folder, cause))?;
        remove_abandoned(folder, TEMP_PREFIX);
        Ok(Self { folder: folder.to_owned() })
    }

    /// An empty file for an image that is not known to be one yet; gone if it is dropped.
    pub(super) fn draft(&self) -> Result<Draft, FileError> {
        let file = AtomicFile::within(&self.folder, TEMP_PREFIX).map_err(|cause| self.error(cause))?;
        Ok(Draft { file, folder: self.folder.clone() })
    }

    /// Puts a copy of the default cover where the first image would be, unless one is there; its name either way.
    /// Durable when this returns.
    pub(super) fn stand_in(&self, task: &MusicTaskId, cover: &DefaultCover) -> Result<String, FileError> {
        if let Some(name) = self.present(task) {
            return Ok(name);
        }
        let name = file_name(task, ImageNumber::One, cover.kind);
        let mut draft = self.draft()?;
        let put = draft.write_all(&cover.content).and_then(|()| draft.file.commit_noclobber(&self.folder.join(&name)));
        match put {
            // Another process was faster, perhaps with the cover itself.
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Ok(name),
            put => put.map(|()| name.clone()).map_err(|cause| FileError::new(self.folder.join(&name), cause)),
        }
    }

    /// That images cannot be saved here because of `cause`, as when writing a [`Draft`] fails.
    pub(super) fn error(&self, cause: io::Error) -> FileError {
        FileError::new(&self.folder, cause)
    }

    /// The name of the first image, whatever its kind, if there is one.
    fn present(&self, task: &MusicTaskId) -> Option<String> {
        let mut names = ImageKind::ALL.iter().map(|kind| file_name(task, ImageNumber::One, *kind));
        names.find(|name| self.folder.join(name).is_file())
    }
}

/// An unfinished image: bytes are written to it as they come, and kept only if they prove to be one.
#[derive(Debug)]
pub struct Draft {
    file: AtomicFile,
    folder: PathBuf,
}

impl Draft {
    /// Puts the image into its place, whatever is there, and removes one of another kind; its name. Durable when this
    /// returns.
    ///
    /// A killed process may leave both; the next [`Self::keep`] removes the older one. After [`NotAnImage`] nothing has
    /// changed.
    pub(super) fn keep(self, task: &MusicTaskId, number: ImageNumber) -> Result<Result<String, NotAnImage>, FileError> {
        let Self { file, folder } = self;
        let kind = match check(file.file()).map_err(|cause| FileError::new(&folder, cause))? {
            Ok(kind) => kind,
            Err(reason) => return Ok(Err(reason)),
        };
        let name = file_name(task, number, kind);
        let path = folder.join(&name);
        let put = file.commit(&path).and_then(|()| remove_others(&folder, &stem(task, number), kind));
        put.map_err(|cause| FileError::new(path, cause))?;
        Ok(Ok(name))
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Removes the images of the same name and another kind.
fn remove_others(folder: &Path, stem: &str, kept: ImageKind) -> io::Result<()> {
    let mut removed = false;
    for kind in ImageKind::ALL.iter().filter(|kind| **kind != kept) {
        match fs::remove_file(folder.join(format!("{stem}{kind}"))) {
            Ok(()) => removed = true,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
        }
    }
    if removed { fsync_dir(folder) } else { Ok(()) }
}

/// Why a file cannot be the default cover.
#[derive(Debug, Error)]
pub enum DefaultCoverError {
    /// It cannot be read.
    #[error("cannot read the default cover `{}`", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// It is no image that could be kept.
    #[error("cannot use `{}` as the default cover", .0.display())]
    NotAnImage(PathBuf, #[source] NotAnImage),
    /// It is larger than any image kept.
    #[error("cannot use `{}` as the default cover: it is larger than 50 MiB", .0.display())]
    TooLarge(PathBuf),
}

/// A whole image, read once, so that what happens to its file later does not matter to the run.
#[derive(Debug, Clone)]
pub struct DefaultCover {
    content: Arc<[u8]>,
    kind: ImageKind,
}

impl DefaultCover {
    /// The image at `path`.
    ///
    /// # Errors
    /// [`DefaultCoverError`], one for each way to be wrong.
    pub fn open(path: &Path) -> Result<Self, DefaultCoverError> {
        let unreadable = |cause| DefaultCoverError::Unreadable(path.to_owned(), cause);
        let content = read(path).map_err(unreadable)?.ok_or_else(|| DefaultCoverError::TooLarge(path.to_owned()))?;
        let kind = check(Cursor::new(&content))
            .map_err(unreadable)?
            .map_err(|cause| DefaultCoverError::NotAnImage(path.to_owned(), cause))?;
        Ok(Self { content: content.into(), kind })
    }
}

/// The bytes at `path`; `None` if they are too many.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    File::open(path)?.take(MAX_IMAGE_BYTES + 1).read_to_end(&mut content)?;
    Ok((content.len() as u64 <= MAX_IMAGE_BYTES).then_some(content))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::error::Error as _;
    use std::os::unix::fs::MetadataExt as _;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::domain::MAX_ID_BYTES;
    use crate::images::DefaultCoverError;
    use crate::images::tests::sample;

    fn name(id: &str) -> String {
        file_name(&MusicTaskId::new(id).unwrap(), ImageNumber::One, ImageKind::Png)
    }

    #[test]
    fn ids_become_names_that_are_safe_everywhere() {
        let table = [
            ("73d6128b3523a0079df10da9471017c8", "73d6128b3523a0079df10da9471017c8-1.png"),
            ("Ab_c.d-e", "Ab_c.d-e-1.png"),
            ("a/b", "a%2Fb-1.png"),
            ("a%2Fb", "a%252Fb-1.png"),
            ("..", "%2E.-1.png"),
            ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd-1.png"),
            (".hidden", "%2Ehidden-1.png"),
            ("dot.", "dot.-1.png"),
            (r#"\:*?"<>|"#, "%5C%3A%2A%3F%22%3C%3E%7C-1.png"),
            ("~x", "%7Ex-1.png"),
            ("con", "con-1.png"),
            ("Con.x", "%43on.x-1.png"),
            ("lpt9.", "%6Cpt9.-1.png"),
            ("com10.x", "com10.x-1.png"),
            ("-rf", "-rf-1.png"),
        ];
        for (id, expected) in table {
            assert_eq!(name(id), expected);
        }
        let task = MusicTaskId::new("a").unwrap();
        assert_eq!(file_name(&task, ImageNumber::Two, ImageKind::WebP), "a-2.webp");
        assert_eq!(file_name(&task, ImageNumber::Two, ImageKind::Jpeg), "a-2.jpg");
    }

    #[test]
    fn the_longest_ids_have_names_of_at_most_255_bytes() {
        for c in (b'!'..=b'~').map(char::from) {
            for length in [1, 82, 83, MAX_ID_BYTES] {
                let task = MusicTaskId::new(c.to_string().repeat(length)).unwrap();
                let name = file_name(&task, ImageNumber::One, ImageKind::WebP);
                assert!(name.len() <= 255, "{c} {length} times is {} bytes", name.len());
                assert!(length > 1 || !name.contains('~'), "{name}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_two_images_share_a_name(
            ids in prop::collection::vec("[!-~]{1,128}|[a%/.~-]{1,3}|[%/]{81,85}|(con|COM1)[.][a-]?", 2..40)
        ) {
            let mut owners = HashMap::new();
            for id in ids {
                let task = MusicTaskId::new(&id).unwrap();
                for number in ImageNumber::ALL {
                    for kind in [ImageKind::Png, ImageKind::Jpeg, ImageKind::WebP] {
                        let name = file_name(&task, number, kind);
                        prop_assert!(name.len() <= 255 && !name.starts_with('.') && !name.contains('/'));
                        let owner = owners.entry(name).or_insert_with(|| (id.clone(), number, kind)).clone();
                        prop_assert_eq!(owner, (id.clone(), number, kind));
                    }
                }
            }
        }
    }

    fn store() -> (TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("covers")).unwrap();
        (folder, store)
    }

    fn task() -> MusicTaskId {
        MusicTaskId::new("a/b").unwrap()
    }

    fn drafted(store: &Store, bytes: &[u8]) -> Draft {
        let mut draft = store.draft().unwrap();
        draft.write_all(bytes).unwrap();
        draft
    }

    fn keep(store: &Store, number: ImageNumber, bytes: &[u8]) -> Result<String, NotAnImage> {
        drafted(store, bytes).keep(&task(), number).unwrap()
    }

    /// Everything in the folder, hidden files too.
    fn names(store: &Store) -> Vec<String> {
        let files = fs::read_dir(&store.folder).unwrap();
        let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn default_cover(kind: ImageKind) -> DefaultCover {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("default");
        fs::write(&path, sample(kind)).unwrap();
        DefaultCover::open(&path).unwrap()
    }

    #[test]
    fn an_image_is_kept_under_the_name_of_its_task_and_kind() {
        let (_folder, store) = store();
        assert_eq!(keep(&store, ImageNumber::One, &sample(ImageKind::Jpeg)).unwrap(), "a%2Fb-1.jpg");
        assert_eq!(keep(&store, ImageNumber::Two, &sample(ImageKind::WebP)).unwrap(), "a%2Fb-2.webp");
        assert_eq!(fs::read(store.folder.join("a%2Fb-1.jpg")).unwrap(), sample(ImageKind::Jpeg));
        assert_eq!(names(&store), ["a%2Fb-1.jpg", "a%2Fb-2.webp"]);
    }

    #[test]
    fn what_is_no_whole_image_leaves_the_folder_as_it_was() {
        let (_folder, store) = store();
        keep(&store, ImageNumber::One, &sample(ImageKind::Png)).unwrap();
        let half = &sample(ImageKind::Jpeg)[..99];
        assert_eq!(keep(&store, ImageNumber::One, half), Err(NotAnImage::CutOff(ImageKind::Jpeg)));
        assert_eq!(keep(&store, ImageNumber::One, b""), Err(NotAnImage::Empty));
        drop(drafted(&store, b"given up"));
        assert_eq!(names(&store), ["a%2Fb-1.png"]);
    }

    #[test]
    fn an_image_of_another_kind_replaces_the_one_before_and_no_other() {
        let (_folder, store) = store();
        keep(&store, ImageNumber::One, &sample(ImageKind::Png)).unwrap();
        keep(&store, ImageNumber::Two, &sample(ImageKind::Png)).unwrap();
        keep(&store, ImageNumber::One, &sample(ImageKind::WebP)).unwrap();
        assert_eq!(names(&store), ["a%2Fb-1.webp", "a%2Fb-2.png"]);
    }

    #[test]
    fn a_default_cover_stands_in_once_and_gives_way_to_the_cover() {
        let (_folder, store) = store();
        let name = store.stand_in(&task(), &default_cover(ImageKind::Jpeg)).unwrap();
        assert_eq!(name, "a%2Fb-1.jpg");
        assert_eq!(fs::read(store.folder.join(&name)).unwrap(), sample(ImageKind::Jpeg));
        let before = fs::metadata(store.folder.join(&name)).unwrap().ino();
        assert_eq!(store.stand_in(&task(), &default_cover(ImageKind::Png)).unwrap(), name);
        assert_eq!(fs::metadata(store.folder.join(&name)).unwrap().ino(), before, "it is not written again");
        assert_eq!(keep(&store, ImageNumber::One, &sample(ImageKind::Png)).unwrap(), "a%2Fb-1.png");
        assert_eq!(store.stand_in(&task(), &default_cover(ImageKind::Jpeg)).unwrap(), "a%2Fb-1.png");
        assert_eq!(names(&store), ["a%2Fb-1.png"]);
    }

    #[test]
    fn a_second_image_alone_does_not_keep_the_default_cover_away() {
        let (_folder, store) = store();
        keep(&store, ImageNumber::Two, &sample(ImageKind::Png)).unwrap();
        assert_eq!(store.stand_in(&task(), &default_cover(ImageKind::Png)).unwrap(), "a%2Fb-1.png");
    }

    #[test]
    fn a_folder_is_made_with_those_it_is_in_and_a_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        Store::open(&folder.path().join("all/covers")).unwrap();
        Store::open(&folder.path().join("all/covers")).unwrap();
        assert!(folder.path().join("all/covers").is_dir());
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Store::open(&file).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write `{}`", file.display()));
        assert!(error.source().is_some());
    }

    #[test]
    fn opening_removes_what_the_killed_left_and_spares_what_others_write() {
        let (_folder, store) = store();
        fs::write(store.folder.join(".coverbatch-image-killed"), "half").unwrap();
        fs::write(store.folder.join(".coverbatch-csv-other"), "half").unwrap();
        let living = drafted(&store, &sample(ImageKind::Png));
        Store::open(&store.folder).unwrap();
        living.keep(&task(), ImageNumber::One).unwrap().unwrap();
        assert_eq!(names(&store), [".coverbatch-csv-other", "a%2Fb-1.png"]);
    }

    #[test]
    fn an_image_may_be_read_by_whom_the_umask_lets() {
        let (_folder, store) = store();
        keep(&store, ImageNumber::One, &sample(ImageKind::Png)).unwrap();
        fs::write(store.folder.join("plain"), "").unwrap();
        let mode = |name: &str| fs::metadata(store.folder.join(name)).unwrap().mode();
        assert_eq!(mode("a%2Fb-1.png"), mode("plain"));
    }

    #[test]
    fn a_default_cover_is_a_whole_image_of_at_most_50_mib() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("default.png");
        assert!(matches!(DefaultCover::open(&path), Err(DefaultCoverError::Unreadable { .. })));
        fs::write(&path, &sample(ImageKind::Png)[..50]).unwrap();
        let error = DefaultCover::open(&path).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot use `{}` as the default cover", path.display()));
        assert_eq!(error.source().unwrap().to_string(), "the PNG is cut off");
        File::create(&path).unwrap().set_len(MAX_IMAGE_BYTES + 1).unwrap();
        assert!(matches!(DefaultCover::open(&path), Err(DefaultCoverError::TooLarge(_))));
    }
}
