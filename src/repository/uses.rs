//! The uses of limited downloads: each held by one download, then kept or given back.

use std::sync::Arc;
use std::time::Duration;

use super::Repository;
use crate::catalog::{CatalogError, Reserved};
use crate::model::{Manifest, UploadId};
use crate::store::StoreError;

/// The answer to a download that counts.
#[derive(Debug)]
pub enum Taken {
    /// The use is held.
    Held(Use),
    /// All uses left are held by downloads under way.
    Busy,
    /// All uses are spent.
    Spent,
}

/// One use of a limited upload, held for a download. Dropped before it is kept, it is given back.
#[derive(Debug)]
pub struct Use {
    uploads: Repository,
    id: UploadId,
    /// Its number in the index; `None` once it is kept.
    hold: Option<u64>,
}

impl Repository {
    /// Takes one use of a limited upload, for `hold` at most. A download that breaks off while
    /// this is under way gives it back.
    ///
    /// # Errors
    /// The index fails.
    pub async fn take_use(
        &self,
        manifest: &Arc<Manifest>,
        hold: Duration,
    ) -> Result<Taken, super::RepositoryError> {
        let (uploads, manifest) = (self.clone(), Arc::clone(manifest));
        let id = manifest.id;
        let taking = async move {
            Ok::<_, CatalogError>(match uploads.0.catalog.reserve(&manifest, hold).await? {
                Reserved::Held(hold) => Taken::Held(Use {
                    uploads,
                    id,
                    hold: Some(hold),
                }),
                Reserved::Busy => Taken::Busy,
                Reserved::Spent => Taken::Spent,
            })
        };
        let taken = self.track(taking, || format!("counting a download of {id}"));
        Ok(taken.await??)
    }
}

impl Use {
    /// The upload.
    pub fn id(&self) -> &UploadId {
        &self.id
    }

    /// Spends the use: records it in the manifest, which decides whether one was left. Answers
    /// `false` when none was, or the upload was removed since: it may have been used up by others,
    /// who were not told of this use.
    ///
    /// # Errors
    /// The store fails; the use is given back.
    pub async fn keep(mut self) -> Result<bool, StoreError> {
        let (uploads, id) = (self.uploads.clone(), self.id);
        let count = |manifest: &mut Manifest| {
            let left = manifest.max_downloads.is_none_or(|max| manifest.used < max);
            manifest.used += u64::from(left);
            left
        };
        let keeping = |change: super::Change| async move {
            let Some(updated) = change.update(count).await? else {
                return Ok(false);
            };
            let used = updated.manifest.used;
            if let Some(hold) = self.hold.take()
                && let Err(error) = self.uploads.0.catalog.keep(&id, hold, used).await
            {
                // It comes back by itself, and the manifest has counted it.
                tracing::warn!(%id, %error, "a download that ended is still counted as under way");
            }
            Ok(updated.changed)
        };
        uploads.change("count of a download", &id, keeping).await
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let Some(hold) = self.hold.take() else { return };
        let (uploads, id) = (self.uploads.clone(), self.id);
        self.uploads.begin(async move {
            if let Err(error) = uploads.0.catalog.give_back(&id, hold).await {
                tracing::warn!(%id, %error, "a download that broke off is still counted as under way");
            }
        });
    }
}
