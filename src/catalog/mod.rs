//! The index over the manifests: names, order, deadlines, and the uses of limited downloads.
//!
//! The manifest in the store is the truth; a catalog may lag behind it and can be rebuilt from
//! it. So no answer waits for a catalog's own sync.

mod capacity;
#[cfg(test)]
mod capacity_conformance;
#[cfg(test)]
mod conformance;
mod embedded;
mod orders;
mod record;
mod redis;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::model::{FileName, Manifest, Prefix, Timestamp, UploadId};

pub use capacity::{Ask, Capacity};
pub use embedded::{EmbeddedCatalog, OpenError};
pub use redis::RedisCatalog;

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
    /// How many files it has.
    pub file_count: usize,
    /// The name of its file, where there is exactly one.
    pub name: Option<FileName>,
    /// How often it may be downloaded, if that is limited. `None` where the index was written
    /// before it knew: the manifest says.
    pub downloads: Option<Option<Downloads>>,
}

/// The downloads of a limited upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Downloads {
    /// How many are allowed.
    pub max: u64,
    /// How many of them are left.
    pub left: u64,
}

impl Downloads {
    /// Those of an upload, if they are limited.
    pub fn of(manifest: &Manifest) -> Option<Self> {
        let max = manifest.max_downloads?;
        let left = max.saturating_sub(manifest.used);
        Some(Downloads { max, left })
    }
}

/// A stretch of the listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stretch {
    /// Its uploads, newest first.
    pub entries: Vec<Entry>,
    /// Where the next stretch begins; `None` at the end of the listing.
    pub next: Option<Cursor>,
}

/// A place in the listing: behind the upload of this time and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Bytes that they take of the store: see [`Manifest::room`].
    pub bytes: u64,
}

/// The limit of an upload whose downloads are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The upload.
    pub id: UploadId,
    /// How many downloads it allows.
    pub max: u64,
    /// How many of them its manifest has recorded.
    pub used: u64,
}

impl Limit {
    /// What the manifest says; `None` where downloads are not counted.
    pub fn of(manifest: &Manifest) -> Option<Self> {
        manifest.max_downloads.map(|max| Limit {
            id: manifest.id,
            max,
            used: manifest.used,
        })
    }
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

/// What of a catalog may lack something, because it was lost, or never compared with the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gaps {
    /// The folders of the store that have to be compared to mend it.
    pub prefixes: Vec<Prefix>,
    /// What the catalog itself remembers of when it was asked.
    state: Vec<(String, String)>,
}

impl Gaps {
    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }
}

/// How far the comparison of store and index has come, of which all instances do a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scan {
    /// The place of the next folder, from 0 to [`Prefix::COUNT`].
    pub next: usize,
    /// When the last one ended.
    pub finished_at: Timestamp,
}

/// A catalog that cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// It is being compared with the store: what it does not know may exist all the same.
    #[error("the index is being rebuilt")]
    Rebuilding,
    /// It cannot be reached now.
    #[error("the index cannot be reached: {0}")]
    Unavailable(String),
    /// It failed.
    #[error("the index failed: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An index over manifests, shared by all that serve the same store.
