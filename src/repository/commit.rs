//! The commit: the manifest, then the index, which can follow later.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use futures_util::FutureExt as _;

use super::change::Change;
use super::inner::INDEX_TIMEOUT;
use super::outcome::RepositoryError;
use crate::catalog::CatalogError;
use crate::model::{Manifest, Reason, Tombstone};
use crate::store::{Replaced, Staged, StoreError};

/// The pauses after an index that did not answer, doubled each time, for as long as a commit waits.
const RETRIES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(10))
    .with_max_delay(Duration::from_millis(200))
    .without_max_times();

impl Change {
    pub(super) async fn commit(
        mut self,
        staged: Box<dyn Staged>,
        mut manifest: Arc<Manifest>,
    ) -> Result<Arc<Manifest>, StoreError> {
        let id = manifest.id;
        let order = self.inner.catalog.order(&manifest);
        if order != manifest.order() {
            Arc::make_mut(&mut manifest).follow(order);
        }
        match AssertUnwindSafe(staged.commit(&manifest))
            .catch_unwind()
            .await
        {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                if error.is_unknown() {
                    self.index_is_behind();
                }
                return Err(error);
            }
            Err(panic) => {
                let error = StoreError::panicked(format!("committing {id}"), &*panic);
                self.undo(&manifest).await;
                return Err(error);
            }
        }
        match tokio::time::timeout(INDEX_TIMEOUT, self.admit(&manifest)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Ok(self.reorder(manifest).await),
            Ok(Err(error)) => {
                tracing::error!(upload_id = %id, %error, "upload stored, but not yet in the index; it is recorded later");
                self.note_unindexed(Some(&manifest)).await;
            }
            Err(_) => {
                tracing::error!(upload_id = %id, "upload stored, but not yet in the index, which does not answer; it is recorded later");
                self.note_unindexed(Some(&manifest)).await;
            }
        }
        Ok(manifest)
    }

    /// Records an upload in the index, as soon as the index answers. Answers whether its order is above
    /// those of all others of its names.
    async fn admit(&mut self, manifest: &Manifest) -> Result<bool, CatalogError> {
        self.index_is_behind();
        let (id, catalog) = (self.id, &self.inner.catalog);
        let admit = || catalog.admit(manifest);
        let away = |error: &CatalogError| matches!(error, CatalogError::Unavailable(_));
        let log = |error: &CatalogError, _: Duration| {
            tracing::debug!(upload_id = %id, %error, "cannot record the upload in the index; trying again");
        };
        let newest = admit.retry(RETRIES).when(away).notify(log).await?;
        self.index_is_up_to_date();
        Ok(newest)
    }

    /// Gives an upload, which no client knows yet, an order above those of all others of its
    /// names: an instance whose clock is ahead has stored one of them. Best effort: after an
    /// error the upload is whole, with the order that it has. Answers the manifest that is stored.
    async fn reorder(&mut self, stored: Arc<Manifest>) -> Arc<Manifest> {
        let id = self.id;
        let order = self.inner.catalog.order(&stored);
        if order == stored.order() {
            return stored;
        }
        let mut manifest = Manifest::clone(&stored);
        manifest.follow(order);
        manifest.generation += 1;
        // The client may have been told of the upload meanwhile.
        manifest.unseen += 1;
        match self.replace(&manifest).await {
            Ok(Replaced::Done) => {}
            // The instance that has changed the upload records it in the index.
            Ok(Replaced::Changed | Replaced::Gone) => {
                let now = self.inner.store.manifest(&id).await;
                return now.ok().flatten().map_or(stored, Arc::new);
            }
            Err(error) => {
                tracing::warn!(upload_id = %id, %error, "cannot correct the order; its name may give an older upload");
                return stored;
            }
        }
        match tokio::time::timeout(INDEX_TIMEOUT, self.record(&manifest)).await {
            Ok(Ok(())) => {}
            _ => self.note_unindexed(Some(&manifest)).await,
        }
        Arc::new(manifest)
    }

    /// Removes the files and the manifest of a commit that panicked half-way.
    async fn undo(&mut self, manifest: &Manifest) {
        let (id, at) = (manifest.id, manifest.created_at);
        let files = manifest.files().map(|(_, file)| file.name.clone());
        let orphaned = Tombstone::orphaned(id, files.collect(), at);
        let undone = match self.put_tombstone(&orphaned).await {
            // The manifest was stored already, and no client knows the upload.
            Ok(Replaced::Changed) => {
                let failed = Tombstone::of(manifest, Reason::Failed, at);
                self.put_tombstone(&failed).await
            }
            removed => removed,
        };
        let removed = match undone {
            Ok(_) => self
                .remove_from_index(&[])
                .await
                .map_err(RepositoryError::from),
            Err(error) => Err(error.into()),
        };
        match removed {
            Ok(()) => tracing::error!(upload_id = %id, "a commit failed half-way, and was undone"),
            Err(error) => {
                tracing::error!(upload_id = %id, %error, "a commit failed half-way, and cannot be undone; the next comparison does it");
            }
        }
    }
}
