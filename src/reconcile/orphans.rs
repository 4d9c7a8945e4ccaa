//! Orphans: files without a manifest. An upload that ended in a crash leaves them.

use super::Reconciler;
use crate::lease::Claim;
use crate::model::{Prefix, Timestamp};
use crate::repository::RepositoryError;

impl Reconciler {
    /// Removes all orphans at the start of a process that has the store for itself: an earlier process
    /// has left them.
    pub(super) async fn remove_leftovers(&mut self, claim: &Claim) -> Result<(), RepositoryError> {
        if !self.leftovers {
            return Ok(());
        }
        let now = self.clock.now();
        for prefix in Prefix::all() {
            self.remove_orphans(prefix, now, claim).await?;
        }
        self.leftovers = false;
        Ok(())
    }

    /// Removes the orphans of one folder that were last written before `before`, and that belong to
    /// no open upload.
    pub(super) async fn remove_orphans(
        &self,
        prefix: Prefix,
        before: Timestamp,
        claim: &Claim,
    ) -> Result<(), RepositoryError> {
        let store = self.uploads.store();
        let orphans = store.orphans(prefix, before).await?;
        if orphans.is_empty() {
            return Ok(());
        }
        // The index may have lost its knowledge of open uploads, or may never have had it. The store
        // has notes of the uploads that have been open for long.
        let noted = self.uploads.noted_open(self.stale()).await?;
        for orphan in orphans {
            if noted.contains(&orphan.id) || self.uploads.is_open(&orphan.id).await? {
                continue;
            }
            if !self.holds(claim) {
                return Ok(());
            }
            let (id, files) = (orphan.id, orphan.files.len());
            if self.uploads.remove_orphan(orphan).await? {
                tracing::info!(upload_id = %id, files, "removed files of an upload that was never committed");
            }
        }
        Ok(())
    }
}
