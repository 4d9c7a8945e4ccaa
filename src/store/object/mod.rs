//! A store in a bucket of an object store that speaks S3.
//!
//! ```text
//! prefix/0c/0c8r…-part1.txt    a file: its upload's id, then its name
//! prefix/0c/0c8r….json         the manifest, put last: If-None-Match: *
//! prefix/.wharf/store.json     the store's id
//! prefix/.wharf/unindexed/     ids of uploads that the index was not told of
//! prefix/.wharf/open/          ids of uploads that have been under way for long
//! ```
//!
//! A file goes to the store while it arrives. Until the manifest is put nothing of an upload
//! exists; the manifest is replaced with `If-Match` only, by its next version or by a tombstone,
//! so that any number of processes may use the bucket: it has no lock, and needs none. An answer
//! of the store is as durable as the store makes it.

mod blob;
mod budget;
mod client;
mod connector;
mod error;
mod identity;
mod inner;
mod key;
mod layout;
mod listing;
mod multipart;
mod notes;
mod options;
mod parts;
mod probe;
mod removal;
mod scan;
mod sink;
mod staged;
mod survey;
#[cfg(test)]
mod tests;
mod transfers;
mod unfinished;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{
    Blob, Note, Notes, Orphan, Presign, PresignRequest, Records, Replaced, ScannedUpload, Staged,
    Store, StoreError, StoreId, Version, follows, is_above,
};
use crate::model::{Clock, FileName, Manifest, Prefix, Stored, Timestamp, Tombstone, UploadId};
use inner::BucketInner;
use staged::BucketStaged;

pub use options::{BucketError, BucketOptions};
pub use survey::{Answer, BucketSurvey, LifecycleRule, survey};

/// How long the end waits until the files of discarded uploads are removed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A store in a bucket.
#[derive(Clone)]
pub struct BucketStore(Arc<BucketInner>);

impl BucketStore {
    /// Opens a bucket, and probes whether it keeps to the conditions that are needed; removes the
    /// keys that earlier probes have left.
    ///
    /// # Errors
    /// It cannot be reached, refuses, or does not keep to them.
    pub async fn open(options: &BucketOptions) -> Result<Self, BucketError> {
        let store = Self::inspect(options)?;
        let probed = probe::probe(&store.0.client, &store.0.layout).await;
        probed.map_err(|error| error.at(options))?;
        let before = Clock::system().now().before(probe::STALE_AFTER);
        if let Err(error) = store.0.remove_probes(before).await {
            tracing::warn!(%error, "cannot list the keys that earlier starts have left; the next start does");
        }
        Ok(store)
    }

    /// Opens a bucket to be read; methods that change it must not be called.
    ///
    /// # Errors
    /// The options are no address of a bucket.
    pub fn inspect(options: &BucketOptions) -> Result<Self, BucketError> {
        Ok(BucketStore(Arc::new(BucketInner::new(options)?)))
    }
}

#[async_trait]
impl Store for BucketStore {
    async fn stage(&self, id: UploadId) -> Result<Box<dyn Staged>, StoreError> {
        Ok(Box::new(BucketStaged::new(Arc::clone(&self.0), id)))
    }

    async fn read(&self, id: &UploadId) -> Result<Option<Stored>, StoreError> {
        Ok(self.0.tagged(id).await?.map(|found| found.stored))
    }

    async fn version(&self, id: &UploadId) -> Result<Option<Version>, StoreError> {
        self.0.version(id).await
    }

    async fn replace(&self, manifest: &Manifest) -> Result<Replaced, StoreError> {
        self.0.replace(manifest, follows).await
    }

    async fn advance(&self, manifest: &Manifest) -> Result<Replaced, StoreError> {
        self.0.replace(manifest, is_above).await
    }

    async fn remove(&self, tombstone: &Tombstone) -> Result<Replaced, StoreError> {
        self.0.remove(tombstone).await
    }

    async fn remove_damaged(
        &self,
        id: &UploadId,
        gone_at: Timestamp,
    ) -> Result<Replaced, StoreError> {
        self.0.remove_damaged(id, gone_at).await
    }

    async fn remove_files(&self, tombstone: &Tombstone) -> Result<u64, StoreError> {
        self.0.remove_files(tombstone).await
    }

    async fn remove_tombstone(&self, tombstone: &Tombstone) -> Result<(), StoreError> {
        self.0.remove_tombstone(tombstone).await
    }

    async fn open(
        &self,
        id: &UploadId,
        name: &FileName,
        size: u64,
        range: Range<u64>,
    ) -> Result<Box<dyn Blob>, StoreError> {
        self.0.open(id, name, size, range).await
    }

    async fn verify(
        &self,
        manifest: &Arc<Manifest>,
        parts: Range<usize>,
    ) -> Result<(), StoreError> {
        self.0.verify(manifest, parts).await
    }

    async fn scan(&self, prefix: Prefix) -> Result<Vec<ScannedUpload>, StoreError> {
        self.0.scan(prefix).await
    }

    async fn orphans(&self, prefix: Prefix, before: Timestamp) -> Result<Vec<Orphan>, StoreError> {
        self.0.orphans(prefix, before).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.0.cleaning.close();
        if tokio::time::timeout(CLOSE_TIMEOUT, self.0.cleaning.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                "files of uploads that were cut off stay for now; they are removed when they are stale"
            );
        }
        Ok(())
    }

    fn presigner(&self) -> Option<&dyn Presign> {
        let may_sign = self.0.redirect && !self.0.client.is_unsigned();
        may_sign.then_some(self)
    }
}

#[async_trait]
impl Presign for BucketStore {
    async fn presigned_url(&self, request: &PresignRequest<'_>) -> Result<String, StoreError> {
        self.0.presigned_url(request).await
    }
}

#[async_trait]
impl Notes for BucketStore {
    async fn add_note(&self, note: Note, id: &UploadId) -> Result<(), StoreError> {
        self.0.add_note(note, id).await
    }

    async fn notes(&self, note: Note) -> Result<Vec<(UploadId, Timestamp)>, StoreError> {
        self.0.notes(note).await
    }

    async fn remove_note(&self, note: Note, id: &UploadId) -> Result<(), StoreError> {
        self.0.remove_note(note, id).await
    }
}

#[async_trait]
impl Records for BucketStore {
    async fn identity(&self) -> Result<Option<StoreId>, StoreError> {
        self.0.identity().await
    }

    async fn set_identity(&self, id: StoreId) -> Result<(), StoreError> {
        self.0.set_identity(id).await
    }

    async fn total(&self) -> Result<Option<u64>, StoreError> {
        self.0.total().await
    }

    async fn keep_total(&self, bytes: u64) -> Result<(), StoreError> {
        self.0.keep_total(bytes).await
    }
}
