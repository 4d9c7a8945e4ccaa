//! A store in one directory of a file system.
//!
//! ```text
//! upload/0c/0c8r…-part1.txt    a file: its upload's id, then its name
//! upload/0c/0c8r….json         the manifest, linked last
//! upload/.wharf/lock           held by the one server on this directory, or by all that share it
//! upload/.wharf/store.json     the identity of the store, where it is shared
//! upload/.wharf/doubt.json     what a power cut may have damaged, until it is compared
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
//! - `layout`: the folders and names; `sync`, `session`: the syncs of a commit.
//! - `threads`, `open_file`, `closer`, `slow_path`: on which thread the file system is touched.
//! - `health`, `probe`: whether uploads can be stored; `survey`: what the file system promises.

mod closer;
mod filesystem;
mod health;
mod held_room;
mod identity;
mod inner;
mod key;
mod layout;
mod notes;
mod open_file;
mod options;
mod probe;
mod reading;
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
use bytes::Bytes;

use super::{
    Blob, HeldRoom, LocalStore, Note, Notes, Orphan, Records, Replaced, ScannedUpload, Staged,
    Store, StoreError, StoreId, Version, Ways, names,
};
use crate::model::{Doubt, FileName, Manifest, Prefix, Stored, Timestamp, Tombstone, UploadId};
use closer::Closer;
use filesystem::FileSystem;
use held_room::DiskRoom;
use inner::Inner;
use layout::Layout;
use reading::blob::{BlobRequest, DiskBlob};
use reading::fd_cache::FileCache;
use reading::span;
#[cfg(test)]
use session::Session;
use staging::DiskStaged;
use staging::limits::{Descriptors, Space};
use staging::placement::{self, Placement};
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
        self.blocking(move |inner| inner.replace(&manifest)).await
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
        self.blocking(|inner| inner.syncer.flush()).await
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

#[async_trait]
impl LocalStore for DiskStore {
    fn try_read_cached(&self, id: &UploadId, name: &FileName, size: u64) -> Option<Bytes> {
        self.0.local()?.try_read_cached(id, name, size)
    }

    async fn present(&self, ids: Vec<UploadId>) -> Result<Vec<bool>, StoreError> {
        let look = move |inner: &Inner| ids.iter().map(|id| inner.present(id)).collect();
        self.blocking(look).await
    }

    async fn hold_room(&self, id: &UploadId) -> Result<Option<Box<dyn HeldRoom>>, StoreError> {
        let (disk, id) = (self.0.clone(), *id);
        let held = self.blocking(move |inner| DiskRoom::hold(disk, inner, id));
        let held = held.await?;
        Ok(held.map(|room| -> Box<dyn HeldRoom> { Box::new(room) }))
    }

    async fn free_bytes(&self) -> Result<u64, StoreError> {
        self.blocking(|inner| inner.space.free()).await
    }

    fn ways(&self) -> Arc<Ways> {
        Arc::clone(&self.0.state().ways)
    }

    fn warning(&self) -> Option<&'static str> {
        self.0.is_bare().then_some(placement::BARE)
    }

    async fn doubt(&self) -> Result<Doubt, StoreError> {
        self.blocking(|inner| inner.doubt()).await
    }

    async fn keep_doubt(&self, doubt: &Doubt) -> Result<(), StoreError> {
        let doubt = doubt.clone();
        self.blocking(move |inner| inner.keep_doubt(&doubt)).await
    }
}

#[async_trait]
impl Notes for DiskStore {
    async fn add_note(&self, note: Note, id: &UploadId) -> Result<(), StoreError> {
        let id = *id;
        self.blocking(move |inner| inner.add_note(note, &id)).await
    }

    async fn notes(&self, note: Note) -> Result<Vec<(UploadId, Timestamp)>, StoreError> {
        self.blocking(move |inner| inner.notes(note)).await
    }

    async fn remove_note(&self, note: Note, id: &UploadId) -> Result<(), StoreError> {
        let id = *id;
        self.blocking(move |inner| inner.remove_note(note, &id))
            .await
    }
}

#[async_trait]
impl Records for DiskStore {
    async fn identity(&self) -> Result<Option<StoreId>, StoreError> {
        self.blocking(|inner| inner.identity()).await
    }

    async fn set_identity(&self, id: StoreId) -> Result<(), StoreError> {
        self.blocking(move |inner| inner.set_identity(id)).await
    }

    async fn total(&self) -> Result<Option<u64>, StoreError> {
        self.blocking(|inner| inner.total()).await
    }

    async fn keep_total(&self, bytes: u64) -> Result<(), StoreError> {
        self.blocking(move |inner| inner.keep_total(bytes)).await
    }
}
