//! The uses of limited downloads: each reserved for one download, then committed or released.

use std::time::Duration;

use super::change::Change;
use super::{Repository, RepositoryError};
use crate::catalog::{Limit, Reservation, Reserved};
use crate::model::{Manifest, UploadId};
use crate::store::{HeldRoom, StoreError};

/// How often the manifest is read again for an index that knows of a later one.
const MAX_READS: usize = 3;

/// The answer to a download that counts.
#[derive(Debug)]
pub enum ReservedUse {
    /// The use is reserved.
    Use(Use),
    /// Downloads under way have reserved all uses that are left.
    Busy,
    /// All uses of a file are spent.
    Spent,
    /// Downloads are not counted any more.
    Unlimited,
}

/// One use of each file in a portion of a limited upload, reserved for a download. Dropped before
/// it is committed, it is released.
#[derive(Debug)]
pub struct Use {
    uploads: Repository,
    id: UploadId,
    reservation: Reservation,
    /// Whether it was committed, and is not to be released.
    committed: bool,
    /// Room in the store for the manifest that counts it.
    room: Option<Box<dyn HeldRoom>>,
}

impl Repository {
    /// Reserves one use of each file in a portion of a limited upload, for `ttl` at most. A
    /// download that breaks off while this is under way releases it.
    ///
    /// # Errors
    /// The store or the index fails.
    pub async fn reserve_use(
        &self,
        limit: &Limit,
        ttl: Duration,
    ) -> Result<ReservedUse, RepositoryError> {
        let (uploads, limit) = (self.clone(), limit.clone());
        let id = limit.id;
        let reserving = uploads.reserve(limit, ttl);
        let reserved = self.track(reserving, || format!("counting a download of {id}"));
        reserved.await?
    }

    async fn reserve(
        self,
        mut limit: Limit,
        ttl: Duration,
    ) -> Result<ReservedUse, RepositoryError> {
        let id = limit.id;
        for read in 0.. {
            if read == MAX_READS {
                // The store was set back behind the index: its manifests decide.
                limit.generation = u64::MAX;
            }
            let reservation = match self.0.catalog.reserve(&limit, ttl).await? {
                Reserved::Use(reservation) => reservation,
                Reserved::Busy => return Ok(ReservedUse::Busy),
                Reserved::Spent => break,
                Reserved::Stale => {
                    let manifest = self.0.store.manifest(&id).await?;
                    let Some(manifest) = manifest else { break };
                    match Limit::of(&manifest, limit.portion.clone()) {
                        Some(later) => limit = later,
                        None => return Ok(ReservedUse::Unlimited),
                    }
                    continue;
                }
            };
            return Ok(ReservedUse::Use(Use {
                uploads: self,
                id,
                reservation,
                committed: false,
                room: None,
            }));
        }
        Ok(ReservedUse::Spent)
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
    /// Keeps room in the store for the manifest that counts the use, to the end of the download.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`] where there is none; or the store fails.
    pub async fn hold_room(&mut self) -> Result<(), StoreError> {
        if let Some(store) = self.uploads.0.store.local() {
            self.room = store.hold_room(&self.id).await?;
        }
        Ok(())
    }

    /// Whether one is left by the manifest as it is now.
    async fn is_left(&self) -> Result<bool, StoreError> {
        let manifest = self.uploads.0.store.manifest(&self.id).await?;
        Ok(manifest.is_some_and(|manifest| manifest.allows(&self.reservation.portion)))
    }

    /// Spends the use; `false` when none was left.
    async fn spend(mut self) -> Result<bool, StoreError> {
        let change = Change::begin(&self.uploads.0, "count of a download", self.id);
        let portion = &self.reservation.portion;
        let mut left = false;
        let count = |manifest: &mut Manifest| {
            left = manifest.allows(portion);
            manifest.count_download(portion)
        };
        let Some(updated) = change.update(count).await? else {
            return Ok(false);
        };
        if !left {
            return Ok(false);
        }
        self.committed = true;
        let (catalog, id) = (&self.uploads.0.catalog, self.id);
        if let Err(error) = catalog.commit(&self.reservation, &updated.manifest).await {
            // The reservation ends by itself, and the manifest has counted the use.
            tracing::warn!(upload_id = %id, %error, "a download that ended counts as under way until its reservation expires");
        }
        Ok(true)
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        let (uploads, id) = (self.uploads.clone(), self.id);
        let reservation = self.reservation.clone();
        self.uploads.begin(async move {
            if let Err(error) = uploads.0.catalog.release(&id, &reservation).await {
                tracing::warn!(upload_id = %id, %error, "a download that broke off counts as under way until its reservation expires");
            }
        });
    }
}
