//! The task that keeps index and store in step, and clears what crashes left.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::compare::{Remains, folder};
use super::total::Total;
use crate::catalog::Scan;
use crate::lease::{Claim, claimed};
use crate::model::{Clock, Prefix, Timestamp};
use crate::repository::{Repository, RepositoryError};

/// How often is asked whether the index has lost something.
const LOOK: Duration = Duration::from_secs(1);
/// The pause after trouble.
const TROUBLED: Duration = Duration::from_secs(2);
/// The pause between two regular comparisons.
const REST: Duration = Duration::from_secs(3600);
/// The same in a store that no other process changes: there an index that was closed cleanly lacks
/// nothing, unless a person or a backup has changed the store meanwhile, or wharf has a fault.
const REST_ALONE: Duration = Duration::from_secs(24 * 3600);
/// How often a leader looks for uploads that others have left unindexed.
const RECALL: Duration = Duration::from_secs(60);
/// A regular comparison pauses after each folder for this many times what the folder took, so
/// that it takes a fifth of the store's time at most.
const PAUSES: u32 = 4;

/// How index and store are compared.
#[derive(Debug, Clone, Copy)]
pub struct Options {
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
    uploads: Repository,
    claims: watch::Receiver<Option<Claim>>,
    /// Why store and index must not be compared now.
    trouble: watch::Receiver<Option<String>>,
    clock: Clock,
    options: Options,
    /// Whether the files that an earlier process left are still to be removed: only in a store that
    /// no other process has.
    leftovers: bool,
    /// How far the comparison has come, where the index does not keep it.
    scan: Scan,
    /// The claim and the time of the last look for uploads that other instances have left
    /// unindexed.
    recalled: Option<(u64, Instant)>,
    total: Total,
}

impl Reconciler {
    /// A comparison of `uploads` under the claims published on `claims`, as long as there is no
    /// `trouble`.
    pub fn new(
        uploads: Repository,
        claims: watch::Receiver<Option<Claim>>,
        trouble: watch::Receiver<Option<String>>,
        clock: Clock,
        options: Options,
    ) -> Self {
        let mut comparison = Reconciler {
            uploads,
            claims,
            trouble,
            leftovers: options.alone,
            scan: Scan::default(),
            recalled: None,
            total: Total::default(),
            clock,
            options,
        };
        if options.alone {
            // The first one comes when the start is over, however rarely the others do.
            let rest = comparison.rest();
            let now = comparison.clock.now();
            comparison.scan.finished_at = now.before(rest - rest.min(REST));
        }
        comparison
    }