#[async_trait]
pub trait Catalog: Capacity + 'static {
    /// Records what `manifest` says, unless a higher generation is recorded already: then it
    /// answers `false` and changes nothing. Seen by every call after it. What was
    /// [reserved](Capacity) for the upload becomes what it takes, in the same step.
    async fn record(&self, manifest: &Manifest) -> Result<bool, CatalogError>;

    /// The [order](Manifest::order) that an upload is to have which is committed now, as far as it
    /// is known without asking elsewhere.
    fn order(&self, manifest: &Manifest) -> Timestamp;

    /// The same as [`record`](Self::record) for an upload that is committed now. Answers whether
    /// its order is above those of all others of its names; if not, [`order`](Self::order) knows a
    /// better one from now on.
    async fn admit(&self, manifest: &Manifest) -> Result<bool, CatalogError> {
        self.record(manifest).await.map(|_| true)
    }

    /// The same for an upload that was changed: one that is not recorded stays so, for it may
    /// have been removed since. Then it answers `false`.
    async fn update(&self, manifest: &Manifest) -> Result<bool, CatalogError>;

    /// Removes what is recorded of `id`, which does not exist any more, and of `names` that they
    /// are its; an unknown id is a success.
    async fn forget(&self, id: &UploadId, names: &[FileName]) -> Result<(), CatalogError>;

    /// What is recorded of `id`.
    async fn find(&self, id: &UploadId) -> Result<Option<Entry>, CatalogError>;

    /// The upload with a file of that name that was committed last (by its order, then id), is not over at `now` and is none of `skip`. It is a hint: its manifest decides.
    ///
    /// # Errors
    /// [`CatalogError::Rebuilding`] while a newer one could be unknown.
    async fn newest(
        &self,
        name: &FileName,
        now: Timestamp,
        skip: &[UploadId],
    ) -> Result<Option<UploadId>, CatalogError>;

    /// Up to `limit` uploads not over at `now`, newest first, behind `after`. One call looks at a
    /// bounded number of uploads: it may answer fewer than `limit`, or none, although more follow.
    /// It reads no disk on the caller's thread.
    ///
    /// # Errors
    /// [`CatalogError::Rebuilding`] while some could be unknown.
    async fn list(
        &self,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Stretch, CatalogError>;

    /// Takes up to `limit` uploads that are to be looked at by `now`, the longest overdue first:
    /// those whose deadline has come, and those whose downloads are spent. None of them comes due
    /// again before `again`, unless it is [recorded](Self::record) anew.
    async fn due(
        &self,
        now: Timestamp,
        limit: usize,
        again: Timestamp,
    ) -> Result<Vec<UploadId>, CatalogError>;

    /// When the next upload is due, however far away.
    async fn next_due(&self) -> Result<Option<Timestamp>, CatalogError>;

    /// Has `id`, whose removal failed, not come due again before `until`. A later
    /// [`record`](Self::record) sets its deadline anew.
    async fn postpone(&self, id: &UploadId, until: Timestamp) -> Result<(), CatalogError>;

    /// Returns when [`next_due`](Self::next_due) may have become earlier.
    async fn earlier(&self);

    /// The next upload whose end an operator may have ordered: see [`is_marked`](Self::is_marked).
    /// Never, where operators have no way to.
    async fn ended(&self) -> UploadId {
        std::future::pending().await
    }

    /// Whether the mark that an operator removes to end an upload is still there.
    async fn is_marked(&self, _id: &UploadId) -> Result<bool, CatalogError> {
        Ok(true)
    }

    /// Restores the mark of an upload that goes on.
    async fn mark(&self, _manifest: &Manifest) -> Result<(), CatalogError> {
        Ok(())
    }

    /// Returns when an index that could not be reached can be reached again.
    async fn restored(&self) {
        std::future::pending().await
    }

    /// Returns when what was recorded in the last minute may have been lost.
    async fn lost(&self) {
        std::future::pending().await
    }

    /// Says that an upload is under way until the answer is dropped, so that nobody who shares
    /// the store takes its files for abandoned.
    fn open(&self, id: UploadId) -> Box<dyn Send + Sync>;

    /// Whether an upload is under way, in whichever instance.
    async fn is_open(&self, id: &UploadId) -> Result<bool, CatalogError>;

    /// Takes one use of a limited upload. A use that is neither kept nor given back comes back
    /// after `hold`, or when the process that holds it has ended.
    async fn reserve(&self, limit: &Limit, hold: Duration) -> Result<Reserved, CatalogError>;

    /// Turns the use held under `hold` into a spent one, which the manifest has recorded:
    /// `used` is its count now.
    async fn keep(&self, id: &UploadId, hold: u64, used: u64) -> Result<(), CatalogError>;

    /// Gives the use held under `hold` back.
    async fn give_back(&self, id: &UploadId, hold: u64) -> Result<(), CatalogError>;

    /// What it holds.
    async fn stats(&self) -> Result<Stats, CatalogError>;

    /// All uploads recorded with this prefix, for a comparison with the store.
    async fn with_prefix(&self, prefix: Prefix) -> Result<Vec<UploadId>, CatalogError>;

    /// Whether it works: `Err` says why not, for the operator.
    fn ready(&self) -> Result<(), String>;

    /// When it was last written before this process, if it was not closed cleanly then, or begun
    /// anew since: the last sign of life of the server that had it. The start of time, if nothing
    /// is known of that. `None` also where it belongs to no one server.
    fn left_unclean(&self) -> Option<Timestamp> {
        None
    }

    /// What of it was not compared with the store since it could last have missed something.
    async fn gaps(&self) -> Result<Gaps, CatalogError>;

    /// Marks `gaps` as mended: all their folders were compared since they were asked for. Answers
    /// `false` where something was lost again meanwhile, and the gap stays.
    async fn mended(&self, gaps: Gaps) -> Result<bool, CatalogError>;

    /// How far the regular comparison has come; `None` where none is needed, because nobody else
    /// has the store.
    async fn scan(&self) -> Result<Option<Scan>, CatalogError> {
        Ok(None)
    }

    /// Keeps how far it has come.
    async fn set_scan(&self, _scan: Scan) -> Result<(), CatalogError> {
        Ok(())
    }

    /// Makes what it holds durable, and, if it is `whole`, marks it as clean; called once, at the
    /// end. One that may lack a change of the store is not whole: the next start compares it.
    async fn close(&self, whole: bool) -> Result<(), CatalogError>;
}
