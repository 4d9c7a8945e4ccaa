//! The lease on the cleaning: at any time at most one instance holds it.

mod redis;
mod solo;

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::model::{Timestamp, Uptime};

pub use redis::{LeaseOptions, RedisLease};
pub use solo::Solo;

/// The right to remove what has expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The instance that holds the claim.
    pub holder: String,
    /// Counts the holders; no instance removes anything under a lower epoch any more.
    pub epoch: u64,
    /// When the holder acquired it.
    pub acquired_at: Timestamp,
    /// Until when the claim lasts without renewal; `None` is for ever.
    pub valid_until: Option<Uptime>,
}

impl Claim {
    /// Whether the claim still lasts: to be asked before each step that removes something.
    pub fn is_current(&self) -> bool {
        self.left() > Duration::ZERO
    }

    /// For how long the claim still lasts.
    pub fn left(&self) -> Duration {
        self.valid_until.map_or(Duration::MAX, Uptime::left)
    }
}

/// Waits until this instance has a claim; for ever once no claim can come.
pub async fn claimed(claims: &mut watch::Receiver<Option<Claim>>) -> Claim {
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

/// How instances agree which of them has the claim.
#[async_trait]
pub trait Lease: Send + Sync + 'static {
    /// The claim of this instance, as it changes; `None` while it has none.
    fn claims(&self) -> watch::Receiver<Option<Claim>>;

    /// Releases the lease, so that another instance can acquire it at once.
    async fn release(&self);
}
