//! One change of an upload, and the steps in which store and index follow each other.

use std::sync::Arc;

use super::inner::{INDEX_TIMEOUT, RepositoryInner};
use crate::catalog::CatalogError;
use crate::model::{FileName, Manifest, Tombstone, UploadId};
use crate::store::{Note, Replaced, StoreError};

/// Whether the index has recorded a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Indexing {
    /// Nothing was changed.
    Unchanged,
    /// The index may lack the change.
    Behind,
    /// The index has recorded the change.
    Recorded,
}

/// A change of one upload. Store and index are changed through it alone, so that wherever it ends,
/// with an error or a panic as well, no manifest in memory is older than the stored one, and a change
/// that the index may have missed is indexed again.
pub struct Change {
    pub(super) inner: Arc<RepositoryInner>,
    pub(super) id: UploadId,
    number: u64,
    index: Indexing,
}

impl Change {
    pub(super) fn begin(inner: &Arc<RepositoryInner>, what: &'static str, id: UploadId) -> Self {
        inner.manifests.remove(&id);
        Change {
            inner: Arc::clone(inner),
            id,
            number: inner.running.begin(what, id),
            index: Indexing::Unchanged,
        }
    }

    /// Notes that the outcome of a change of the store is unknown, or the index has not recorded it.
    pub(super) fn index_is_behind(&mut self) {
        self.index = Indexing::Behind;
    }

    /// Notes that the index has recorded the change.
    pub(super) fn index_is_up_to_date(&mut self) {
        self.index = Indexing::Recorded;
    }

    /// Replaces the manifest; see [`Store::replace`](crate::store::Store::replace).
    pub(super) async fn replace(&mut self, manifest: &Manifest) -> Result<Replaced, StoreError> {
        let before = std::mem::replace(&mut self.index, Indexing::Behind);
        let replaced = self.inner.store.replace(manifest).await;
        self.note_outcome(before, replaced)
    }

    /// Replaces the manifest by a later one of another store; see
    /// [`Store::advance`](crate::store::Store::advance).
    pub(super) async fn advance(&mut self, manifest: &Manifest) -> Result<Replaced, StoreError> {
        let before = std::mem::replace(&mut self.index, Indexing::Behind);
        let advanced = self.inner.store.advance(manifest).await;
        self.note_outcome(before, advanced)
    }

    /// Removes the upload from the store; see [`Store::remove`](crate::store::Store::remove).
    pub(super) async fn put_tombstone(
        &mut self,
        tombstone: &Tombstone,
    ) -> Result<Replaced, StoreError> {
        let before = std::mem::replace(&mut self.index, Indexing::Behind);
        let removed = self.inner.store.remove(tombstone).await;
        self.note_outcome(before, removed)
    }

    /// Removes an upload that cannot be read; see
    /// [`Store::remove_damaged`](crate::store::Store::remove_damaged).
    pub(super) async fn remove_damaged(&mut self) -> Result<Replaced, StoreError> {
        let before = std::mem::replace(&mut self.index, Indexing::Behind);
        let now = self.inner.clock.now();
        let removed = self.inner.store.remove_damaged(&self.id, now).await;
        if matches!(removed, Err(StoreError::Damaged(_))) {
            // A newer version understands it.
            self.index = before;
        }
        self.note_outcome(before, removed)
    }

    fn note_outcome(
        &mut self,
        before: Indexing,
        replaced: Result<Replaced, StoreError>,
    ) -> Result<Replaced, StoreError> {
        if matches!(replaced, Ok(Replaced::Changed | Replaced::Gone)) {
            self.index = before;
        }
        // The next read of the upload, also within this change, asks the store.
        self.inner.manifests.remove(&self.id);
        replaced
    }

    /// Records the upload as `manifest` says; see
    /// [`Index::record`](crate::catalog::Index::record).
    pub(super) async fn record(&mut self, manifest: &Manifest) -> Result<(), CatalogError> {
        self.index = Indexing::Behind;
        self.inner.catalog.record(manifest).await?;
        self.index = Indexing::Recorded;
        Ok(())
    }

    /// Records a manifest that was replaced in the index, which can follow later: the change is made.
    pub(super) async fn record_update(&mut self, manifest: &Manifest) {
        let catalog = Arc::clone(&self.inner.catalog);
        let updated = tokio::time::timeout(INDEX_TIMEOUT, catalog.update(manifest)).await;
        match updated.unwrap_or_else(|_| Err(no_answer())) {
            _ if self.index == Indexing::Unchanged => {}
            Ok(true) => self.index = Indexing::Recorded,
            // Another instance may have failed to index the upload.
            Ok(false) => self.inner.backlog.missed(self.id, Some(manifest)),
            Err(error) => {
                tracing::error!(upload_id = %self.id, %error, "upload changed, but the index does not have the change yet; it is recorded later");
                self.note_unindexed(Some(manifest)).await;
            }
        }
    }

    /// Removes an upload that the store does not have any more from the index, which can follow
    /// later.
    pub(super) async fn unlist(&mut self, names: &[FileName]) {
        let removing = tokio::time::timeout(INDEX_TIMEOUT, self.remove_from_index(names));
        if let Err(error) = removing.await.unwrap_or_else(|_| Err(no_answer())) {
            tracing::error!(upload_id = %self.id, %error, "upload removed, but the index still has it; it is removed there later");
            self.note_unindexed(None).await;
        }
    }

    /// Notes, in memory and in the store, that the index lacks a change of the upload, and the names
    /// of `manifest` with it: this instance may die before it can record it.
    pub(super) async fn note_unindexed(&mut self, manifest: Option<&Manifest>) {
        let id = self.id;
        self.inner.backlog.missed(id, manifest);
        if !self.inner.shared {
            return;
        }
        let note = self.inner.store.add_note(Note::Unindexed, &id);
        match tokio::time::timeout(INDEX_TIMEOUT, note).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(upload_id = %id, %error, "cannot note in the store that the index lacks the change; only this process knows it")
            }
            Err(_) => {
                tracing::warn!(upload_id = %id, "cannot note in time in the store that the index lacks the change; only this process knows it")
            }
        }
    }

    /// Removes the upload, and `names` that the index has for it, from the index.
    pub(super) async fn remove_from_index(
        &mut self,
        names: &[FileName],
    ) -> Result<(), CatalogError> {
        self.index = Indexing::Behind;
        self.inner.catalog.remove(&self.id, names).await?;
        self.index = Indexing::Recorded;
        Ok(())
    }
}

/// The error of an index that was not waited for any longer.
fn no_answer() -> CatalogError {
    CatalogError::Unavailable("it does not answer".to_owned())
}

impl Drop for Change {
    fn drop(&mut self) {
        let inner = &self.inner;
        inner.manifests.remove(&self.id);
        match self.index {
            Indexing::Unchanged => {}
            Indexing::Behind => inner.backlog.missed(self.id, None),
            Indexing::Recorded => inner.backlog.recorded(self.id),
        }
        inner.running.end(self.number);
    }
}
