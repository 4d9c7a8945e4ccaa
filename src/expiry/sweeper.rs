//! One pass over what is due.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::catalog::{Catalog, CatalogError};
use crate::lease::Claim;
use crate::model::{Timestamp, UploadId};
use crate::store::{Store, StoreError};

/// How many uploads one pass takes.
const BATCH: usize = 256;
/// When an upload that could not be removed is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// Removes what is due.
pub struct Sweeper {
    store: Arc<dyn Store>,
    catalog: Arc<dyn Catalog>,
}

impl Sweeper {
    /// A sweeper of `store`.
    pub fn new(store: Arc<dyn Store>, catalog: Arc<dyn Catalog>) -> Self {
        Sweeper { store, catalog }
    }

    /// Works on what is due at `now`, while the claim is current. Answers whether there may be
    /// more. Nothing is interrupted within one upload.
    ///
    /// # Errors
    /// The index does not answer. Trouble with one upload is logged, and the next one's turn.
    pub async fn pass(
        &self,
        now: Timestamp,
        claim: &Claim,
        stop: &CancellationToken,
    ) -> Result<bool, CatalogError> {
        let due = self.catalog.due(now, BATCH).await?;
        for id in &due {
            if stop.is_cancelled() || !claim.is_current() {
                return Ok(false);
            }
            if let Err(error) = self.settle(id, now).await {
                tracing::error!(%id, %error, "cannot remove an upload that is over; trying again");
                self.catalog.postpone(id, now.after(AGAIN)).await?;
            }
        }
        Ok(due.len() == BATCH)
    }

    /// Looks at the manifest, which decides, and does what it says.
    async fn settle(&self, id: &UploadId, now: Timestamp) -> Result<(), SettleError> {
        match self.store.manifest(id).await? {
            Some(manifest) if !manifest.is_over(now) => {
                // Prolonged since: the index takes over what the manifest says.
                self.catalog.record(&manifest).await?;
            }
            Some(_) => {
                self.store.remove(id).await?;
                self.catalog.forget(id).await?;
                tracing::info!(%id, "removed: it is over");
            }
            None => self.catalog.forget(id).await?,
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
enum SettleError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}
