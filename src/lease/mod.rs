//! Who cleans up: at any time at most one instance holds the lease.

mod redis;
mod solo;

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::model::Uptime;

pub use redis::{Options, RedisLease};
pub use solo::Solo;

/// The right to remove what has expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The instance that has it.
    pub holder: String,
    /// Counts the holders; nothing is done under a lower one any more.
    pub epoch: u64,
    /// Until when it is good without renewal; `None` is for ever.
    pub valid_until: Option<Uptime>,
}

impl Claim {
    /// Whether it still holds: to be asked before each step that removes something.
    pub fn is_current(&self) -> bool {
        self.left() > Duration::ZERO
    }

    /// For how long it still holds.
    pub fn left(&self) -> Duration {
        self.valid_until.map_or(Duration::MAX, Uptime::left)
    }
}

/// Waits until this instance has a claim, for ever once none will come.
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

/// A way to agree on who has the claim.
#[async_trait]
pub trait Lease: Send + Sync + 'static {
    /// This instance's claim, as it comes and goes; `None` while it has none.
    fn claims(&self) -> watch::Receiver<Option<Claim>>;

    /// Gives the claim up, for another to take at once.
    async fn release(&self);
}
