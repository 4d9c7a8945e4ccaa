//! Bytes and manifests: where uploads are kept.
//!
//! ```text
//! Store ─ stage() ──► Staged ─ file() ──► FileSink     bytes in; Staged::commit makes them an
//! upload
//!       ─ open() ───► Blob                             bytes out
//!       ─ read, replace, remove, scan, …               manifests and tombstones
//!   ├─ Notes      marks beside uploads, for the other processes on the store
//!   ├─ Records    what the store says of itself: its id, its total
//!   ├─ local()    ► LocalStore   what only a store in a directory can do
//!   └─ presigner() ► Presign     what only a store with an address of its own can do
//! ```
//!
//! [`Store`] is what every backend has. [`Notes`] and [`Records`] belong to it, and stand apart
//! because other callers need them. A method that one backend alone can have is a capability: an
//! accessor of [`Store`] answers `None` where there is none, and a backend implements no method it
//! has no use for. [`DiskStore`] keeps uploads in a directory, [`BucketStore`] in a bucket; both
//! pass the same conformance suite.

#[cfg(test)]
pub(crate) mod conformance;
pub mod disk;
mod error;
mod fingerprint;
mod identity;
mod local;
mod names;
mod notes;
pub mod object;
mod presign;
mod records;
mod small;
mod streams;
mod ways;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;

use crate::model::{FileName, Manifest, Prefix, Stored, Timestamp, Tombstone, UploadId};

pub use disk::DiskStore;
pub use error::StoreError;
pub use fingerprint::Fingerprint;
pub use identity::StoreId;
pub use local::{HeldRoom, JournalFigures, LocalStore};
pub use notes::{Note, Notes};
pub use object::BucketStore;
pub use presign::{Presign, PresignRequest};
pub use records::Records;
use small::{SmallContent, new_manifest, to_json};
pub use streams::{Blob, FileSink, FileSpan, FileSummary, MAX_SPAN, Sent, Staged};
pub use ways::{Sendfile, Way, Ways};

