//! A folder of images, used beside everything else: a folder that hangs holds up nothing but its own images.
//!
//! All of its work is done on a few threads, fewer than there are, so that the ledger always has one; and within a time.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::default_cover::DefaultCover;
use super::name::{ImageName, ImageNumber};
use super::store::{Draft, Store};
use super::structure::NotAnImage;
use crate::api::ImageSink;
use crate::domain::ImageFile;
use crate::files::FileError;

/// A folder of images and the threads that work in it.
#[derive(Debug, Clone)]
pub struct ImageFolder {
    store: Store,
    threads: Arc<Semaphore>,
    longest: Duration,
}

/// An image that is being written; gone if it is dropped.
#[derive(Debug)]
pub struct ImageDraft<W = Draft> {
    folder: ImageFolder,
    /// `None` once a write has failed.
    draft: Option<W>,
}

impl ImageFolder {
    /// The images in `store`; at most so many `threads` work in it at a time, on each piece of work for `longest` at most.
    #[must_use]
    pub fn new(store: Store, threads: usize, longest: Duration) -> Self {
        Self { store, threads: Arc::new(Semaphore::new(threads)), longest }
    }

    /// An empty file for an image that is not known to be one yet.
    ///
    /// # Errors
    /// [`FileError`] if the folder cannot be written to, or does not answer.
    pub async fn draft(&self) -> Result<ImageDraft, FileError> {
        let store = self.store.clone();
        let draft = self.run(move || store.draft()).await.unwrap_or_else(|late| Err(self.error(late)))?;
        Ok(ImageDraft { folder: self.clone(), draft: Some(draft) })
    }

    /// Puts a copy of the default cover where the first image would be, unless one is there; its name either way. `before`
    /// is the copy that is known already. Durable when this returns.
    ///
    /// # Errors
    /// [`FileError`]
    pub async fn write_default_cover(
        &self,
        name: ImageName,
        before: Option<String>,
        cover: &Arc<DefaultCover>,
    ) -> Result<String, FileError> {
        let (store, cover) = (self.store.clone(), Arc::clone(cover));
        let written = self.run(move || store.write_default_cover(&name, before.as_deref(), &cover)).await;
        written.unwrap_or_else(|late| Err(self.error(late)))
    }

    /// That images cannot be saved here because of `cause`, as when writing an [`ImageDraft`] fails.
    #[must_use]
    pub fn error(&self, cause: io::Error) -> FileError {
        self.store.error(cause)
    }

    /// Runs a piece of work on one of the threads. It goes on if nobody waits for it any more, and keeps its thread.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let threads = Arc::clone(&self.threads);
        let done = timeout(self.longest, async move {
            // It is never closed.
            let permit = threads.acquire_owned().await;
            let work = spawn_blocking(move || {
                let done = work();
                drop(permit);
                done
            });
            work.await.unwrap_or_else(|defect| std::panic::resume_unwind(defect.into_panic()))
        });
        done.await.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the folder does not answer"))
    }
}

impl ImageDraft {
    /// Puts the image into its place, where no other music task has one; the copy of the default cover that `stands_in` is
    /// gone then. Durable when this returns.
    ///
    /// # Errors
    /// [`FileError`] if the folder cannot be written to. [`NotAnImage`] inside: nothing has changed then.
    pub async fn keep(
        self,
        name: ImageName,
        number: ImageNumber,
        stands_in: Option<String>,
    ) -> Result<Result<ImageFile, NotAnImage>, FileError> {
        let folder = self.folder;
        let Some(draft) = self.draft else { return Err(folder.error(io::ErrorKind::BrokenPipe.into())) };
        let kept = folder.run(move || draft.keep(&name, number, stands_in.as_deref())).await;
        kept.unwrap_or_else(|late| Err(folder.error(late)))
    }
}

impl<W: Write + Send + 'static> ImageSink for ImageDraft<W> {
    async fn write(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        let mut draft = self.draft.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let written = self.folder.run(move || draft.write_all(&bytes).map(|()| draft)).await??;
        self.draft = Some(written);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::mpsc::channel;

    use tokio::runtime::Builder;

    use super::*;

    const THREADS: usize = 3;

    fn folder(longest: Duration) -> (tempfile::TempDir, ImageFolder) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, ImageFolder::new(store, THREADS - 1, longest))
    }

    #[test]
    fn a_folder_that_hangs_leaves_a_thread_to_the_ledger_and_is_given_up() {
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(THREADS).build().unwrap();
        runtime.block_on(async {
            let (_temporary, folder) = folder(Duration::from_millis(200));
            let (hangs, works): (Vec<_>, Vec<_>) = (0..=THREADS)
                .map(|_| {
                    let ((release, released), folder) = (channel::<()>(), folder.clone());
                    (release, tokio::spawn(async move { folder.run(move || released.recv().is_err()).await }))
                })
                .unzip();
            tokio::task::yield_now().await;
            let ledger = spawn_blocking(|| 7);
            assert_eq!(timeout(Duration::from_secs(10), ledger).await.expect("it waits").unwrap(), 7);
            for work in works {
                assert_eq!(work.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
            }
            drop(hangs);
        });
    }

    #[tokio::test]
    async fn a_write_that_hangs_does_not_keep_others_from_going_on() {
        let (_temporary, folder) = folder(Duration::from_secs(60));
        let (mut reader, writer) = io::pipe().unwrap();
        let mut draft = ImageDraft { folder, draft: Some(writer) };
        let write = tokio::spawn(async move { draft.write(vec![7; 1 << 20]).await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!write.is_finished(), "a pipe holds less than that");
        let drain = spawn_blocking(move || reader.read_exact(&mut vec![0; 1 << 20]));
        drain.await.unwrap().unwrap();
        write.await.unwrap().unwrap();
    }
}
