//! Open files of a store, and on which thread they are closed. To close the last descriptor of a
//! file that has no name any more takes as long as giving its blocks back: some 50 ms a GiB on
//! ext4. And to close any file that lies on another machine may take as long as that likes.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio_util::task::TaskTracker;

use super::Inner;
use super::staging::descriptors::Permit;
use super::staging::writer::write_at;
use crate::store::StoreError;

/// A file of no more bytes than this is given back sooner than another thread is woken.
const LARGE: u64 = 1024 * 1024;
/// How many threads close the files of another machine.
const REMOTE_THREADS: usize = 4;

thread_local! {
    static MAY_WAIT: Cell<bool> = const { Cell::new(false) };
}

/// Does `work` on a thread that may wait for a file system: what is closed by it is closed there.
pub fn may_wait<T>(work: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            MAY_WAIT.set(self.0);
        }
    }
    let _restore = Restore(MAY_WAIT.replace(true));
    work()
}

type Job = Box<dyn FnOnce() + Send>;

/// Closes files, and ends other things that no task waits for, on threads of its own. They end
/// with it.
#[derive(Debug)]
pub struct Closer {
    jobs: Sender<Job>,
    under_way: TaskTracker,
    /// Whether every file may have to wait for another machine.
    remote: bool,
}

impl Closer {
    /// Starts it.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(remote: bool) -> io::Result<Arc<Self>> {
        let (jobs, received) = mpsc::channel::<Job>();
        let received = Arc::new(Mutex::new(received));
        for _ in 0..if remote { REMOTE_THREADS } else { 1 } {
            let received = Arc::clone(&received);
            let next = move || {
                // A panic cannot leave the channel half changed.
                let received = received.lock().unwrap_or_else(PoisonError::into_inner);
                received.recv()
            };
            let run = move || {
                while let Ok(job) = next() {
                    may_wait(job);
                }
            };
            let thread = thread::Builder::new().name("wharf-close".to_owned());
            thread.spawn(run)?;
        }
        Ok(Arc::new(Closer {
            jobs,
            under_way: TaskTracker::new(),
            remote,
        }))
    }

    /// Ends something on another thread, or here if this one may wait.
    pub fn later(&self, end: impl FnOnce() + Send + 'static) {
        if MAY_WAIT.get() {
            return end();
        }
        let under_way = self.under_way.token();
        let job = Box::new(move || {
            end();
            drop(under_way);
        });
        if let Err(refused) = self.jobs.send(job) {
            refused.0();
        }
    }

    /// Waits until all is ended that has been left to it.
    pub async fn idle(&self) {
        self.under_way.close();
        self.under_way.wait().await;
    }
}

/// An open file of the store. The last of its clones closes it, on a thread that can.
#[derive(Debug, Clone)]
pub struct OpenFile(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    /// `None` only while it is dropped.
    file: Option<File>,
    /// Bytes that it has, as far as that is known.
    size: AtomicU64,
    /// Its place among the files that may be open.
    permit: Option<Permit>,
    closer: Arc<Closer>,
}

impl OpenFile {
    /// One that has `size` bytes; `u64::MAX` when its size is not known.
    pub fn new(inner: &Inner, file: File, size: u64) -> Self {
        Self::with(&inner.closer, file, size, None)
    }

    /// A new one, which has its place among those that may be open.
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

    /// The same to be kept.
    pub fn reached(self, _: &Inner) -> Reached {
        Reached(self)
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

/// An open file in the hands of a thread that may touch the file system.
#[derive(Debug, Clone)]
pub struct Reached(OpenFile);

impl Deref for Reached {
    type Target = File;

    fn deref(&self) -> &File {
        self.0.file()
    }
}

impl AsFd for Reached {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.file().as_fd()
    }
}

#[cfg(test)]
impl From<File> for Reached {
    fn from(file: File) -> Self {
        let closer = Closer::start(false).unwrap();
        Reached(OpenFile::with(&closer, file, 0, None))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        // A remote one first: to ask it for the number of its names may take as long as closing.
        let elsewhere =
            self.closer.remote || self.size.load(Ordering::Relaxed) > LARGE && has_no_name(&file);
        if elsewhere {
            let permit = self.permit.take();
            self.closer.later(move || drop((file, permit)));
        }
    }
}

/// Whether the file ends with its last descriptor.
fn has_no_name(file: &File) -> bool {
    rustix::fs::fstat(file).map_or(true, |stat| stat.st_nlink == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a file of `size` bytes is closed on another thread than that which lets go of it.
    async fn closed_elsewhere(remote: bool, size: u64, named: bool) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let closer = Closer::start(remote).unwrap();
        // Those that close have something else to do: what is left to them stays open.
        let (go_on, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        for _ in 0..REMOTE_THREADS {
            let held = Arc::clone(&held);
            closer.later(move || {
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
        let elsewhere = is_open();
        drop(go_on);
        closer.idle().await;
        assert!(!is_open());
        elsewhere
    }

    #[tokio::test]
    async fn only_what_takes_long_is_closed_on_another_thread() {
        assert!(closed_elsewhere(false, LARGE + 1, false).await);
        assert!(!closed_elsewhere(false, LARGE + 1, true).await);
        assert!(!closed_elsewhere(false, LARGE, false).await);
        assert!(closed_elsewhere(true, 1, true).await);
        let closer = Closer::start(false).unwrap();
        let here = thread::current().id();
        let (said, on) = mpsc::channel();
        may_wait(|| closer.later(move || said.send(thread::current().id()).unwrap()));
        assert_eq!(
            on.recv().unwrap(),
            here,
            "a thread that may wait does it itself"
        );
    }
}
