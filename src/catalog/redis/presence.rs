//! The open uploads of all instances.

use async_trait::async_trait;
use redis::cmd;

use super::RedisCatalog;
use super::answers::failed;
use crate::catalog::{CatalogError, Presence};
use crate::model::UploadId;

#[async_trait]
impl Presence for RedisCatalog {
    fn open(&self, id: UploadId) -> Box<dyn Send + Sync> {
        self.renewals.open(id)
    }

    async fn is_open(&self, id: &UploadId) -> Result<bool, CatalogError> {
        let mut exists = cmd("EXISTS");
        exists.arg(self.shards.of(id, &["open"]));
        self.link.run(&exists).await.map_err(failed)
    }
}
