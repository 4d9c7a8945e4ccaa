//! Whether all of the index is in memory, so that a read waits for no disk.
//!
//! A thread serves many connections, and must not wait for a disk. To leave it for each read would
//! cost two changes of threads for every small upload, and for every download by a name that was
//! not asked for lately. So a read stays on the thread as long as redb has every page of the file
//! in its cache, and leaves the thread from then on.
//!
//! redb keeps each page that it has read or written until its cache is full; a page can be counted
//! twice for a time, once as read and once as written. A file that was read to its end once, and
//! is at most half as large as the cache, is therefore never read again. Such a file holds some
//! 50,000 uploads of one file each.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::open::CACHE;

/// The largest file that surely stays in the cache, in bytes.
const MAX_SIZE: u64 = CACHE as u64 / 2;

/// The state of the file and the cache.
pub struct InMemory {
    path: PathBuf,
    /// Whether every page was read once.
    walked: AtomicBool,
    /// Whether the file was too large at some time: pages of it may have left the cache then.
    outgrown: AtomicBool,
}

impl InMemory {
    /// The file at `path`, of which no page was read yet.
    pub fn new(path: PathBuf) -> Self {
        InMemory {
            path,
            walked: AtomicBool::new(false),
            outgrown: AtomicBool::new(false),
        }
    }

    /// Whether no read needs the disk.
    pub fn is_all(&self) -> bool {
        self.walked.load(Ordering::Acquire) && !self.outgrown.load(Ordering::Acquire)
    }

    /// Notes that every page was read. Blocks.
    pub fn walked(&self) {
        self.measure();
        self.walked.store(true, Ordering::Release);
    }

    /// Asks how large the file is by now: to be called when it was written. Blocks.
    pub fn measure(&self) {
        let size = std::fs::metadata(&self.path).map_or(u64::MAX, |file| file.len());
        if size > MAX_SIZE {
            self.outgrow();
        }
    }

    /// Has every read leave its thread from now on.
    pub fn outgrow(&self) {
        self.outgrown.store(true, Ordering::Release);
    }
}
