//! Uploads of another store, taken over as they are there: not a member of their records changes.

use super::Repository;
use super::change::Change;
use crate::model::Manifest;
use crate::store::{Replaced, Staged, StoreError};

impl Repository {
    /// Commits an upload of another store with the record that it has there. An index that does not
    /// answer learns of it later.
    ///
    /// # Errors
    /// It is not committed; see [`Staged::commit`].
    pub async fn take_over(
        &self,
        staged: Box<dyn Staged>,
        manifest: Manifest,
    ) -> Result<(), StoreError> {
        let id = manifest.id;
        let work = |mut change: Change| async move {
            change.index_is_behind();
            staged.commit(&manifest).await?;
            change.record_copy(&manifest).await;
            Ok(())
        };
        self.change("copy", &id, work).await
    }

    /// Replaces the record of an upload by a later one of another store: see
    /// [`Store::advance`](crate::store::Store::advance).
    ///
    /// # Errors
    /// The store fails; the change may have been made or not.
    pub async fn advance(&self, manifest: Manifest) -> Result<Replaced, StoreError> {
        let id = manifest.id;
        let work = |mut change: Change| async move {
            let advanced = change.advance(&manifest).await?;
            if advanced == Replaced::Done {
                change.record_copy(&manifest).await;
            }
            Ok(advanced)
        };
        self.change("copy", &id, work).await
    }
}

impl Change {
    /// Records a copy in the index, which may learn of it at the end as well.
    async fn record_copy(&mut self, manifest: &Manifest) {
        if let Err(error) = self.record(manifest).await {
            tracing::warn!(upload_id = %self.id, %error, "copied, and the index does not know it yet");
        }
    }
}
