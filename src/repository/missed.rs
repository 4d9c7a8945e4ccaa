//! Records in the index the changes that it has missed or lost.

use std::time::Duration;

use backon::{ConstantBuilder, Retryable as _};
use futures_util::future::OptionFuture;
use futures_util::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use super::{Indexed, Repository, RepositoryError};
use crate::catalog::Outages;
use crate::model::UploadId;
use crate::store::{Note, StoreError};

/// The pause before a missed change is recorded again, doubled each time.
const RETRY_DELAY: Duration = Duration::from_millis(20);
/// The longest of these pauses.
const MAX_RETRY_DELAY: Duration = Duration::from_millis(500);
/// How many uploads are indexed at once.
const AT_ONCE: usize = 16;

/// How often a damaged manifest is read again, and the pause before.
const DAMAGED_RETRIES: usize = 4;
const DAMAGED_RETRY_DELAY: Duration = Duration::from_millis(500);

impl Repository {
    /// Records the changes that the index has missed or lost, until `stop`.
    pub async fn run_backlog(&self, stop: CancellationToken) {
        let (backlog, outages) = (&self.0.backlog, self.0.catalog.outages());
        let recalled = tokio::select! {
            () = stop.cancelled() => return,
            recalled = self.recall_unindexed() => recalled,
        };
        if let Err(error) = recalled {
            tracing::warn!(%error, "cannot read the notes of unindexed uploads; the next leader does");
        }
        loop {
            let lost = OptionFuture::from(outages.map(Outages::changes_lost));
            tokio::select! {
                () = stop.cancelled() => return,
                () = backlog.wake.notified() => {}
                Some(()) = lost => backlog.lost(),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.index_all_missed() => {}
            }
        }
    }

    /// Adds the uploads that other instances, or an earlier process of this one, have left unindexed.
    ///
    /// # Errors
    /// The store fails.
    pub async fn recall_unindexed(&self) -> Result<(), StoreError> {
        if !self.0.shared {
            return Ok(());
        }
        for (id, _) in self.0.store.notes(Note::Unindexed).await? {
            self.0.backlog.recalled(id);
        }
        Ok(())
    }

    /// Indexes the missed changes, until none is left. More than a retry: the list is read anew each
    /// time, and the index, when it is back, cuts the pause short.
    async fn index_all_missed(&self) {
        let backlog = &self.0.backlog;
        let (mut indexed, mut pause) = (0, RETRY_DELAY);
        loop {
            let missed = backlog.all();
            if missed.is_empty() {
                break;
            }
            if self.index_all(missed, &mut indexed).await {
                pause = RETRY_DELAY;
                continue;
            }
            // As soon as the index is back, or may be.
            let outages = self.0.catalog.outages();
            let reachable = OptionFuture::from(outages.map(Outages::reachable_again));
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(MAX_RETRY_DELAY),
                Some(()) = reachable => pause = RETRY_DELAY,
            }
        }
        if indexed > 0 {
            tracing::info!(
                indexed,
                "the index has recorded the changes that it had missed"
            );
        }
    }

    /// Indexes one upload. A damaged manifest is read again, for the next read may be good: a failing
    /// store is a common reason why the index has missed the upload.
    async fn index_missed(&self, id: &UploadId) -> Result<Indexed, RepositoryError> {
        let delays = ConstantBuilder::new()
            .with_delay(DAMAGED_RETRY_DELAY)
            .with_max_times(DAMAGED_RETRIES);
        let damaged = |error: &RepositoryError| {
            matches!(error, RepositoryError::Store(StoreError::Damaged(_)))
        };
        let index = || self.index(id, &[]);
        index.retry(delays).when(damaged).await
    }

    /// Indexes these uploads, and counts them. Answers whether all of them are settled.
    async fn index_all(&self, missed: Vec<(UploadId, u64)>, count: &mut u64) -> bool {
        let mut indexed = stream::iter(missed)
            .map(async |(id, number)| (id, number, self.index_missed(&id).await))
            .buffer_unordered(AT_ONCE);
        while let Some((id, number, result)) = indexed.next().await {
            match result {
                Ok(_) => *count += 1,
                // The manifest cannot be read; the comparison reports it, and its note stays.
                Err(RepositoryError::Store(StoreError::Damaged(_) | StoreError::Io { .. })) => {
                    self.0.backlog.settled(&id, number);
                    continue;
                }
                Err(_) => return false,
            }
            self.settle(&id, number).await;
        }
        true
    }

    /// Removes a missed change that is recorded now.
    pub(super) async fn settle(&self, id: &UploadId, number: u64) {
        if self.0.shared
            && let Err(error) = self.0.store.remove_note(Note::Unindexed, id).await
        {
            tracing::debug!(upload_id = %id, %error, "cannot remove the note of an upload that is indexed now");
        }
        self.0.backlog.settled(id, number);
    }
}
