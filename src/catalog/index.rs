//! The index itself: what is recorded of each upload, and how it is found.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::CatalogError;
use crate::model::{Digest, FileName, IdBeginning, Manifest, Prefix, Timestamp, Title, UploadId};

/// The record of an upload in an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
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
    /// How often it may be downloaded, if that is limited. `None` where an older version, which did
    /// not know it, has recorded the upload: the manifest says.
    pub downloads: Option<Option<Downloads>>,
    /// The facts that a listing shows beside that. `None` where an older version, which did not
    /// know them, has recorded the upload: the manifest says.
    pub shown: Option<ShownFacts>,
}

/// Facts of an upload that a listing shows, and no search needs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ShownFacts {
    /// The media type of its file, where there is exactly one.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub media_type: Option<Box<str>>,
    /// The digest of its file, where there is exactly one that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
}

impl ShownFacts {
    /// Those of an upload.
    pub fn of(manifest: &Manifest) -> Self {
        let mut files = manifest.files().map(|(_, file)| file);
        let only = files.next().filter(|_| files.next().is_none());
        ShownFacts {
            media_type: only.map(|file| file.served_type().into()),
            sha256: only.and_then(|file| file.sha256),
            title: manifest.title.clone(),
        }
    }
}

/// The downloads of a limited upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Downloads {
    /// How many are allowed of each file.
    pub max: u64,
    /// How many are left of the file that has the most.
    pub left: u64,
}

impl Downloads {
    /// Those of an upload, if they are limited.
    pub fn of(manifest: &Manifest) -> Option<Self> {
        Some(Downloads {
            max: manifest.max_downloads?,
            left: manifest.downloads_left()?,
        })
    }
}

/// Which uploads a listing has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// Those whose downloads are not limited: a caller who fetches what the listing shows would use
    /// up the others.
    Unlimited,
    /// All of them.
    All,
}

/// Which uploads a listing has, by more than their time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFilter {
    /// Whether those with limited downloads are among them.
    pub listed: Listed,
    /// Those with a file of one of these names; where there are none, whatever the names.
    pub names: Vec<FileName>,
    /// Those whose ids begin so.
    pub id: Option<IdBeginning>,
}

impl From<Listed> for ListFilter {
    fn from(listed: Listed) -> Self {
        ListFilter {
            listed,
            names: Vec::new(),
            id: None,
        }
    }
}

/// A stretch of the listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stretch {
    /// Its uploads, newest first.
    pub entries: Vec<IndexEntry>,
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

/// The uploads of an index, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Uploads, expired ones that were not yet removed included.
    pub uploads: u64,
    /// Bytes that they take of the store: see [`Manifest::room`].
    pub bytes: u64,
}

/// The uploads, by id, by name and by time.
#[async_trait]
pub trait Index: Send + Sync {
    /// Records what `manifest` says, unless a higher generation is recorded already: then it
    /// answers `false` and changes nothing. Every later call sees it. The
    /// [reservation](super::Capacity) of the upload becomes what the upload takes, in the same step.
    async fn record(&self, manifest: &Manifest) -> Result<bool, CatalogError>;

    /// The [order](Manifest::order) for an upload that is committed now, as far as this process
    /// knows the orders of its names.
    fn order(&self, manifest: &Manifest) -> Timestamp;

    /// The same as [`record`](Self::record) for an upload that is committed now. Answers whether
    /// its order is above those of all others of its names; if not, [`order`](Self::order) knows a
    /// better one from now on.
    async fn admit(&self, manifest: &Manifest) -> Result<bool, CatalogError>;

    /// The same for an upload that was changed: one that is not recorded stays so, for it may
    /// have been removed since. Then it answers `false`.
    async fn update(&self, manifest: &Manifest) -> Result<bool, CatalogError>;

    /// Removes what is recorded of `id`, an upload that does not exist any more, and takes it from
    /// the uploads of each of `names`. An unknown id is a success.
    async fn remove(&self, id: &UploadId, names: &[FileName]) -> Result<(), CatalogError>;

    /// The record of `id`.
    async fn find(&self, id: &UploadId) -> Result<Option<IndexEntry>, CatalogError>;

    /// The upload with a file of that name that was committed last (by its order, then id), is not
    /// over at `now`, has no limited downloads and is none of `skip`. It is a hint: its manifest
    /// decides.
    ///
    /// # Errors
    /// [`CatalogError::Rebuilding`] while a newer one could be unknown.
    async fn newest(
        &self,
        name: &FileName,
        now: Timestamp,
        skip: &[UploadId],
    ) -> Result<Option<UploadId>, CatalogError>;

    /// Up to `limit` of the uploads of `filter` not over at `now`, newest first, behind `after`.
    /// One call reads a bounded number of uploads: it may answer fewer than `limit`, or none,
    /// although more follow. One that an older version has recorded may have limited downloads all
    /// the same. It reads no disk on the caller's thread.
    ///
    /// # Errors
    /// [`CatalogError::Rebuilding`] while some could be unknown.
    async fn list(
        &self,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
        filter: &ListFilter,
    ) -> Result<Stretch, CatalogError>;

    /// All uploads recorded with this prefix, for a comparison with the store.
    async fn with_prefix(&self, prefix: Prefix) -> Result<Vec<UploadId>, CatalogError>;

    /// How much it holds.
    async fn stats(&self) -> Result<Stats, CatalogError>;

    /// Whether it works: `Err` says why not, for the operator.
    fn ready(&self) -> Result<(), String>;

    /// Makes what it holds durable, and, if it is `whole`, marks it as clean; called once, at the
    /// end. An index that may lack a change of the store is not whole: the next start compares it.
    async fn close(&self, whole: bool) -> Result<(), CatalogError>;
}
