//! A store in one directory of a file system.
//!
//! ```text
//! upload/0c/0c8r…-part1.txt    a file: its upload's id, then its name
//! upload/0c/0c8r….json         the manifest, linked last
//! upload/.wharf/lock           held by the one server on this directory, or by all that share it
//! upload/.wharf/store.json     the identity of the store, where it is shared
//! upload/.wharf/doubt.json     what a power cut may have damaged, until it is compared
//! upload/.wharf/journal/       what is durable and not yet synced by itself, where one server has all
//! upload/.wharf/stage/         files under way that are not unnamed files
//! upload/.wharf/unindexed/     ids of uploads that the index was not told of, where it is shared
//! upload/.wharf/open/          ids of uploads that have been under way for long, likewise
//! ```
//!
//! Files are written without a name (`O_TMPFILE`, open(2)) into the folder they end in, and
//! linked at the commit; where a file system has no such files, they wait in the stage and are
//! moved (`staging::placement`). Every path is one component below a folder held open, and never a
//! symbolic link (`O_NOFOLLOW`): no name can lead elsewhere.
//!
//! - `staging`: an upload under way; `staging::file` is the life of one of its files,
//!   `staging::commit` the order of its steps.
//! - `reading`: blocks of a stored file, spans of it that the kernel sends, small files from the page
//!   cache.
//! - `key`, `removal`, `scan`, `notes`, `identity`: the other operations, on `inner`, the core.
//! - `journal`, `journaling`: small uploads and changes made durable by one write for many;
//!   `recovery`: what a power cut took of them, at the start.
//! - `layout`: the folders and names; `sync`, `session`: the syncs of a commit.
//! - `threads`, `open_file`, `closer`, `slow_path`: on which thread the file system is touched.
//! - `health`, `probe`: whether uploads can be stored; `survey`: what the file system promises.

mod closer;
mod filesystem;
mod health;
mod held_room;
mod identity;
mod inner;
mod journal;
mod journal_folder;
#[cfg(test)]
mod journal_tests;
mod journaling;
mod key;
mod layout;
mod local;
mod notes;
mod open_file;
mod options;
mod probe;
mod reading;
mod recovery;
mod removal;
mod rooms;
mod scan;
mod session;
mod slow_path;
mod staging;
mod state;
mod survey;
mod sync;
#[cfg(test)]
mod tests;
mod threads;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::{
    Blob, LocalStore, Orphan, Replaced, ScannedUpload, Staged, Store, StoreError, Version, Ways,
    follows, is_above, names,
};
use crate::model::{FileName, Manifest, Prefix, Stored, Timestamp, Tombstone, UploadId};
use closer::Closer;
use filesystem::FileSystem;
use inner::Inner;
use layout::Layout;
use reading::blob::{BlobRequest, DiskBlob};
use reading::fd_cache::FileCache;
use reading::span;
#[cfg(test)]
use session::Session;
use staging::DiskStaged;
use staging::limits::{Descriptors, Space};
use staging::placement::Placement;
use sync::Syncer;
use threads::Disk;

pub use options::{Durability, OpenError, Options};
pub use staging::placement::BARE;
pub use survey::{DiskSurvey, Holder, LONGEST_NAME, survey};

/// How many parts of an upload one blocking thread checks at a time.
const VERIFIED_AT_ONCE: usize = 256;

/// A store in a directory, which it holds locked.
#[derive(Debug, Clone)]
pub struct DiskStore(Disk);

