//! The cleaner: removes what has come to its end.

mod metrics;
mod orders;
mod sweeper;

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::lease::{Claim, claimed};
use crate::model::Clock;
use crate::repository::Repository;

pub use metrics::Metrics;
use orders::Orders;
pub use sweeper::Sweeper;

/// The longest sleep: after it the deadlines are looked at again, whatever the clock did.
const LONGEST: Duration = Duration::from_secs(60);
/// The same where other instances take uploads as well, whose deadlines nobody tells us.
const LONGEST_SHARED: Duration = Duration::from_secs(1);
/// How long to wait when the index does not answer.
const TROUBLED: Duration = Duration::from_secs(1);

/// The cleaner of one instance; it works while the instance has the claim.
pub struct Expiry {
    uploads: Repository,
    claims: watch::Receiver<Option<Claim>>,
    clock: Clock,
    alone: bool,
    sweeper: Sweeper,
}

impl Expiry {
    /// A cleaner of `uploads` under the claims published on `claims`; `alone` says that no other
    /// instance writes to the store.
    pub fn new(
        uploads: Repository,
        claims: watch::Receiver<Option<Claim>>,
        clock: Clock,
        alone: bool,
        metrics: Metrics,
    ) -> Self {
        Expiry {
            sweeper: Sweeper::new(uploads.clone(), metrics),
            uploads,
            claims,
            clock,
            alone,
        }
    }

    /// Works until `stop`. It is interrupted between uploads, not within one.
    pub async fn run(self, stop: CancellationToken) {
        let orders = Orders::new(
            self.uploads.clone(),
            self.claims.clone(),
            self.clock.clone(),
        );
        tokio::join!(self.sweep(&stop), orders.obey(&stop));
    }

    async fn sweep(mut self, stop: &CancellationToken) {
        loop {
            let claim = tokio::select! {
                () = stop.cancelled() => return,
                claim = claimed(&mut self.claims) => claim,
            };
            let pause = match self.sweeper.pass(self.clock.now(), &claim, stop).await {
                // There may be more.
                Ok(true) => continue,
                Ok(false) => self.until_due().await,
                Err(error) => {
                    tracing::error!(%error, "the cleaner cannot ask the index");
                    TROUBLED
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = self.uploads.catalog().earlier() => {}
            }
        }
    }

    /// How long to sleep until the next deadline.
    async fn until_due(&self) -> Duration {
        let longest = match self.alone {
            true => LONGEST,
            false => LONGEST_SHARED,
        };
        match self.uploads.catalog().next_due().await {
            Ok(Some(due)) => due.since(self.clock.now()).min(longest),
            Ok(None) => longest,
            Err(error) => {
                tracing::error!(%error, "the cleaner cannot ask the index");
                TROUBLED
            }
        }
    }
}
