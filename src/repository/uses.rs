//! The uses of limited downloads: each reserved for one download, then committed or released.

use std::time::Duration;

use super::Repository;
use super::changes::Change;
use crate::catalog::{CatalogError, Limit, Reserved};
use crate::model::{Manifest, UploadId};
use crate::store::StoreError;

/// The answer to a download that counts.
#[derive(Debug)]
pub enum ReservedUse {
    /// The use is reserved.
    Use(Use),
    /// Downloads under way have reserved all uses that are left.
    Busy,
    /// All uses are spent.
    Spent,
}

/// One use of a limited upload, reserved for a download. Dropped before it is committed, it is
/// released.
#[derive(Debug)]
pub struct Use {
    uploads: Repository,
    id: UploadId,
    /// The number of the reservation in the index; `None` once it is committed.
    number: Option<u64>,
}

impl Repository {
    /// Reserves one use of a limited upload, for `ttl` at most. A download that breaks off while
    /// this is under way releases it.
    ///
    /// # Errors
    /// The index fails.
    pub async fn reserve_use(
        &self,
        limit: &Limit,
        ttl: Duration,
    ) -> Result<ReservedUse, super::RepositoryError> {
        let (uploads, limit) = (self.clone(), *limit);
        let id = limit.id;
        let reserving = async move {
            Ok::<_, CatalogError>(match uploads.0.catalog.reserve(&limit, ttl).await? {
                Reserved::Use(number) => ReservedUse::Use(Use {
                    uploads,
                    id,
                    number: Some(number),
                }),
                Reserved::Busy => ReservedUse::Busy,
                Reserved::Spent => ReservedUse::Spent,
            })
        };
        let reserved = self.track(reserving, || format!("counting a download of {id}"));
        Ok(reserved.await??)
    }

    /// Spends the uses that one download has reserved: records each in its manifest, which decides
    /// whether one was left. Answers the first upload of which none was, or that was removed since:
    /// downloads of other instances, which did not know of this reservation, may have spent it. It is
    /// one task: a download that breaks off meanwhile has spent all of them, or none.
    ///
    /// # Errors
    /// The store fails; uses that are not spent by then are released.
    pub async fn commit_uses(&self, uses: Vec<Use>) -> Result<Option<UploadId>, StoreError> {
        let committing = async move {
            // An upload without a use left is found before a use of another one is spent.
            for reserved in uses.iter().filter(|_| uses.len() > 1) {
                if !reserved.is_left().await? {
                    return Ok(Some(reserved.id));
                }
            }
            for reserved in uses {
                let id = reserved.id;
                if !reserved.spend().await? {
                    return Ok(Some(id));
                }
            }
            Ok(None)
        };
        let committed = self.track(committing, || "counting a download".to_owned());
        committed.await?
    }
}

impl Use {
    /// Whether one is left by the manifest as it is now.
    async fn is_left(&self) -> Result<bool, StoreError> {
        let manifest = self.uploads.0.store.manifest(&self.id).await?;
        Ok(manifest.is_some_and(|manifest| manifest.has_uses()))
    }

    /// Spends the use; `false` when none was left.
    async fn spend(mut self) -> Result<bool, StoreError> {
        let change = Change::begin(&self.uploads.0, "count of a download", self.id);
        let count = |manifest: &mut Manifest| {
            let left = manifest.has_uses();
            manifest.used += u64::from(left);
            left
        };
        let Some(updated) = change.update(count).await? else {
            return Ok(false);
        };
        let (id, used) = (self.id, updated.manifest.used);
        if let Some(number) = self.number.take()
            && let Err(error) = self.uploads.0.catalog.commit(&id, number, used).await
        {
            // The reservation ends by itself, and the manifest has counted the use.
            tracing::warn!(%id, %error, "a download that ended is still counted as under way");
        }
        Ok(updated.changed)
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let Some(number) = self.number.take() else {
            return;
        };
        let (uploads, id) = (self.uploads.clone(), self.id);
        self.uploads.begin(async move {
            if let Err(error) = uploads.0.catalog.release(&id, number).await {
                tracing::warn!(%id, %error, "a download that broke off is still counted as under way");
            }
        });
    }
}
