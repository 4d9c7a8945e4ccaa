//! The uses of limited downloads that are reserved. Each ends by itself soon after the process
//! that has reserved it: see [`renewals`](super::renewals).

use std::time::Duration;

use async_trait::async_trait;
use redis::cmd;

use super::{RESERVATION_TTL, RedisCatalog, failed, scripts};
use crate::catalog::{CatalogError, Limit, Reservations, Reserved};
use crate::model::UploadId;

#[async_trait]
impl Reservations for RedisCatalog {
    async fn reserve(&self, limit: &Limit, _ttl: Duration) -> Result<Reserved, CatalogError> {
        let id = &limit.id;
        let mut number = [0; 8];
        getrandom::fill(&mut number).map_err(|error| CatalogError::Failed(Box::new(error)))?;
        let number = u64::from_le_bytes(number);
        let keys = self.shards.of(id, &["taken", "upload"]);
        let args = [
            number.to_string(),
            limit.max.to_string(),
            limit.used.to_string(),
            RESERVATION_TTL.as_millis().to_string(),
        ];
        let answer: u8 = self.eval(scripts::RESERVE, &keys, &args).await?;
        Ok(match answer {
            0 => {
                self.renewals.add(*id, number);
                Reserved::Use(number)
            }
            1 => Reserved::Busy,
            _ => Reserved::Spent,
        })
    }

    async fn commit(&self, id: &UploadId, number: u64, used: u64) -> Result<(), CatalogError> {
        self.renewals.remove(id, number);
        let keys = self.shards.of(id, &["taken", "upload"]);
        let args = [number.to_string(), used.to_string()];
        self.eval::<u8>(scripts::COMMIT, &keys, &args).await?;
        Ok(())
    }

    async fn release(&self, id: &UploadId, number: u64) -> Result<(), CatalogError> {
        self.renewals.remove(id, number);
        let mut remove = cmd("ZREM");
        remove.arg(self.shards.of(id, &["taken"])).arg(number);
        self.link.run(&remove).await.map_err(failed)
    }
}
