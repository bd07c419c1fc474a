//! A folder of images, in which a file is there whole or not at all, under the name of its music task: no two tasks share
//! one, and nothing is written over that may be of another.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Seek as _, Write};
use std::path::{Path, PathBuf};

use super::default_cover::DefaultCover;
use super::name::{ImageName, ImageNumber, NameWords, file_name};
use super::structure::{NotAnImage, check};
use crate::domain::{ImageFile, ImageKind};
use crate::files::{AtomicFile, FileError, fsync_dir, make_folder, remove_abandoned};

/// What a new folder may be read and written by, before the umask.
const FOLDER_MODE: u32 = 0o777;

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

    /// Puts a copy of the default cover where the first image would be, unless one is there; its name either way. `before`
    /// is the copy that is known already. Durable when this returns.
    pub(super) fn write_default_cover(
        &self,
        name: &ImageName,
        before: Option<&str>,
        cover: &DefaultCover,
    ) -> Result<String, FileError> {
        if let Some(there) = self.present(name, before) {
            return Ok(there);
        }
        let mut draft = self.draft()?;
        draft.write_all(&cover.content).map_err(|cause| self.error(cause))?;
        // Another process may be faster, perhaps with the cover itself.
        let unless_there = |file, path: &Path| put_unless_there(file, path).map(drop);
        draft.put(name, (ImageNumber::One, cover.kind), before, unless_there)
    }

    /// That images cannot be saved here because of `cause`, as when writing a [`Draft`] fails.
    pub(super) fn error(&self, cause: io::Error) -> FileError {
        FileError::new(&self.folder, cause)
    }

    /// The name of the first image, whatever its kind, if there is one. What is called in words may be of another, unless it
    /// is known.
    fn present(&self, name: &ImageName, before: Option<&str>) -> Option<String> {
        let by_id = ImageKind::ALL.iter().map(|kind| file_name(&name.task, ImageNumber::One, *kind));
        let words = name.words.iter().flat_map(|words| names(words, ImageNumber::One));
        by_id.chain(words.filter(|words| Some(words.as_str()) == before)).find(|name| self.folder.join(name).is_file())
    }
}

/// The names that words make for an image, one for each kind.
fn names(words: &NameWords, number: ImageNumber) -> impl Iterator<Item = String> {
    ImageKind::ALL.iter().map(move |kind| words.file_name(number, *kind))
}

/// An unfinished image: bytes are written to it as they come, and kept only if they prove to be one.
#[derive(Debug)]
pub struct Draft {
    file: AtomicFile,
    folder: PathBuf,
}

impl Draft {
    /// Puts the image into its place, and removes what was there for the same music task: the copy of the default cover that
    /// `stands_in`, or an image of another kind; its file. Durable when this returns.
    ///
    /// A killed process may leave both; the next [`Self::keep`] removes the older one. After [`NotAnImage`] nothing has
    /// changed.
    pub(super) fn keep(
        self,
        name: &ImageName,
        number: ImageNumber,
        stands_in: Option<&str>,
    ) -> Result<Result<ImageFile, NotAnImage>, FileError> {
        let (kind, size) = match check(self.file.file()).map_err(|cause| FileError::new(&self.folder, cause))? {
            Ok(image) => image,
            Err(reason) => return Ok(Err(reason)),
        };
        let folder = self.folder.clone();
        let kept = self.put(name, (number, kind), stands_in, AtomicFile::commit)?;
        let by_id = ImageKind::ALL.iter().map(|kind| file_name(&name.task, number, *kind));
        remove(&folder, by_id.filter(|by_id| *by_id != kept)).map_err(|cause| FileError::new(&folder, cause))?;
        Ok(Ok(ImageFile { name: kept, size: Some(size) }))
    }

    /// Puts the image where the words for it say, or, if that is taken by what may be of another, where its id says, there
    /// by `put_by_id`; its name.
    fn put(
        self,
        name: &ImageName,
        (number, kind): (ImageNumber, ImageKind),
        stands_in: Option<&str>,
        put_by_id: fn(AtomicFile, &Path) -> io::Result<()>,
    ) -> Result<String, FileError> {
        let Self { mut file, folder } = self;
        let failed = |name: &str, cause| FileError::new(folder.join(name), cause);
        if let Some(words) = &name.words {
            let in_words = words.file_name(number, kind);
            let put = put_in_words(file, &folder, (&in_words, names(words, number)), stands_in);
            match put.map_err(|cause| failed(&in_words, cause))? {
                Some(back) => file = back,
                None => return Ok(in_words),
            }
        }
        let by_id = file_name(&name.task, number, kind);
        put_by_id(file, &folder.join(&by_id)).map_err(|cause| failed(&by_id, cause))?;
        Ok(by_id)
    }
}

