//! The uses of limited downloads: each held by one download, then kept or given back.

use std::time::Duration;

use super::Repository;
use super::changes::Change;
use crate::catalog::{CatalogError, Limit, Reserved};
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
        limit: &Limit,
        hold: Duration,
    ) -> Result<Taken, super::RepositoryError> {
        let (uploads, limit) = (self.clone(), *limit);
        let id = limit.id;
        let taking = async move {
            Ok::<_, CatalogError>(match uploads.0.catalog.reserve(&limit, hold).await? {
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

    /// Spends the uses that one download holds: records each in its manifest, which decides whether
    /// one was left. Answers the first upload of which none was, or that was removed since: it may
    /// have been used up by others, who were not told of this use. It is one task: a download that
    /// breaks off meanwhile has spent all of them, or none.
    ///
    /// # Errors
    /// The store fails; what is not spent by then is given back.
    pub async fn keep_uses(&self, uses: Vec<Use>) -> Result<Option<UploadId>, StoreError> {
        let keeping = async move {
            // An upload without a use left is found before a use of another one is spent.
            for held in uses.iter().filter(|_| uses.len() > 1) {
                if !held.is_left().await? {
                    return Ok(Some(held.id));
                }
            }
            for held in uses {
                let id = held.id;
                if !held.spend().await? {
                    return Ok(Some(id));
                }
            }
            Ok(None)
        };
        let kept = self.track(keeping, || "counting a download".to_owned());
        kept.await?
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
        if let Some(hold) = self.hold.take()
            && let Err(error) = self.uploads.0.catalog.keep(&id, hold, used).await
        {
            // The hold in the index ends by itself, and the manifest has counted the use.
            tracing::warn!(%id, %error, "a download that ended is still counted as under way");
        }
        Ok(updated.changed)
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
