//! The outages of a server that holds an index.

use async_trait::async_trait;

/// The part of an index that knows what its server, another process, goes through.
#[async_trait]
pub trait Outages: Send + Sync {
    /// Returns when the server was away, or will be, and can be reached again.
    async fn reachable_again(&self);

    /// Returns when the server may have lost what was recorded in the last minute.
    async fn changes_lost(&self);
}
