//! When uploads of the index in Redis are due.

use async_trait::async_trait;

use super::answers::millis;
use super::{RedisCatalog, scripts};
use crate::catalog::{CatalogError, Deadlines};
use crate::model::{Timestamp, UploadId};

#[async_trait]
impl Deadlines for RedisCatalog {
    async fn due(
        &self,
        now: Timestamp,
        limit: usize,
        again: Timestamp,
    ) -> Result<Vec<UploadId>, CatalogError> {
        let mut earliest = self.earliest().await?;
        earliest.retain(|(at, _)| *at <= now);
        earliest.sort();
        let mut taken: Vec<UploadId> = Vec::new();
        for (_, key) in earliest {
            let left = limit - taken.len();
            if left == 0 {
                break;
            }
            let args = [millis(now), left.to_string(), millis(again)];
            let ids: Vec<String> = match self.eval(scripts::DUE, &[key], &args).await {
                Ok(ids) => ids,
                Err(error) if taken.is_empty() => return Err(error),
                Err(_) => break,
            };
            taken.extend(ids.iter().filter_map(|id| id.parse::<UploadId>().ok()));
        }
        Ok(taken)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, CatalogError> {
        let earliest = self.earliest().await?.into_iter();
        Ok(earliest.map(|(at, _)| at).min())
    }

    async fn postpone(&self, id: &UploadId, until: Timestamp) -> Result<(), CatalogError> {
        let keys = self.shards.of(id, &["upload", "due!"]);
        let args = [id.to_string(), millis(until)];
        self.eval::<u8>(scripts::POSTPONE, &keys, &args).await?;
        Ok(())
    }

    async fn wait_for_earlier(&self) {
        self.earlier.notified().await;
    }
}
