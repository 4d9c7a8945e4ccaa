//! The commit: the manifest, then the index, which can follow later.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::changes::Change;
use super::{PATIENCE, RepositoryError};
use crate::catalog::CatalogError;
use crate::model::{Manifest, Reason, Tombstone};
use crate::store::{Note, Replaced, Staged, StoreError};

/// The pause after an index that did not answer, doubled each time.
const AGAIN: Duration = Duration::from_millis(10);
/// The longest of them.
const AGAIN_LONGEST: Duration = Duration::from_millis(200);

impl Change {
    pub(super) async fn commit(
        mut self,
        staged: Box<dyn Staged>,
        manifest: &Manifest,
    ) -> Result<(), StoreError> {
        let id = manifest.id;
        let mut manifest = Cow::Borrowed(manifest);
        let order = self.inner.catalog.order(&manifest);
        if order != manifest.order() {
            manifest.to_mut().follow(order);
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
                self.take_back(&manifest).await;
                return Err(error);
            }
        }
        match tokio::time::timeout(PATIENCE, self.admit(&manifest)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => self.reorder(manifest.into_owned()).await,
            Ok(Err(error)) => {
                tracing::error!(%id, %error, "stored, but not yet in the index");
                self.miss(&manifest).await;
            }
            Err(_) => {
                tracing::error!(%id, "stored, but not yet in the index: it does not answer");
                self.miss(&manifest).await;
            }
        }
        Ok(())
    }

    /// Has the index take an upload in, as soon as it answers. Answers whether its order is above
    /// those of all others of its names.
    async fn admit(&mut self, manifest: &Manifest) -> Result<bool, CatalogError> {
        self.index_is_behind();
        let mut pause = AGAIN;
        loop {
            match self.inner.catalog.admit(manifest).await {
                Err(CatalogError::Unavailable(why)) => {
                    tracing::debug!(id = %self.id, why, "the index does not take an upload in; trying again");
                }
                answer => {
                    let newest = answer?;
                    self.index_knows();
                    return Ok(newest);
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(AGAIN_LONGEST);
        }
    }

    /// Gives an upload, of which no client was told yet, an order above those of all others of its
    /// names: an instance whose clock is ahead has stored one of them. Best effort: what fails
    /// here leaves the upload whole, with the order that it has.
    async fn reorder(&mut self, mut manifest: Manifest) {
        let id = self.id;
        let order = self.inner.catalog.order(&manifest);
        if order == manifest.order() {
            return;
        }
        manifest.follow(order);
        manifest.generation += 1;
        match self.replace(&manifest).await {
            Ok(Replaced::Done) => {}
            // The instance that has changed the upload has told the index.
            Ok(Replaced::Changed | Replaced::Gone) => return,
            Err(error) => {
                tracing::warn!(%id, %error, "another upload of its name may be given for the newest");
                return;
            }
        }
        match tokio::time::timeout(PATIENCE, self.record(&manifest)).await {
            Ok(Ok(())) => {}
            _ => self.miss(&manifest).await,
        }
    }

    /// Remembers an upload that the index does not know, here and in the store: this instance may
    /// die before it can tell it.
    async fn miss(&mut self, manifest: &Manifest) {
        let id = self.id;
        self.inner.backlog.missed(id, Some(manifest));
        if !self.inner.shared {
            return;
        }
        let note = self.inner.store.add_note(Note::Unindexed, &id);
        match tokio::time::timeout(PATIENCE, note).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%id, %error, "cannot note that it is to be indexed"),
            Err(_) => tracing::warn!(%id, "cannot note in time that it is to be indexed"),
        }
    }

    /// Removes what a commit has left that panicked half-way.
    async fn take_back(&mut self, manifest: &Manifest) {
        let (id, at) = (manifest.id, manifest.created_at);
        let files = manifest.files().map(|(_, file)| file.name.clone());
        let orphaned = Tombstone::orphaned(id, files.collect(), at);
        let taken_back = match self.put_tombstone(&orphaned).await {
            // The manifest was stored already, and no client was told of the upload.
            Ok(Replaced::Changed) => {
                let failed = Tombstone::of(manifest, Reason::Failed, at);
                self.put_tombstone(&failed).await
            }
            removed => removed,
        };
        let forgotten = match taken_back {
            Ok(_) => self
                .remove_from_index(&[])
                .await
                .map_err(RepositoryError::from),
            Err(error) => Err(error.into()),
        };
        match forgotten {
            Ok(()) => tracing::error!(%id, "a commit failed half-way, and was taken back"),
            Err(error) => {
                tracing::error!(%id, %error, "a commit failed half-way, and cannot be taken back; the next comparison does it");
            }
        }
    }
}