/// A place where uploads are kept, each as files and one manifest.
///
/// An upload exists from the moment its manifest does, and from then on it is whole.
#[async_trait]
pub trait Store: Notes + Records + Send + Sync + 'static {
    /// Begins an upload. Nothing of it can be seen before [`Staged::commit`].
    ///
    /// # Errors
    /// [`StoreError::NoSpace`] when there is less room than is to be kept free.
    async fn stage(&self, id: UploadId) -> Result<Box<dyn Staged>, StoreError>;

    /// The manifest or the tombstone of an upload, whichever stands at its key. `None` when there is
    /// nothing.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it cannot be understood.
    async fn read(&self, id: &UploadId) -> Result<Option<Stored>, StoreError>;

    /// The manifest of an upload; `None` when there is no such upload.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when there is one that cannot be understood.
    async fn manifest(&self, id: &UploadId) -> Result<Option<Manifest>, StoreError> {
        Ok(self.read(id).await?.and_then(Stored::live))
    }

    /// Which version of its key an upload has now: it differs from every earlier one. `None`
    /// when there is nothing, or the store cannot tell yet.
    async fn version(&self, id: &UploadId) -> Result<Option<Version>, StoreError>;

    /// Replaces the manifest by its next version: only if the stored one has the generation just
    /// before. Durable as a commit is.
    async fn replace(&self, manifest: &Manifest) -> Result<Replaced, StoreError>;

    /// Replaces the manifest by a later version of it, written by another store: only if the stored
    /// one has a lower generation. Durable as a commit is.
    async fn advance(&self, manifest: &Manifest) -> Result<Replaced, StoreError>;

    /// Removes an upload: puts `tombstone` where the manifest of the generation just before it
    /// stands, or, if its generation is 1, where nothing stands; then removes its files. Durable
    /// as a commit is. A store that no other process has removes the manifest and keeps no
    /// tombstone.
    ///
    /// # Errors
    /// Nothing was removed. A file that cannot be removed is logged, and found by
    /// [`remove_files`](Self::remove_files).
    async fn remove(&self, tombstone: &Tombstone) -> Result<Replaced, StoreError>;

    /// Removes an upload whose key cannot be understood: as [`remove`](Self::remove) does, with
    /// all files under its id. [`Replaced::Changed`] when it can be understood.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a newer version wrote it, which understands it: nothing was
    /// removed.
    async fn remove_damaged(
        &self,
        id: &UploadId,
        gone_at: Timestamp,
    ) -> Result<Replaced, StoreError>;

    /// Removes the files of an upload whose tombstone stands; answers how many there still were.
    async fn remove_files(&self, tombstone: &Tombstone) -> Result<u64, StoreError>;

    /// Removes a tombstone that no process needs any more.
    async fn remove_tombstone(&self, tombstone: &Tombstone) -> Result<(), StoreError>;

    /// Opens `range` of a file whose manifest says it has `size` bytes.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is missing or has another size.
    async fn open(
        &self,
        id: &UploadId,
        name: &FileName,
        size: u64,
        range: Range<u64>,
    ) -> Result<Box<dyn Blob>, StoreError>;

    /// Checks that the files among these parts of an upload are there, each with its size.
    /// Nothing of it is done on the caller's thread, and of a disk only some hundred at a time.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names the first that is not.
    async fn verify(&self, manifest: &Arc<Manifest>, parts: Range<usize>)
    -> Result<(), StoreError>;

    /// The uploads in one folder of the store, those included that are gone.
    async fn scan(&self, prefix: Prefix) -> Result<Vec<ScannedUpload>, StoreError>;

    /// The files in one folder that belong to no upload, neither stored nor under way in this
    /// process, and were last touched before `before`. Files that wharf did not write are not
    /// among them.
    async fn orphans(&self, prefix: Prefix, before: Timestamp) -> Result<Vec<Orphan>, StoreError>;

    /// Whether it can store: `Err` says why not, for the operator. A store that another machine
    /// has does not know before it is asked: the repository asks it all the time, and says when it
    /// does not answer.
    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    /// Whether an operation may begin: where a store is known not to answer, no caller waits for
    /// it. One that is under way goes on waiting for it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it is known not to answer.
    fn answers(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Ends the clean-up after discarded uploads, and syncs the changes whose answers have not
    /// waited for it; called once, at the end.
    ///
    /// # Errors
    /// Some of it may not be durable.
    async fn close(&self) -> Result<(), StoreError>;

    /// Its files, where this machine's kernel has them; `None` where another machine does.
    fn local(&self) -> Option<&dyn LocalStore> {
        None
    }

    /// Where clients can fetch files from the store itself; `None` where they cannot.
    fn presigner(&self) -> Option<&dyn Presign> {
        None
    }

    /// Whether each call asks another machine, and pays for it: a reader of several files opens
    /// the next one while it reads the one before, and a transfer that broke and goes on does not
    /// [`verify`](Self::verify) all files once more.
    fn is_remote(&self) -> bool {
        self.local().is_none()
    }
}

/// A version of the key of an upload, to be compared with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(String);

/// An upload whose key [`Store::scan`] has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScannedUpload {
    /// The upload.
    pub id: UploadId,
    /// Whether any file of it lies beside its key.
    pub files: bool,
    /// The key and the files as the listing has them, where a listing has sizes and versions: a
    /// disk has to be asked for each file, and a closer look costs little there.
    pub fingerprint: Option<Fingerprint>,
}

/// Files of an upload that was never committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The upload.
    pub id: UploadId,
    /// Its files, as far as they have their names already.
    pub files: Vec<FileName>,
}

/// Whether a manifest is the version next to the stored one: see [`Store::replace`].
fn follows(manifest: &Manifest, stored: &Manifest) -> bool {
    manifest.generation == stored.generation + 1
}

/// Whether a manifest is a later version than the stored one: see [`Store::advance`].
fn is_above(manifest: &Manifest, stored: &Manifest) -> bool {
    manifest.generation > stored.generation
}

/// The outcome of a [`Store::replace`] or a [`Store::remove`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// The new version is stored.
    Done,
    /// Another version was stored in between, and stays.
    Changed,
    /// There is no such upload any more.
    Gone,
}