/// Puts a file into its place in words, and removes what was there for it under its names; it comes back if one of these is
/// taken: by neither what `stands_in` for it nor the same image, as a killed process leaves it.
fn put_in_words(
    file: AtomicFile,
    folder: &Path,
    (name, all): (&str, impl Iterator<Item = String>),
    stands_in: Option<&str>,
) -> io::Result<Option<AtomicFile>> {
    let there: Vec<String> = all.filter(|name| folder.join(name).symlink_metadata().is_ok()).collect();
    let is_own = |name: &String| {
        Some(name.as_str()) == stands_in || is_same_image(file.file(), &folder.join(name)).unwrap_or(false)
    };
    if !there.iter().all(is_own) {
        return Ok(Some(file));
    }
    if there.iter().any(|own| own == name) {
        file.commit(&folder.join(name))?;
    } else if let Some(back) = put_unless_there(file, &folder.join(name))? {
        return Ok(Some(back));
    }
    remove(folder, there.into_iter().filter(|own| own != name))?;
    Ok(None)
}

/// Puts a file into its place; it comes back if something is there.
fn put_unless_there(file: AtomicFile, path: &Path) -> io::Result<Option<AtomicFile>> {
    match file.commit_noclobber_or_return(path) {
        Ok(()) => Ok(None),
        Err((_, Some(back))) => Ok(Some(back)),
        Err((cause, None)) => Err(cause),
    }
}