impl DiskStore {
    /// Opens the directory, makes what is missing in it, and locks it. Files that an earlier process
    /// left in the stage are removed. Blocks.
    ///
    /// # Errors
    /// The directory is served by another process, or cannot be used.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let dir = &options.dir;
        let failed = |source: io::Error| OpenError::Io {
            dir: dir.clone(),
            source,
        };
        let layout = Layout::open(dir).map_err(failed)?;
        let lock = layout
            .lock(options.shared.is_some())
            .map_err(failed)?
            .ok_or_else(|| OpenError::Locked(dir.clone()))?;
        if options.shared.is_none() {
            layout.clear_stage().map_err(failed)?;
        }
        let root = layout.root().map_err(failed)?;
        let file_system = FileSystem::of(&root).map_err(|error| failed(error.into()))?;
        // FAT has no inodes: the fault that this guards against cannot happen.
        if !file_system.ordered && !file_system.fat {
            layout.make_all().map_err(failed)?;
        }
        let placement = Placement::probe(&layout, options.shared.is_none()).map_err(failed)?;
        let placement = placement.ok_or_else(|| OpenError::Unshareable(dir.clone()))?;
        let bare = placement.warn(dir, file_system.fat);
        let syncing = root.try_clone().map_err(failed)?;
        let syncer = Syncer::new(syncing, options.durability, file_system.ordered);
        let space = Space::new(root, options.min_free, file_system.remote);
        space.warn_if_too_small();
        // A file that another process may remove is not held open.
        let cached = match options.shared {
            Some(_) => 0,
            None if file_system.remote => 0,
            None => FileCache::capacity(options.descriptors),
        };
        let descriptors = Descriptors::new(options.descriptors - cached, placement.unnamed);
        let closer = Closer::start(file_system.remote).map_err(failed)?;
        let mut inner = Inner::new(dir, layout, syncer, space, descriptors, closer);
        let ways = Ways::new(options.sendfile);
        if !file_system.remote {
            span::probe(&lock, &ways);
        }
        inner.state.ways = Arc::new(ways);
        inner.stale_after = options.shared;
        inner.file_cache = FileCache::new(cached);
        inner.placement = placement;
        inner.bare = bare;
        inner._lock = Some(lock);
        probe::check_folders(&inner);
        Ok(DiskStore(Disk::new(inner, file_system.remote)))
    }

    /// Opens a directory to be inspected, beside a server that may serve it; no method that
    /// changes it may be called. Blocks.
    ///
    /// # Errors
    /// There is no such directory, or it cannot be read.
    pub fn inspect(dir: &Path) -> Result<Self, OpenError> {
        let failed = |source: io::Error| OpenError::Io {
            dir: dir.to_owned(),
            source,
        };
        std::fs::read_dir(dir.join(names::PRIVATE)).map_err(failed)?;
        let layout = Layout::open(dir).map_err(failed)?;
        let root = layout.root().map_err(failed)?;
        let syncing = root.try_clone().map_err(failed)?;
        let syncer = Syncer::new(syncing, Durability::Strict, true);
        let space = Space::new(root, 0, false);
        let descriptors = Descriptors::new(0, false);
        let closer = Closer::start(false).map_err(failed)?;
        let inner = Inner::new(dir, layout, syncer, space, descriptors, closer);
        Ok(DiskStore(Disk::new(inner, false)))
    }

    /// Looks whether there is a folder `dir`: one that is named by mistake is not to be made a store. A
    /// backup may lack the private folder.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn find(dir: &Path) -> Result<(), OpenError> {
        let failed = |source: io::Error| OpenError::Io {
            dir: dir.to_owned(),
            source,
        };
        std::fs::read_dir(dir).map(drop).map_err(failed)
    }

    /// Brings back what an earlier process has left in the journal. `older` says whether an older
    /// version of wharf, which knows no journal, has had the store since. To be called before anything
    /// else. Blocks.
    ///
    /// # Errors
    /// The journal cannot be read, or the store not be written.
    pub fn recover(&self, older: impl FnOnce() -> bool) -> Result<(), StoreError> {
        self.0.direct().recover(older)
    }

    /// Makes a journal of `size` bytes ready in the background; without a size the one that is there is
    /// removed. It has no records: [`recover`](Self::recover) was called before. Blocks.
    ///
    /// # Errors
    /// The journal cannot be removed.
    pub fn start_journal(&self, size: Option<u64>) -> Result<(), StoreError> {
        let inner = self.0.direct();
        let Some(size) = size else {
            return inner.remove_journal();
        };
        inner.start_journal(size);
        Ok(())
    }

    /// Is cancelled when a thread of the journal has ended that should not have: nothing more can be
    /// stored until a restart.
    pub fn journal_died(&self) -> CancellationToken {
        self.0.direct().journal_died.clone()
    }

    /// The folder for files of the server that are no uploads.
    pub fn private_dir(dir: &Path) -> PathBuf {
        dir.join(names::PRIVATE)
    }

    /// Makes the next commit panic at a step.
    #[cfg(test)]
    pub(crate) fn panic_at(&self, step: &'static str) {
        *self.0.inner().panic_at.lock().unwrap() = Some(step);
    }

    /// Has small commits wait for their syncs as tasks, as where several run at once, until the
    /// answer is dropped.
    #[cfg(test)]
    pub(crate) fn crowd(&self) -> impl Sized + use<> {
        let syncer = &self.0.inner().syncer;
        [Session::begin(syncer, 1), Session::begin(syncer, 1)]
    }

    /// Runs `work` on a blocking thread, if the file system answers.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.0.require_answering()?;
        self.0.run_blocking(move |inner| work(inner)).await
    }
}

