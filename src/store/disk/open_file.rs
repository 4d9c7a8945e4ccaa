//! Open files of a store: which thread may touch one, and which closes it.

use std::fs::File;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::closer::Closer;
use super::inner::Inner;
use super::staging::limits::Permit;
use crate::store::StoreError;

/// A file of no more bytes than this is closed sooner than another thread is woken.
const CLOSED_INLINE: u64 = 1024 * 1024;

/// An open file of the store, as tasks hold it: to touch the file, they need the [`Inner`] that a
/// thread has. The last of its clones closes it, on a thread that may block.
#[derive(Debug, Clone)]
pub struct OpenFile(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    /// `None` only while it is dropped.
    file: Option<File>,
    /// Bytes that it has; `u64::MAX` when that is not known.
    size: AtomicU64,
    /// Its place among the unnamed files that may be open.
    permit: Option<Permit>,
    closer: Arc<Closer>,
}

impl OpenFile {
    /// A file that has `size` bytes; `u64::MAX` when its size is not known.
    pub fn new(inner: &Inner, file: File, size: u64) -> Self {
        Self::with(&inner.closer, file, size, None)
    }

    /// A new file, which has its place among the unnamed files that may be open.
    pub fn counted(inner: &Inner, file: File, permit: Permit) -> Self {
        Self::with(&inner.closer, file, 0, Some(permit))
    }

    fn with(closer: &Arc<Closer>, file: File, size: u64, permit: Option<Permit>) -> Self {
        OpenFile(Arc::new(Handle {
            file: Some(file),
            size: AtomicU64::new(size),
            permit,
            closer: Arc::clone(closer),
        }))
    }

    /// The file, for a thread that may touch the file system.
    pub fn get(&self, _: &Inner) -> &File {
        self.file()
    }

    /// The same, for such a thread to keep.
    pub fn into_direct(self, _: &Inner) -> DirectFile {
        DirectFile(self)
    }

    /// Writes all of `data` at `offset`. Blocks.
    pub fn write_at(&self, inner: &Inner, data: &[u8], offset: u64) -> Result<(), StoreError> {
        let end = offset.saturating_add(data.len() as u64);
        self.0.size.fetch_max(end, Ordering::Relaxed);
        write_at(self.get(inner), data, offset)
    }

    fn file(&self) -> &File {
        let file = self.0.file.as_ref();
        file.expect("a file is taken from its handle only when that is dropped")
    }
}

/// An open file that its holder, a thread that may touch the file system, touches directly.
#[derive(Debug, Clone)]
pub struct DirectFile(OpenFile);

impl Deref for DirectFile {
    type Target = File;

    fn deref(&self) -> &File {
        self.0.file()
    }
}

impl AsFd for DirectFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.file().as_fd()
    }
}

#[cfg(test)]
impl From<File> for DirectFile {
    fn from(file: File) -> Self {
        let closer = Closer::start(false).unwrap();
        DirectFile(OpenFile::with(&closer, file, 0, None))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        // A remote file first: to ask for the number of its names may take as long as closing it.
        let slow = self.closer.remote
            || self.size.load(Ordering::Relaxed) > CLOSED_INLINE && has_no_name(&file);
        if slow {
            let permit = self.permit.take();
            self.closer.run(move || drop((file, permit)));
        }
    }
}

/// Writes all of `data` at `offset`. Blocks.
pub fn write_at(file: &File, data: &[u8], offset: u64) -> Result<(), StoreError> {
    file.write_all_at(data, offset)
        .map_err(|error| StoreError::change("writing an upload", error))
}

/// Whether the file is removed with its last descriptor.
fn has_no_name(file: &File) -> bool {
    rustix::fs::fstat(file).map_or(true, |stat| stat.st_nlink == 0)
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::super::closer::REMOTE_THREADS;
    use super::*;

    /// Whether a file of `size` bytes is closed on another thread than the one that drops it.
    async fn closed_by_closer(remote: bool, size: u64, named: bool) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let closer = Closer::start(remote).unwrap();
        // Its threads have something else to do: the files that they are to close stay open.
        let (go_on, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        for _ in 0..REMOTE_THREADS {
            let held = Arc::clone(&held);
            closer.run(move || {
                let _ = held.lock().unwrap().recv();
            });
        }
        let path = dir.path().join("a");
        let file = File::create(&path).unwrap();
        file.set_len(size).unwrap();
        if !named {
            std::fs::remove_file(&path).unwrap();
        }
        let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        let is_open = || std::fs::read_link(&link).is_ok_and(|to| to.starts_with(dir.path()));
        let open = OpenFile::with(&closer, file, size, None);
        drop(open.clone());
        assert!(is_open(), "another has it still");
        drop(open);
        let by_closer = is_open();
        drop(go_on);
        closer.idle().await;
        assert!(!is_open());
        by_closer
    }

    #[tokio::test]
    async fn only_a_file_that_takes_long_is_closed_on_another_thread() {
        assert!(closed_by_closer(false, CLOSED_INLINE + 1, false).await);
        assert!(!closed_by_closer(false, CLOSED_INLINE + 1, true).await);
        assert!(!closed_by_closer(false, CLOSED_INLINE, false).await);
        assert!(closed_by_closer(true, 1, true).await);
    }
}
