//! The cleaner: removes what has come to its end, mends the index, clears what crashes left.

mod compare;
mod comparison;
mod metrics;
mod orders;
mod sweeper;
mod total;

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::catalog::CatalogError;
use crate::lease::Claim;
use crate::model::Clock;
use crate::repository::{Repository, RepositoryError};
use crate::store::StoreError;

pub use compare::{Compared, compare};
pub use comparison::Comparison;
pub use metrics::Metrics;
use orders::Orders;
pub use sweeper::Sweeper;
pub use total::recall;

/// The longest sleep: after it the deadlines are looked at again, whatever the clock did.
const LONGEST: Duration = Duration::from_secs(60);
/// The same where other instances take uploads as well, whose deadlines nobody tells us.
const LONGEST_SHARED: Duration = Duration::from_secs(1);
/// How long to wait when the index does not answer.
const TROUBLED: Duration = Duration::from_secs(1);

/// How the cleaner behaves.
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

/// Why the cleaner cannot go on for now.
#[derive(Debug, thiserror::Error)]
pub enum ExpiryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl From<RepositoryError> for ExpiryError {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Store(error) => error.into(),
            RepositoryError::Catalog(error) => error.into(),
        }
    }
}

/// The cleaner of one instance; it works while the instance has the claim.
pub struct Expiry {
    uploads: Repository,
    claims: watch::Receiver<Option<Claim>>,
    clock: Clock,
    options: Options,
    sweeper: Sweeper,
}

/// Waits until this instance has a claim, for ever once none will come.
async fn wait_for_claim(claims: &mut watch::Receiver<Option<Claim>>) -> Claim {
    loop {
        let claim = claims.borrow_and_update().clone();
        if let Some(claim) = claim.filter(Claim::is_current) {
            return claim;
        }
        if claims.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Expiry {
    /// A cleaner of `uploads` under the claims published on `claims`.
    pub fn new(
        uploads: Repository,
        claims: watch::Receiver<Option<Claim>>,
        clock: Clock,
        options: Options,
        metrics: Metrics,
    ) -> Self {
        Expiry {
            sweeper: Sweeper::new(uploads.clone(), metrics),
            uploads,
            claims,
            clock,
            options,
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
                claim = wait_for_claim(&mut self.claims) => claim,
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
        let longest = match self.options.alone {
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