#[async_trait]
impl Store for DiskStore {
    async fn stage(&self, id: UploadId) -> Result<Box<dyn Staged>, StoreError> {
        self.0.require_answering()?;
        let works = self.0.journal_works();
        works.map_err(StoreError::Unwritable)?;
        self.0.run_quick(|inner| inner.space.check()).await?;
        Ok(Box::new(DiskStaged::new(self.0.clone(), id)))
    }

    async fn read(&self, id: &UploadId) -> Result<Option<Stored>, StoreError> {
        let id = *id;
        self.blocking(move |inner| inner.read(&id)).await
    }

    async fn version(&self, id: &UploadId) -> Result<Option<Version>, StoreError> {
        let id = *id;
        self.blocking(move |inner| inner.version(&id)).await
    }

    async fn replace(&self, manifest: &Manifest) -> Result<Replaced, StoreError> {
        let manifest = manifest.clone();
        self.blocking(move |inner| inner.replace(&manifest, follows))
            .await
    }

    async fn advance(&self, manifest: &Manifest) -> Result<Replaced, StoreError> {
        let manifest = manifest.clone();
        self.blocking(move |inner| inner.replace(&manifest, is_above))
            .await
    }

    async fn remove(&self, tombstone: &Tombstone) -> Result<Replaced, StoreError> {
        let tombstone = tombstone.clone();
        self.blocking(move |inner| inner.remove(&tombstone)).await
    }

    async fn remove_damaged(
        &self,
        id: &UploadId,
        gone_at: Timestamp,
    ) -> Result<Replaced, StoreError> {
        let id = *id;
        self.blocking(move |inner| inner.remove_damaged(id, gone_at))
            .await
    }

    async fn remove_files(&self, tombstone: &Tombstone) -> Result<u64, StoreError> {
        let tombstone = tombstone.clone();
        self.blocking(move |inner| inner.remove_files(&tombstone))
            .await
    }

    async fn remove_tombstone(&self, tombstone: &Tombstone) -> Result<(), StoreError> {
        let tombstone = tombstone.clone();
        self.blocking(move |inner| inner.remove_tombstone(&tombstone))
            .await
    }

    async fn open(
        &self,
        id: &UploadId,
        name: &FileName,
        size: u64,
        range: Range<u64>,
    ) -> Result<Box<dyn Blob>, StoreError> {
        let request = BlobRequest {
            id: *id,
            name: name.clone(),
            size,
            range,
        };
        let range = request.range.clone();
        let local = self.0.local();
        let cached = local.and_then(|inner| inner.open_cached(&request));
        let file = match cached {
            Some(file) => file?,
            // Not refused where the file system does not answer: it may be the next file of a form
            // under way.
            None => {
                self.0
                    .run_blocking(move |inner| inner.open(&request))
                    .await?
            }
        };
        Ok(Box::new(DiskBlob::new(&self.0, file, range)))
    }

    async fn verify(
        &self,
        manifest: &Arc<Manifest>,
        parts: Range<usize>,
    ) -> Result<(), StoreError> {
        let mut left = parts;
        while !left.is_empty() {
            let some = left.start..left.end.min(left.start + VERIFIED_AT_ONCE);
            left.start = some.end;
            let manifest = Arc::clone(manifest);
            self.blocking(move |inner| inner.verify(&manifest, some))
                .await?;
        }
        Ok(())
    }

    async fn scan(&self, prefix: Prefix) -> Result<Vec<ScannedUpload>, StoreError> {
        self.blocking(move |inner| inner.scan(prefix)).await
    }

    async fn orphans(&self, prefix: Prefix, before: Timestamp) -> Result<Vec<Orphan>, StoreError> {
        self.blocking(move |inner| inner.orphans(prefix, before))
            .await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.0.require_answering()?;
        self.0.closer().idle().await;
        self.blocking(|inner| {
            inner.close_journal()?;
            inner.syncer.flush()
        })
        .await
    }

    fn ready(&self) -> Result<(), String> {
        self.0.healthy()?;
        if let Some(trouble) = self.0.trouble() {
            return Err(trouble);
        }
        self.0.ready()
    }

    fn answers(&self) -> Result<(), StoreError> {
        self.0.require_answering()
    }

    fn local(&self) -> Option<&dyn LocalStore> {
        Some(self)
    }
}
