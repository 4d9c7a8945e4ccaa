//! The cleaner: removes what has come to its end, mends the index, clears what crashes left.

mod compare;
mod sweeper;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::lease::Claim;
use crate::model::{Clock, Prefix, Timestamp};
use crate::store::Store;

pub use compare::{Compared, compare};
pub use sweeper::Sweeper;

/// The longest sleep: after it the deadlines are looked at again, whatever the clock did.
const LONGEST: Duration = Duration::from_secs(60);
/// How long to wait when the index does not answer.
const TROUBLED: Duration = Duration::from_secs(5);

/// How the cleaner behaves.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How old a file without a manifest becomes before it is removed while other instances may
    /// be writing.
    pub stale_after: Duration,
    /// Whether no other instance writes to the store: then what an earlier one left is removed at
    /// the start.
    pub alone: bool,
}

/// The cleaner of one instance; it works while the instance has the claim.
pub struct Expiry {
    store: Arc<dyn Store>,
    catalog: Arc<dyn Catalog>,
    claims: watch::Receiver<Option<Claim>>,
    clock: Clock,
    options: Options,
}

impl Expiry {
    /// A cleaner of `store` under the claims published on `claims`.
    pub fn new(
        store: Arc<dyn Store>,
        catalog: Arc<dyn Catalog>,
        claims: watch::Receiver<Option<Claim>>,
        clock: Clock,
        options: Options,
    ) -> Self {
        Expiry {
            store,
            catalog,
            claims,
            clock,
            options,
        }
    }

    /// Works until `stop`. It is interrupted between uploads, not within one.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut orphans_due = self.clock.now();
        let mut before = match self.options.alone {
            true => orphans_due,
            false => orphans_due.before(self.options.stale_after),
        };
        while !stop.is_cancelled() {
            let Some(claim) = self.claims.borrow_and_update().clone() else {
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = self.claims.changed() => match changed {
                        Ok(()) => continue,
                        Err(_) => return,
                    },
                }
            };
            if self.clock.now() >= orphans_due {
                self.remove_orphans(before, &claim, &stop).await;
                orphans_due = self.clock.now().after(self.options.stale_after);
                before = orphans_due.before(self.options.stale_after);
            }
            let sweeper = Sweeper::new(Arc::clone(&self.store), Arc::clone(&self.catalog));
            let pause = match sweeper.pass(self.clock.now(), &claim, &stop).await {
                // There may be more.
                Ok(true) => continue,
                Ok(false) => self.until_due().await,
                Err(error) => {
                    tracing::error!(%error, "the cleaner cannot ask the index");
                    TROUBLED
                }
            };
            let earlier = Arc::clone(&self.catalog);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = earlier.earlier() => {}
                _ = self.claims.changed() => {}
            }
        }
    }

    /// How long to sleep until the next deadline.
    async fn until_due(&self) -> Duration {
        match self.catalog.next_due().await {
            Ok(Some(due)) => due.since(self.clock.now()).min(LONGEST),
            Ok(None) => LONGEST,
            Err(error) => {
                tracing::error!(%error, "the cleaner cannot ask the index");
                TROUBLED
            }
        }
    }

    async fn remove_orphans(&self, before: Timestamp, claim: &Claim, stop: &CancellationToken) {
        let mut removed = 0;
        for prefix in Prefix::all() {
            if stop.is_cancelled() || !claim.is_current() {
                return;
            }
            match self.store.remove_orphans(prefix, before).await {
                Ok(count) => removed += count,
                Err(error) => tracing::error!(%prefix, %error, "cannot look for orphans"),
            }
        }
        if removed > 0 {
            tracing::info!(
                removed,
                "removed files of uploads that were never committed"
            );
        }
    }
}
