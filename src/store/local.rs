//! The capabilities of a store in a directory.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{StoreError, Ways};
use crate::model::{Doubt, FileName, UploadId};

/// The most bytes of a file that [`LocalStore::try_read_cached`] reads.
pub(super) const MAX_CACHED_READ: u64 = 64 * 1024;

/// Room for the next version of a manifest: see [`LocalStore::hold_room`].
pub trait HeldRoom: std::fmt::Debug + Send + Sync {}

/// Counts of the journal of a store since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalFigures {
    /// Records written.
    pub records: u64,
    /// Syncs that made them durable.
    pub batches: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Records that found no room.
    pub refused: u64,
    /// Bytes of records that the next start would read, about.
    pub unpassed: u64,
}

/// A [`Store`](super::Store) whose files this machine's kernel has: reads can be tried without
/// waiting, many uploads can be looked at for little, and a power cut can damage uploads whose
/// sync no answer has waited for.
#[async_trait]
pub trait LocalStore: Send + Sync {
    /// The content of a file of no more than 64 KiB whose manifest says it has `size` bytes, if the
    /// page cache holds it. `None` says nothing of the file: [`open`](super::Store::open) does.
    fn try_read_cached(&self, id: &UploadId, name: &FileName, size: u64) -> Option<Bytes>;

    /// Which of these uploads have something at their key. Nothing of it is done on the caller's
    /// thread.
    async fn present(&self, ids: Vec<UploadId>) -> Result<Vec<bool>, StoreError>;

    /// Keeps room for the next version of a manifest, until the answer is dropped: a
    /// [`replace`](super::Store::replace) of the upload takes it where nothing else is left. `None`
    /// where there is no such upload.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`] when there is none.
    async fn hold_room(&self, id: &UploadId) -> Result<Option<Box<dyn HeldRoom>>, StoreError>;

    /// Bytes of the file system that can still be written.
    async fn free_bytes(&self) -> Result<u64, StoreError>;

    /// The ways of its files to their readers.
    fn ways(&self) -> Arc<Ways>;

    /// The promise that the file system cannot keep, for the operator; `None` where it keeps all.
    fn warning(&self) -> Option<&'static str>;

    /// The uploads in doubt, as they were [kept](Self::keep_doubt).
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the record cannot be understood.
    async fn doubt(&self) -> Result<Doubt, StoreError>;

    /// The counts of its journal, where it has one.
    fn journal(&self) -> Option<JournalFigures>;

    /// How many uploads only the journal has, which the start of a server brings back.
    ///
    /// # Errors
    /// The journal cannot be read.
    async fn unreplayed(&self) -> Result<usize, StoreError>;

    /// Keeps which uploads are in doubt, durably.
    async fn keep_doubt(&self, doubt: &Doubt) -> Result<(), StoreError>;
}
