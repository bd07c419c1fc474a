//! A folder of images, in which a file is there whole or not at all.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::default_cover::DefaultCover;
use super::name::{ImageNumber, file_name, stem};
use super::structure::{NotAnImage, check};
use crate::domain::{ImageKind, MusicTaskId};
use crate::files::{AtomicFile, FileError, fsync_dir, make_folder, remove_abandoned};

/// What a new folder may be read and written by, before the umask.
const FOLDER_MODE: u32 = 0o777;

/// How the names of unfinished images begin.
const TEMP_PREFIX: &str = ".coverbatch-image-";

/// Every kind of image, for finding files whose extension is not known.
const KINDS: [ImageKind; 3] = [ImageKind::Png, ImageKind::Jpeg, ImageKind::WebP];

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
    ///
    /// # Errors
    /// [`FileError`] if the folder cannot be written to.
    pub fn draft(&self) -> Result<Draft, FileError> {
        let file = AtomicFile::within(&self.folder, TEMP_PREFIX).map_err(|cause| self.error(cause))?;
        Ok(Draft { file, folder: self.folder.clone() })
    }

    /// Puts a copy of the default cover where the first image would be, unless one is there; its name either way.
    /// Durable when this returns.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn stand_in(&self, task: &MusicTaskId, cover: &DefaultCover) -> Result<String, FileError> {
        if let Some(name) = self.present(task) {
            return Ok(name);
        }
        let name = file_name(task, ImageNumber::One, cover.kind());
        let mut draft = self.draft()?;
        let put = draft.write_all(cover.content()).and_then(|()| draft.file.commit_noclobber(&self.folder.join(&name)));
        match put {
            // Another process was faster, perhaps with the cover itself.
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Ok(name),
            put => put.map(|()| name.clone()).map_err(|cause| FileError::new(self.folder.join(&name), cause)),
        }
    }

    /// That images cannot be saved here because of `cause`, as when writing a [`Draft`] fails.
    #[must_use]
    pub fn error(&self, cause: io::Error) -> FileError {
        FileError::new(&self.folder, cause)
    }

    /// The name of the first image, whatever its kind, if there is one.
    fn present(&self, task: &MusicTaskId) -> Option<String> {
        let names = KINDS.map(|kind| file_name(task, ImageNumber::One, kind));
        names.into_iter().find(|name| self.folder.join(name).is_file())
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
    /// A killed process may leave both; the next [`Self::keep`] removes the older one.
    ///
    /// # Errors
    /// [`FileError`] if the folder cannot be written to. [`NotAnImage`] inside: nothing has changed then.
    pub fn keep(self, task: &MusicTaskId, number: ImageNumber) -> Result<Result<String, NotAnImage>, FileError> {
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
    for kind in KINDS.into_iter().filter(|kind| *kind != kept) {
        match fs::remove_file(folder.join(format!("{stem}{}", kind.extension()))) {
            Ok(()) => removed = true,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
        }
    }
    if removed { fsync_dir(folder) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::os::unix::fs::MetadataExt as _;

    use tempfile::TempDir;

    use super::super::tests::sample;
    use super::*;
    use crate::images::DefaultCoverError;

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
        fs::File::create(&path).unwrap().set_len(crate::domain::MAX_IMAGE_BYTES + 1).unwrap();
        assert!(matches!(DefaultCover::open(&path), Err(DefaultCoverError::TooLarge(_))));
    }
}
