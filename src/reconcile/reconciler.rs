//! The task that keeps the index equal to the store, and removes files that crashes have left.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::compare::{Remains, folder};
use super::total::TotalKeeper;
use crate::catalog::ComparisonProgress;
use crate::lease::{Claim, claimed};
use crate::model::{Clock, Prefix, Timestamp};
use crate::repository::{Repository, RepositoryError};

/// How often the index is asked whether it has lost something.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The pause after an error.
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// The pause between two regular comparisons.
const INTERVAL: Duration = Duration::from_secs(3600);
/// The same in a store that no other process changes: there an index that was closed cleanly lacks
/// nothing, unless a person or a backup has changed the store meanwhile, or wharf has a bug.
const INTERVAL_ALONE: Duration = Duration::from_secs(24 * 3600);
/// How often a leader searches for uploads that other instances have left unindexed.
const RECALL_INTERVAL: Duration = Duration::from_secs(60);
/// A regular comparison pauses after each folder for this many times what the folder took, so
/// that it takes a fifth of the store's time at most.
const PAUSE_FACTOR: u32 = 4;

/// How index and store are compared.
#[derive(Debug, Clone, Copy)]
pub struct ReconcileOptions {
    /// How old a file without a manifest becomes before it is removed while other instances may
    /// be writing.
    pub stale_after: Duration,
    /// Whether no other instance writes to the store.
    pub alone: bool,
    /// Whether there is a cap on all that is stored.
    pub capped: bool,
}

/// The comparison of one instance; it works while the instance has the claim.
pub struct Reconciler {
    pub(super) uploads: Repository,
    claims: watch::Receiver<Option<Claim>>,
    /// Why store and index must not be compared now.
    trouble: watch::Receiver<Option<String>>,
    pub(super) clock: Clock,
    options: ReconcileOptions,
    /// Whether the files that an earlier process has left are still to be removed: only in a store
    /// that no other process has.
    pub(super) leftovers: bool,
    /// How far the comparison has come, where the index does not keep it.
    progress: ComparisonProgress,
    /// The claim and the time of the last search for uploads that other instances have left
    /// unindexed.
    recalled: Option<(u64, Instant)>,
    total: TotalKeeper,
}

impl Reconciler {
    /// A comparison of `uploads` under the claims published on `claims`, as long as there is no
    /// `trouble`.
    pub fn new(
        uploads: Repository,
        claims: watch::Receiver<Option<Claim>>,
        trouble: watch::Receiver<Option<String>>,
        clock: Clock,
        options: ReconcileOptions,
    ) -> Self {
        let mut reconciler = Reconciler {
            uploads,
            claims,
            trouble,
            leftovers: options.alone,
            progress: ComparisonProgress::default(),
            recalled: None,
            total: TotalKeeper::default(),
            clock,
            options,
        };
        if options.alone {
            // The first comparison comes an hour after the start, although the others come once a day.
            let interval = reconciler.interval();
            let now = reconciler.clock.now();
            reconciler.progress.finished_at = now.before(interval - interval.min(INTERVAL));
        }
        reconciler
    }

