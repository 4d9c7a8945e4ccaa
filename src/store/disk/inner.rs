//! The core that all uploads of a store share: its directory, its limits, its state in memory.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::closer::Closer;
use super::journal::Journal;
use super::layout::Layout;
use super::reading::fd_cache::FileCache;
use super::rooms::HeldRooms;
use super::staging::limits::{Descriptors, Space};
use super::staging::placement::Placement;
use super::state::State;
use super::sync::Syncer;
use crate::model::UploadId;

/// The store, for a thread that may touch its file system: each call of the file system needs
/// this, and a task gets it from a [`Disk`](super::threads::Disk) alone. The operations on what is
/// stored are methods of it, in the files `key`, `removal`, `scan`, `notes`, `identity` and
/// `reading::blob`.
#[derive(Debug)]
pub struct Inner {
    /// The path of the directory.
    pub dir: PathBuf,
    pub layout: Layout,
    pub syncer: Arc<Syncer>,
    pub space: Space,
    pub descriptors: Descriptors,
    pub file_cache: FileCache,
    pub closer: Arc<Closer>,
    pub state: State,
    /// Guards the ids of uploads being committed, whose files may have no manifest yet. A std
    /// mutex: held for an insertion, over no await.
    committing: Mutex<HashSet<UploadId>>,
    /// The step at which the next commit is to panic.
    #[cfg(test)]
    pub panic_at: Mutex<Option<&'static str>>,
    /// How long uploads may wait for their commit, where other processes have the directory too.
    pub stale_after: Option<Duration>,
    pub placement: Placement,
    pub rooms: HeldRooms,
    /// The journal, once it is ready.
    pub journal: OnceLock<Arc<Journal>>,
    /// Cancelled when a thread of the journal has ended that should not have.
    pub journal_died: CancellationToken,
    /// Whether the file system is FAT, or no better: see [`BARE`](super::staging::placement::BARE).
    pub bare: bool,
    /// Keeps the lock of the directory; a store that is only inspected has none.
    pub _lock: Option<File>,
}

impl Inner {
    /// A store that this process has for itself, that holds no files open and no lock.
    pub fn new(
        dir: &Path,
        layout: Layout,
        syncer: Syncer,
        space: Space,
        descriptors: Descriptors,
        closer: Arc<Closer>,
    ) -> Self {
        Inner {
            dir: dir.to_owned(),
            layout,
            syncer: Arc::new(syncer),
            space,
            descriptors,
            file_cache: FileCache::new(0),
            closer,
            state: State::new(),
            committing: Mutex::default(),
            #[cfg(test)]
            panic_at: Mutex::default(),
            stale_after: None,
            placement: Placement::default(),
            rooms: HeldRooms::default(),
            journal: OnceLock::new(),
            journal_died: CancellationToken::new(),
            bare: false,
            _lock: None,
        }
    }

    /// Whether other processes have the directory too.
    pub fn is_shared(&self) -> bool {
        self.stale_after.is_some()
    }

    /// Whether an upload is being committed.
    pub fn is_committing(&self, id: &UploadId) -> bool {
        self.committing().contains(id)
    }

    fn committing(&self) -> MutexGuard<'_, HashSet<UploadId>> {
        // A panic cannot leave the set half changed.
        self.committing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks a step of a commit, where a test may have it panic.
    pub fn reach(&self, _step: &'static str) {
        #[cfg(test)]
        {
            let mut at = self.panic_at.lock().unwrap();
            if *at == Some(_step) {
                *at = None;
                drop(at);
                panic!("a test has the commit panic when it has {_step}");
            }
        }
    }
}

/// Marks an upload as being committed, while this lives: its files have no manifest yet, and are
/// no orphans.
pub struct Committing {
    inner: Arc<Inner>,
    id: UploadId,
}

impl Committing {
    pub fn new(inner: &Arc<Inner>, id: UploadId) -> Self {
        inner.committing().insert(id);
        Committing {
            inner: Arc::clone(inner),
            id,
        }
    }
}

impl Drop for Committing {
    fn drop(&mut self) {
        self.inner.committing().remove(&self.id);
    }
}
