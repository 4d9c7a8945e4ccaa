//! The markers of uploads: keys with the deadline as their time to live.

use async_trait::async_trait;
use redis::cmd;
use tokio::sync::broadcast;

use super::answers::{failed, millis};
use super::{RedisCatalog, scripts};
use crate::catalog::{CatalogError, Markers};
use crate::model::{Manifest, Timestamp, UploadId};

#[async_trait]
impl Markers for RedisCatalog {
    async fn marker_expired(&self) -> UploadId {
        let mut messages = self.expired_keys.lock().await;
        loop {
            match messages.recv().await {
                Ok(message) if message.channel == self.expired_channel => {
                    if let Some(id) = self.shards.upload_of_marker(&message.payload) {
                        return id;
                    }
                }
                // A deadline that was missed is still in the index.
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    async fn is_unmarked(&self, id: &UploadId, time: Timestamp) -> Result<bool, CatalogError> {
        let keys = self.shards.of(id, &["upload", "marker"]);
        let unmarked: u8 = self.eval(scripts::UNMARKED, &keys, &[millis(time)]).await?;
        Ok(unmarked == 1)
    }

    async fn set_marker(&self, manifest: &Manifest) -> Result<(), CatalogError> {
        let Some(deadline) = manifest.expires_at else {
            return Ok(());
        };
        let mut set = cmd("SET");
        set.arg(self.shards.of(&manifest.id, &["marker"]));
        set.arg("").arg("PXAT").arg(millis(deadline));
        self.link.run(&set).await.map_err(failed)
    }
}
