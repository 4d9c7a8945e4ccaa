//! The index over the manifests: names, order, deadlines, and the uses of limited downloads.
//!
//! The manifest in the store is the truth; a catalog may lag behind it and can be rebuilt from
//! it. So no answer waits for a catalog's own sync.

#[cfg(test)]
mod conformance;
mod embedded;

use std::time::Duration;

use async_trait::async_trait;

use crate::model::{FileName, Manifest, Prefix, Timestamp, UploadId};

pub use embedded::{EmbeddedCatalog, OpenError};

/// What a catalog knows of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The upload.
    pub id: UploadId,
    /// The generation of the manifest that was recorded.
    pub generation: u64,
    /// When it was committed.
    pub created_at: Timestamp,
    /// Its deadline, if it has one.
    pub expires_at: Option<Timestamp>,
    /// Bytes of its files together.
    pub size: u64,
}

/// A place in the listing: behind the upload of this time and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// When the last upload of the page before was committed.
    pub created_at: Timestamp,
    /// Its id.
    pub id: UploadId,
}

/// What the catalog holds, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Uploads, expired ones that were not yet removed included.
    pub uploads: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

/// The answer to a download that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// A use is held under this number, until it is kept or given back.
    Held(u64),
    /// All uses left are held by downloads under way.
    Busy,
    /// All uses are spent.
    Spent,
}

/// A catalog that cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// It is being compared with the store: what it does not know may exist all the same.
    #[error("the index is being rebuilt")]
    Rebuilding,
    /// It failed.
    #[error("the index failed: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An index over manifests, shared by all that serve the same store.
#[async_trait]
pub trait Catalog: Send + Sync + 'static {
    /// Records what `manifest` says, unless a higher generation is recorded already: then it
    /// answers `false` and changes nothing. Seen by every call after it.
    async fn record(&self, manifest: &Manifest) -> Result<bool, CatalogError>;

    /// Removes what is recorded of `id`; an unknown id is a success.
    async fn forget(&self, id: &UploadId) -> Result<(), CatalogError>;

    /// What is recorded of `id`.
    async fn find(&self, id: &UploadId) -> Result<Option<Entry>, CatalogError>;

    /// The upload with a file of that name that was committed last (by milliseconds, then id)
    /// and is not over at `now`.
    ///
    /// # Errors
    /// [`CatalogError::Rebuilding`] while a newer one could be unknown.
    async fn newest(
        &self,
        name: &FileName,
        now: Timestamp,
    ) -> Result<Option<UploadId>, CatalogError>;

    /// Up to `limit` uploads not over at `now`, newest first, behind `after`.
    ///
    /// # Errors
    /// [`CatalogError::Rebuilding`] while some could be unknown.
    async fn list(
        &self,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Entry>, CatalogError>;

    /// Up to `limit` uploads to be looked at by `now`, the longest overdue first: those whose
    /// deadline has come, and those whose downloads are spent.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<UploadId>, CatalogError>;

    /// When the next upload is due, however far away.
    async fn next_due(&self) -> Result<Option<Timestamp>, CatalogError>;

    /// Has `id`, whose removal failed, not come due again before `until`. A later
    /// [`record`](Self::record) sets its deadline anew.
    async fn postpone(&self, id: &UploadId, until: Timestamp) -> Result<(), CatalogError>;

    /// Returns when [`next_due`](Self::next_due) may have become earlier.
    async fn earlier(&self);

    /// Takes one use of a limited upload. A use that is neither kept nor given back comes back
    /// after `hold`, or when the process that holds it has ended.
    async fn reserve(&self, manifest: &Manifest, hold: Duration) -> Result<Reserved, CatalogError>;

    /// Turns the use held under `hold` into a spent one, which the manifest has recorded:
    /// `used` is its count now.
    async fn keep(&self, id: &UploadId, hold: u64, used: u64) -> Result<(), CatalogError>;

    /// Gives the use held under `hold` back.
    async fn give_back(&self, id: &UploadId, hold: u64) -> Result<(), CatalogError>;

    /// What it holds.
    async fn stats(&self) -> Result<Stats, CatalogError>;

    /// All that is recorded with this prefix, for a comparison with the store.
    async fn with_prefix(&self, prefix: Prefix) -> Result<Vec<Entry>, CatalogError>;

    /// Whether it works: `Err` says why not, for the operator.
    fn ready(&self) -> Result<(), String>;

    /// Whether it was compared with the store since it could last have missed something.
    fn is_complete(&self) -> bool;

    /// Marks it as compared.
    async fn complete(&self) -> Result<(), CatalogError>;

    /// Marks what it holds as durable and clean; called once, at the end.
    async fn close(&self) -> Result<(), CatalogError>;
}
