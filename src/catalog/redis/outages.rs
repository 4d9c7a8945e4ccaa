//! The outages of Redis.

use async_trait::async_trait;

use super::RedisCatalog;
use crate::catalog::Outages;

#[async_trait]
impl Outages for RedisCatalog {
    async fn reachable_again(&self) {
        self.link.reachable_again().await;
    }

    async fn changes_lost(&self) {
        let mut servers = self.servers.lock().await;
        if servers.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
