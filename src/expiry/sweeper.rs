//! One pass over the uploads that are due.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::ExpiryMetrics;
use crate::catalog::CatalogError;
use crate::lease::Claim;
use crate::model::{Clock, Manifest, Reason, Timestamp, UploadId};
use crate::repository::{Removed, Repository, RepositoryError};
use crate::store::StoreError;

/// How many uploads one pass takes.
const BATCH: usize = 100;
/// How many are removed at once, so that they share the cost of their syncs.
const AT_ONCE: usize = 16;
/// How long the uploads that a pass has taken are left to it: about as long as the next leader needs
/// to take over, when this one dies in the middle of the pass.
const TAKEN_FOR: Duration = Duration::from_secs(5);
/// The pause before a removal that failed is tried again, doubled each time.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The longest of these pauses.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(3600);

/// Removes the uploads that are due.
pub struct Sweeper {
    uploads: Repository,
    clock: Clock,
    metrics: ExpiryMetrics,
    /// Guards how often each removal has failed. A std mutex: held for a read or an insertion.
    failures: Mutex<HashMap<UploadId, u32>>,
}

impl Sweeper {
    /// A sweeper of `uploads`, which counts in `metrics`.
    pub fn new(uploads: Repository, clock: Clock, metrics: ExpiryMetrics) -> Self {
        Sweeper {
            uploads,
            clock,
            metrics,
            failures: Mutex::default(),
        }
    }

    /// Removes the uploads that are due at `now`, while the claim is current. Answers whether there
    /// may be more. The removal of one upload is not interrupted.
    ///
    /// # Errors
    /// The index does not answer. An upload that cannot be removed is logged, and the pass goes on.
    pub async fn pass(
        &self,
        now: Timestamp,
        claim: &Claim,
        stop: &CancellationToken,
    ) -> Result<bool, CatalogError> {
        let catalog = self.uploads.catalog();
        let due = catalog.due(now, BATCH, now.after(TAKEN_FOR)).await?;
        let taken = due.len();
        let mut settled = futures_util::stream::iter(due)
            .map(|id| self.take(id, now, claim, stop))
            .buffer_unordered(AT_ONCE);
        let mut removed = 0;
        while let Some(result) = settled.next().await {
            removed += u64::from(result?);
        }
        if removed > 0 {
            tracing::info!(removed, "removed uploads that were over");
        }
        Ok(taken == BATCH && !stop.is_cancelled() && claim.is_current())
    }

    /// Removes one upload, or postpones it where that fails. Answers whether it was removed.
    async fn take(
        &self,
        id: UploadId,
        now: Timestamp,
        claim: &Claim,
        stop: &CancellationToken,
    ) -> Result<bool, CatalogError> {
        if stop.is_cancelled() || !claim.is_current() {
            return Ok(false);
        }
        match self.settle(&id, now, claim).await {
            Ok(removed) => {
                self.failures().remove(&id);
                Ok(removed)
            }
            Err(error) => {
                let pause = self.failed(&id);
                if let RepositoryError::Store(damage @ StoreError::Damaged(_)) = &error {
                    self.uploads.report_damage(&id, damage, false);
                } else {
                    tracing::error!(upload_id = %id, %error, ?pause, "cannot remove an upload that is over; trying again");
                }
                let catalog = self.uploads.catalog();
                catalog.postpone(&id, now.after(pause)).await?;
                Ok(false)
            }
        }
    }

    /// Removes an upload if its manifest says that it is over. Answers whether it was removed.
    async fn settle(
        &self,
        id: &UploadId,
        now: Timestamp,
        claim: &Claim,
    ) -> Result<bool, RepositoryError> {
        let claim = claim.clone();
        let expired = move |manifest: &Manifest| manifest.expires_at.filter(|at| *at <= now);
        let over = move |manifest: &Manifest| {
            let left = claim.left().as_millis();
            if !manifest.is_over(now) || left == 0 {
                return None;
            }
            tracing::debug!(upload_id = %manifest.id, epoch = claim.epoch, left, "removing: it is over");
            Some(expired(manifest).map_or(Reason::Used, |_| Reason::Expired))
        };
        match self.uploads.remove(id, over).await? {
            Removed::Done(manifest) => {
                self.metrics.expired.inc();
                if let Some(deadline) = expired(&manifest) {
                    let lag = self.clock.now().since(deadline);
                    self.metrics.lag.observe(lag.as_secs_f64());
                }
                Ok(true)
            }
            // The deadline was moved since: the index learns the new one.
            Removed::Kept(_) => self.uploads.index(id, &[]).await.map(|_| false),
            Removed::Absent => Ok(false),
        }
    }

    /// Counts a failure; how long to wait after it.
    fn failed(&self, id: &UploadId) -> Duration {
        let mut failures = self.failures();
        let count = failures.entry(*id).or_default();
        *count = count.saturating_add(1);
        RETRY_DELAY
            .saturating_mul(1 << (*count - 1).min(20))
            .min(MAX_RETRY_DELAY)
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, HashMap<UploadId, u32>> {
        // Nothing between a lock and its release can panic.
        self.failures
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