    /// Works until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let work = async {
                let claim = claimed(&mut self.claims).await;
                match self.step(&claim).await {
                    Ok(()) => POLL_INTERVAL,
                    Err(error) => {
                        tracing::error!(%error, "cannot compare the index with the store; trying again");
                        RETRY_DELAY
                    }
                }
            };
            let pause = tokio::select! {
                () = stop.cancelled() => return,
                pause = work => pause,
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Indexes the uploads that the index lacks, then goes on with the regular comparison.
    async fn step(&mut self, claim: &Claim) -> Result<(), RepositoryError> {
        if self.trouble.borrow().is_some() {
            return Ok(());
        }
        self.recall(claim).await?;
        if !self.verify(claim).await? {
            return Ok(());
        }
        self.keep_total().await;
        let progress = match self.uploads.catalog().shared_progress() {
            Some(shared) => shared.progress().await?,
            None => {
                self.remove_leftovers(claim).await?;
                self.progress
            }
        };
        self.compare(progress, claim).await
    }

    /// The pause between two regular comparisons.
    fn interval(&self) -> Duration {
        let interval = match self.options.alone {
            true => INTERVAL_ALONE,
            false => INTERVAL,
        };
        interval.min(self.options.stale_after)
    }

    /// Indexes the uploads that other instances have left unindexed: first of all, and now and then,
    /// for one of them may have ended since.
    async fn recall(&mut self, claim: &Claim) -> Result<(), RepositoryError> {
        let recent = self
            .recalled
            .is_some_and(|(epoch, at)| epoch == claim.epoch && at.elapsed() < RECALL_INTERVAL);
        if !recent {
            self.uploads.recall_unindexed().await?;
            self.recalled = Some((claim.epoch, Instant::now()));
        }
        Ok(())
    }

    /// Compares the folders that are unverified. Answers `false` when the claim was lost meanwhile.
    async fn verify(&mut self, claim: &Claim) -> Result<bool, RepositoryError> {
        let unverified = self.uploads.catalog().unverified().await?;
        if unverified.is_empty() {
            return Ok(true);
        }
        let folders = unverified.prefixes.len();
        tracing::info!(folders, "comparing the index with the store");
        let held = || self.holds(claim);
        let compared = super::compare::folders(&self.uploads, &unverified.prefixes, held).await?;
        let Some(compared) = compared else {
            return Ok(false);
        };
        let whole = self.uploads.catalog().mark_verified(unverified).await?;
        let (uploads, damaged) = (compared.uploads, compared.damaged);
        match whole {
            true => tracing::info!(uploads, damaged, "the index is complete"),
            false => tracing::warn!(
                uploads,
                damaged,
                "the index lost something while it was compared; it is compared again"
            ),
        }
        if whole && self.options.alone {
            self.progress.finished_at = self.clock.now();
        }
        Ok(whole)
    }

    /// Goes on with the regular comparison until its end, or until some of the index is unverified.
    async fn compare(
        &mut self,
        mut progress: ComparisonProgress,
        claim: &Claim,
    ) -> Result<(), RepositoryError> {
        let due = progress.finished_at.after(self.interval());
        if progress.next == 0 && self.clock.now() < due {
            return Ok(());
        }
        // All pauses together are no longer than stale files may wait.
        let longest = POLL_INTERVAL.min(self.options.stale_after / Prefix::COUNT as u32);
        let mut polled = Instant::now();
        for prefix in Prefix::all().skip(progress.next) {
            let start = Instant::now();
            if !self.holds(claim) {
                return Ok(());
            }
            if polled.elapsed() > POLL_INTERVAL {
                if !self.uploads.catalog().unverified().await?.is_empty() {
                    return Ok(());
                }
                polled = Instant::now();
                self.keep_total().await;
            }
            let compared = folder(&self.uploads, prefix).await?;
            for remains in compared.tombstones {
                self.settle(&remains, claim).await?;
            }
            self.remove_orphans(prefix, self.stale(), claim).await?;
            progress.next += 1;
            self.set_progress(progress).await?;
            tokio::time::sleep((start.elapsed() * PAUSE_FACTOR).min(longest)).await;
        }
        // This removes the notes of open uploads that ended with their process.
        self.uploads.noted_open(self.stale()).await?;
        let progress = ComparisonProgress {
            next: 0,
            finished_at: self.clock.now(),
        };
        self.set_progress(progress).await
    }

    async fn keep_total(&mut self) {
        if self.options.capped
            && let Err(error) = self.total.keep(&self.uploads).await
        {
            tracing::warn!(%error, "cannot keep in the store how many bytes all uploads take");
        }
    }

    async fn set_progress(&mut self, progress: ComparisonProgress) -> Result<(), RepositoryError> {
        self.progress = progress;
        if let Some(shared) = self.uploads.catalog().shared_progress() {
            shared.set_progress(progress).await?;
        }
        Ok(())
    }

    /// Whether this instance still has the claim, which may have been renewed since: a comparison may
    /// take longer than a claim lasts. To be asked before each step that removes something.
    pub(super) fn holds(&self, claim: &Claim) -> bool {
        let now = self.claims.borrow();
        now.as_ref()
            .is_some_and(|now| now.epoch == claim.epoch && now.is_current())
    }

    /// A file that was last written before this time belongs to an upload that does not go on.
    pub(super) fn stale(&self) -> Timestamp {
        self.clock.now().before(self.options.stale_after)
    }

    /// Ends a removal that was interrupted, and removes a tombstone that no instance needs any more.
    async fn settle(&self, remains: &Remains, claim: &Claim) -> Result<(), RepositoryError> {
        if !self.holds(claim) {
            return Ok(());
        }
        let tombstone = &remains.tombstone;
        if remains.files {
            let files = self.uploads.finish_removal(tombstone).await?;
            tracing::info!(upload_id = %tombstone.id, files, "ended a removal that was interrupted");
        }
        if tombstone.is_obsolete(self.clock.now(), self.options.stale_after) {
            self.uploads.remove_tombstone(tombstone).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalog::{Catalog, EmbeddedCatalog, Verification as _};
    use crate::model::Uptime;
    use crate::store::DiskStore;
    use crate::store::disk::{Durability, Options as DiskOptions};

    fn claim(epoch: u64, good_for: Duration) -> Claim {
        Claim {
            holder: "i".to_owned(),
            epoch,
            acquired_at: Clock::system().now(),
            valid_until: Some(Uptime::now().after(good_for)),
        }
    }

    #[tokio::test]
    async fn a_comparison_may_take_longer_than_a_claim_that_is_renewed() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let store = DiskStore::open(&DiskOptions {
            dir: dir.path().to_owned(),
            durability: Durability::Relaxed,
            min_free: 0,
            descriptors: 100,
            shared: None,
            sendfile: crate::store::Sendfile::Auto,
        });
        let path = dir.path().join(".wharf/catalog.redb");
        let catalog = Arc::new(EmbeddedCatalog::open(&path, clock.clone()).unwrap());
        let index: Arc<dyn Catalog> = catalog.clone();
        let store = Arc::new(store.unwrap());
        let uploads = Repository::new(store, index, clock.clone(), false);
        let (renew, claims) = watch::channel(None);
        let (_calm, trouble) = watch::channel(None);
        let options = ReconcileOptions {
            stale_after: Duration::from_secs(3600),
            alone: true,
            capped: false,
        };
        let mut comparison = Reconciler::new(uploads, claims, trouble, clock, options);
        let held = claim(7, Duration::ZERO);
        let hour = Duration::from_secs(3600);
        for lost in [None, Some(claim(8, hour)), Some(held.clone())] {
            renew.send_replace(lost);
            comparison.step(&held).await.unwrap();
            assert!(!catalog.unverified().await.unwrap().is_empty());
        }
        renew.send_replace(Some(claim(7, hour)));
        comparison.step(&held).await.unwrap();
        assert!(catalog.unverified().await.unwrap().is_empty());
    }
}