/// Whether a file holds byte for byte what another one holds.
fn is_same_image(mut file: &File, path: &Path) -> io::Result<bool> {
    let other = File::open(path)?;
    if file.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    file.rewind()?;
    let pairs = BufReader::new(file).bytes().zip(BufReader::new(other).bytes());
    for (one, other) in pairs {
        if one? != other? {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Removes those of these files that are there. Durable when this returns.
fn remove(folder: &Path, names: impl Iterator<Item = String>) -> io::Result<()> {
    let mut removed = false;
    for name in names {
        match fs::remove_file(folder.join(name)) {
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

    use super::*;
    use crate::domain::{ImageSize, MusicTaskId};
    use crate::images::tests::sample;

    fn store() -> (TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("covers")).unwrap();
        (folder, store)
    }

    /// Called by its id.
    fn by_id() -> ImageName {
        ImageName { task: MusicTaskId::new("a/b").unwrap(), words: None }
    }

    /// Called in words.
    fn in_words() -> ImageName {
        ImageName { words: NameWords::new("So What"), ..by_id() }
    }

    fn drafted(store: &Store, bytes: &[u8]) -> Draft {
        let mut draft = store.draft().unwrap();
        draft.write_all(bytes).unwrap();
        draft
    }

    fn keep(store: &Store, number: ImageNumber, bytes: &[u8]) -> Result<String, NotAnImage> {
        drafted(store, bytes).keep(&by_id(), number, None).unwrap().map(|file| file.name)
    }

    fn keep_in_words(store: &Store, kind: ImageKind, stands_in: Option<&str>) -> String {
        let kept = drafted(store, &sample(kind)).keep(&in_words(), ImageNumber::One, stands_in);
        kept.unwrap().unwrap().name
    }

    fn write_default_cover(store: &Store, name: &ImageName, before: Option<&str>, kind: ImageKind) -> String {
        store.write_default_cover(name, before, &default_cover(kind)).unwrap()
    }

    /// Everything in the folder, hidden files too.
    fn names_in(store: &Store) -> Vec<String> {
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
        assert_eq!(names_in(&store), ["a%2Fb-1.jpg", "a%2Fb-2.webp"]);
    }

    #[test]
    fn what_is_no_whole_image_leaves_the_folder_as_it_was() {
        let (_folder, store) = store();
        keep(&store, ImageNumber::One, &sample(ImageKind::Png)).unwrap();
        let half = &sample(ImageKind::Jpeg)[..99];
        assert_eq!(keep(&store, ImageNumber::One, half), Err(NotAnImage::CutOff(ImageKind::Jpeg)));
        assert_eq!(keep(&store, ImageNumber::One, b""), Err(NotAnImage::Empty));
        drop(drafted(&store, b"given up"));
        assert_eq!(names_in(&store), ["a%2Fb-1.png"]);
    }

    #[test]
    fn an_image_of_another_kind_replaces_the_one_before_and_no_other() {
        let (_folder, store) = store();
        keep(&store, ImageNumber::One, &sample(ImageKind::Png)).unwrap();
        keep(&store, ImageNumber::Two, &sample(ImageKind::Png)).unwrap();
        keep(&store, ImageNumber::One, &sample(ImageKind::WebP)).unwrap();
        assert_eq!(names_in(&store), ["a%2Fb-1.webp", "a%2Fb-2.png"]);
    }

    #[test]
    fn a_default_cover_stands_in_once_and_gives_way_to_the_cover() {
        let (_folder, store) = store();
        let name = write_default_cover(&store, &by_id(), None, ImageKind::Jpeg);
        assert_eq!(name, "a%2Fb-1.jpg");
        assert_eq!(fs::read(store.folder.join(&name)).unwrap(), sample(ImageKind::Jpeg));
        let before = fs::metadata(store.folder.join(&name)).unwrap().ino();
        assert_eq!(write_default_cover(&store, &by_id(), None, ImageKind::Png), name);
        assert_eq!(fs::metadata(store.folder.join(&name)).unwrap().ino(), before, "it is not written again");
        assert_eq!(keep(&store, ImageNumber::One, &sample(ImageKind::Png)).unwrap(), "a%2Fb-1.png");
        assert_eq!(write_default_cover(&store, &by_id(), None, ImageKind::Jpeg), "a%2Fb-1.png");
        assert_eq!(names_in(&store), ["a%2Fb-1.png"]);
    }

    #[test]
    fn a_second_image_alone_does_not_keep_the_default_cover_away() {
        let (_folder, store) = store();
        keep(&store, ImageNumber::Two, &sample(ImageKind::Png)).unwrap();
        assert_eq!(write_default_cover(&store, &by_id(), None, ImageKind::Png), "a%2Fb-1.png");
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
        living.keep(&by_id(), ImageNumber::One, None).unwrap().unwrap();
        assert_eq!(names_in(&store), [".coverbatch-csv-other", "a%2Fb-1.png"]);
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
    fn an_image_is_kept_in_words_and_with_its_size() {
        let (_folder, store) = store();
        let kept = drafted(&store, &sample(ImageKind::Png)).keep(&in_words(), ImageNumber::Two, None).unwrap().unwrap();
        let size = ImageSize { width: 23, height: 17, bytes: sample(ImageKind::Png).len() as u64 };
        assert_eq!(kept, ImageFile { name: "So What_2.png".to_owned(), size: Some(size) });
        assert_eq!(names_in(&store), ["So What_2.png"]);
    }

    #[test]
    fn what_has_the_words_already_is_never_replaced_whatever_its_kind() {
        for kind in [ImageKind::Png, ImageKind::WebP] {
            let (_folder, store) = store();
            let name = format!("So What_1.{kind}");
            fs::write(store.folder.join(&name), "of another").unwrap();
            assert_eq!(write_default_cover(&store, &in_words(), None, ImageKind::Png), "a%2Fb-1.png");
            assert_eq!(keep_in_words(&store, ImageKind::Png, Some("a%2Fb-1.png")), "a%2Fb-1.png");
            assert_eq!(keep_in_words(&store, ImageKind::Jpeg, None), "a%2Fb-1.jpg");
            assert_eq!(fs::read(store.folder.join(&name)).unwrap(), b"of another");
            assert_eq!(names_in(&store), [name.as_str(), "a%2Fb-1.jpg"]);
        }
    }

    #[test]
    fn what_a_killed_process_left_in_words_is_known_by_its_bytes() {
        let (_folder, store) = store();
        assert_eq!(keep_in_words(&store, ImageKind::Png, None), "So What_1.png");
        assert_eq!(keep_in_words(&store, ImageKind::Png, None), "So What_1.png");
        let mut other = sample(ImageKind::Png);
        // Behind its end, where it may hold anything.
        other.push(0);
        let kept = drafted(&store, &other).keep(&in_words(), ImageNumber::One, None).unwrap().unwrap();
        assert_eq!(kept.name, "a%2Fb-1.png");
        assert_eq!(fs::read(store.folder.join("So What_1.png")).unwrap(), sample(ImageKind::Png));
    }

    #[test]
    fn a_default_cover_in_words_gives_way_to_the_cover_of_any_kind() {
        for kind in [ImageKind::Png, ImageKind::Jpeg] {
            let (_folder, store) = store();
            let copy = write_default_cover(&store, &in_words(), None, ImageKind::Jpeg);
            assert_eq!(copy, "So What_1.jpg");
            let before = fs::metadata(store.folder.join(&copy)).unwrap().ino();
            assert_eq!(write_default_cover(&store, &in_words(), Some(&copy), ImageKind::Png), copy);
            assert_eq!(fs::metadata(store.folder.join(&copy)).unwrap().ino(), before, "it is not written again");
            assert_eq!(
                write_default_cover(&store, &in_words(), None, ImageKind::Jpeg),
                copy,
                "left by a killed process"
            );
            assert_eq!(keep_in_words(&store, kind, Some(&copy)), format!("So What_1.{kind}"));
            assert_eq!(names_in(&store), [format!("So What_1.{kind}")]);
        }
    }

    #[test]
    fn a_default_cover_of_before_there_were_words_gives_way_too() {
        let (_folder, store) = store();
        let copy = write_default_cover(&store, &by_id(), None, ImageKind::Jpeg);
        assert_eq!(write_default_cover(&store, &in_words(), Some(&copy), ImageKind::Jpeg), copy);
        assert_eq!(keep_in_words(&store, ImageKind::Png, Some(&copy)), "So What_1.png");
        assert_eq!(names_in(&store), ["So What_1.png"]);
    }
}
