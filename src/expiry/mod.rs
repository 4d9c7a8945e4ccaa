//! The cleaner: removes uploads that have expired or are used up.

mod markers;
mod metrics;
mod sweeper;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::lease::{Claim, claimed};
use crate::model::Clock;
use crate::repository::Repository;

use markers::MarkerListener;
pub use metrics::ExpiryMetrics;
pub use sweeper::Sweeper;

/// The longest sleep: then the deadlines are read again, for the clock may have changed.
const MAX_SLEEP: Duration = Duration::from_secs(60);
/// The same where other instances take uploads as well, and do not tell this one of deadlines.
const MAX_SLEEP_SHARED: Duration = Duration::from_secs(1);
/// The pause after an index that did not answer.
const RETRY_DELAY: Duration = Duration::from_secs(1);

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
        metrics: ExpiryMetrics,
    ) -> Self {
        Expiry {
            sweeper: Sweeper::new(uploads.clone(), clock.clone(), metrics),
            uploads,
            claims,
            clock,
            alone,
        }
    }

    /// Works until `stop`. It is interrupted between uploads, not within one.
    pub async fn run(self, stop: CancellationToken) {
        let (uploads, claims, clock) = (
            self.uploads.clone(),
            self.claims.clone(),
            self.clock.clone(),
        );
        let listen = async {
            if let Some(markers) = uploads.catalog().markers() {
                let listener = MarkerListener::new(&uploads, markers, claims, clock);
                listener.run(&stop).await;
            }
        };
        tokio::join!(self.sweep(&stop), listen);
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
                    tracing::error!(%error, "cannot read the deadlines from the index; trying again");
                    RETRY_DELAY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = self.uploads.catalog().wait_for_earlier() => {}
            }
        }
    }

    /// How long to sleep until the next deadline.
    async fn until_due(&self) -> Duration {
        let longest = match self.alone {
            true => MAX_SLEEP,
            false => MAX_SLEEP_SHARED,
        };
        match self.uploads.catalog().next_due().await {
            Ok(Some(due)) => due.since(self.clock.now()).min(longest),
            Ok(None) => longest,
            Err(error) => {
                tracing::error!(%error, "cannot read the deadlines from the index; trying again");
                RETRY_DELAY
            }
        }
    }
}
