//! Who cleans up: at any time at most one instance holds the lease.

mod solo;

use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::watch;

pub use solo::Solo;

/// The right to remove what has expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The instance that has it.
    pub holder: String,
    /// Counts the holders; nothing is done under a lower one any more.
    pub epoch: u64,
    /// Until when it is good without renewal; `None` is for ever.
    pub valid_until: Option<Instant>,
}

impl Claim {
    /// Whether it still holds: to be asked before each step that removes something.
    pub fn is_current(&self) -> bool {
        self.valid_until.is_none_or(|end| Instant::now() < end)
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