    /// Works until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let work = async {
                let claim = claimed(&mut self.claims).await;
                match self.step(&claim).await {
                    Ok(()) => LOOK,
                    Err(error) => {
                        tracing::error!(%error, "cannot compare the index with the store");
                        TROUBLED
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

    /// Mends what is missing, then does what the regular comparison has to do.
    async fn step(&mut self, claim: &Claim) -> Result<(), RepositoryError> {
        if self.trouble.borrow().is_some() {
            return Ok(());
        }
        self.recall(claim).await?;
        if !self.fill_gaps(claim).await? {
            return Ok(());
        }
        self.keep_total().await;
        match self.uploads.catalog().scan().await? {
            Some(scan) => self.scan(scan, claim).await,
            None => {
                self.remove_leftovers(claim).await?;
                self.scan(self.scan, claim).await
            }
        }
    }

    /// The pause between two regular comparisons.
    fn rest(&self) -> Duration {
        let rest = match self.options.alone {
            true => REST_ALONE,
            false => REST,
        };
        rest.min(self.options.stale_after)
    }

    /// Takes up what other instances have left unindexed: first of all, and now and then, for one
    /// of them may have ended since.
    async fn recall(&mut self, claim: &Claim) -> Result<(), RepositoryError> {
        let recent = self
            .recalled
            .is_some_and(|(epoch, at)| epoch == claim.epoch && at.elapsed() < RECALL);
        if !recent {
            self.uploads.recall().await?;
            self.recalled = Some((claim.epoch, Instant::now()));
        }
        Ok(())
    }

    /// Compares what the index may have lost. Answers `false` when it was given up.
    async fn fill_gaps(&mut self, claim: &Claim) -> Result<bool, RepositoryError> {
        let gaps = self.uploads.catalog().gaps().await?;
        if gaps.is_empty() {
            return Ok(true);
        }
        let folders = gaps.prefixes.len();
        tracing::info!(folders, "comparing the index with the store");
        let held = || self.holds(claim);
        let compared = super::compare::folders(&self.uploads, &gaps.prefixes, held).await?;
        let Some(compared) = compared else {
            return Ok(false);
        };
        let whole = self.uploads.catalog().mended(gaps).await?;
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
            self.scan.finished_at = self.clock.now();
        }
        Ok(whole)
    }

    /// Goes on with the regular comparison until its end, or until the index needs another.
    async fn scan(&mut self, mut scan: Scan, claim: &Claim) -> Result<(), RepositoryError> {
        let due = scan.finished_at.after(self.rest());
        if scan.next == 0 && self.clock.now() < due {
            return Ok(());
        }
        // All pauses together are no longer than what is stale may wait.
        let longest = LOOK.min(self.options.stale_after / Prefix::COUNT as u32);
        let mut looked = Instant::now();
        for prefix in Prefix::all().skip(scan.next) {
            let start = Instant::now();
            if !self.holds(claim) {
                return Ok(());
            }
            if looked.elapsed() > LOOK {
                if !self.uploads.catalog().gaps().await?.is_empty() {
                    return Ok(());
                }
                looked = Instant::now();
                self.keep_total().await;
            }
            let compared = folder(&self.uploads, prefix).await?;
            for remains in compared.tombstones {
                self.settle(&remains, claim).await?;
            }
            self.remove_orphans(prefix, self.stale(), claim).await?;
            scan.next += 1;
            self.keep(scan).await?;
            tokio::time::sleep((start.elapsed() * PAUSES).min(longest)).await;
        }
        // Notes of uploads under way that ended with their process are removed by the look.
        self.uploads.noted(self.stale()).await?;
        scan = Scan {
            next: 0,
            finished_at: self.clock.now(),
        };
        self.keep(scan).await
    }

    async fn keep_total(&mut self) {
        if self.options.capped
            && let Err(error) = self.total.keep(&self.uploads).await
        {
            tracing::warn!(%error, "cannot keep in the store how many bytes all uploads take");
        }
    }

    async fn keep(&mut self, scan: Scan) -> Result<(), RepositoryError> {
        self.scan = scan;
        Ok(self.uploads.catalog().set_scan(scan).await?)
    }

    /// Whether the claim still holds, as it was given or renewed since: a comparison may take
    /// longer than one is good for. To be asked before each step that removes something.
    fn holds(&self, claim: &Claim) -> bool {
        let now = self.claims.borrow();
        now.as_ref()
            .is_some_and(|now| now.epoch == claim.epoch && now.is_current())
    }

    /// A file that was touched last before this time belongs to an upload that does not go on.
    fn stale(&self) -> Timestamp {
        self.clock.now().before(self.options.stale_after)
    }

    /// Ends a removal that was cut short, and removes a tombstone that no instance needs any more.
    async fn settle(&self, remains: &Remains, claim: &Claim) -> Result<(), RepositoryError> {
        if !self.holds(claim) {
            return Ok(());
        }
        let tombstone = &remains.tombstone;
        if remains.files {
            let files = self.uploads.clear(tombstone).await?;
            tracing::info!(id = %tombstone.id, files, "ended a removal that was cut short");
        }
        if tombstone.is_over(self.clock.now(), self.options.stale_after) {
            self.uploads.forget_tombstone(tombstone).await?;
        }
        Ok(())
    }

    /// Removes files without a manifest at the start of a process that has the store for itself:
    /// all of them are an earlier one's.
    async fn remove_leftovers(&mut self, claim: &Claim) -> Result<(), RepositoryError> {
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

    async fn remove_orphans(
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
        // The index may have lost the marks of uploads under way, or may never have got them. The
        // store has notes of those uploads that have lasted for long.
        let noted = self.uploads.noted(self.stale()).await?;
        for orphan in orphans {
            if noted.contains(&orphan.id) || self.uploads.is_open(&orphan.id).await? {
                continue;
            }
            if !self.holds(claim) {
                return Ok(());
            }
            let (id, files) = (orphan.id, orphan.files.len());
            if self.uploads.remove_orphan(orphan).await? {
                tracing::info!(%id, files, "removed files of an upload that was never committed");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalog::{Catalog, EmbeddedCatalog};
    use crate::model::Uptime;
    use crate::store::DiskStore;
    use crate::store::disk::{Durability, Options as DiskOptions};

    fn claim(epoch: u64, good_for: Duration) -> Claim {
        Claim {
            holder: "i".to_owned(),
            epoch,
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
        });
        let path = dir.path().join(".wharf/catalog.redb");
        let catalog = Arc::new(EmbeddedCatalog::open(&path, clock.clone()).unwrap());
        let index: Arc<dyn Catalog> = catalog.clone();
        let store = Arc::new(store.unwrap());
        let uploads = Repository::new(store, index, clock.clone(), false);
        let (renew, claims) = watch::channel(None);
        let (_calm, trouble) = watch::channel(None);
        let options = Options {
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
            assert!(!catalog.gaps().await.unwrap().is_empty());
        }
        renew.send_replace(Some(claim(7, hour)));
        comparison.step(&held).await.unwrap();
        assert!(catalog.gaps().await.unwrap().is_empty());
    }
}
