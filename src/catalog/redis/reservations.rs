//! The uses of limited downloads that are reserved. Each ends by itself soon after the process
//! that has reserved it: see [`renewals`](super::renewals).

use std::time::Duration;

use async_trait::async_trait;
use redis::cmd;

use super::answers::failed;
use super::renewals::RESERVATION_TTL;
use super::{RedisCatalog, scripts};
use crate::catalog::{CatalogError, Limit, Reservation, Reservations, Reserved};
use crate::model::{Manifest, Portion, UploadId};

#[async_trait]
impl Reservations for RedisCatalog {
    async fn reserve(&self, limit: &Limit, _ttl: Duration) -> Result<Reserved, CatalogError> {
        let id = &limit.id;
        let mut number = [0; 8];
        getrandom::fill(&mut number).map_err(|error| CatalogError::Failed(Box::new(error)))?;
        let reservation = Reservation {
            number: u64::from_le_bytes(number),
            portion: limit.portion.clone(),
        };
        let keys = self.shards.of(id, &["taken", "upload"]);
        let mut args = vec![
            reservation.to_string(),
            limit.max.to_string(),
            limit.generation.to_string(),
            RESERVATION_TTL.as_millis().to_string(),
            match &limit.portion {
                Portion::Form => String::new(),
                Portion::File(place) => format!("/{place}"),
                Portion::Files(places) => places.iter().map(|place| format!("/{place}")).collect(),
            },
            limit.used.to_string(),
        ];
        for (place, used) in limit.fewer.iter() {
            args.extend([place.to_string(), used.to_string()]);
        }
        let answer: u8 = self.eval(scripts::RESERVE, &keys, &args).await?;
        Ok(match answer {
            0 => {
                self.renewals.add(*id, reservation.clone());
                Reserved::Use(reservation)
            }
            1 => Reserved::Busy,
            2 => Reserved::Spent,
            _ => Reserved::Stale,
        })
    }

    async fn commit(
        &self,
        reservation: &Reservation,
        manifest: &Manifest,
    ) -> Result<(), CatalogError> {
        let id = &manifest.id;
        self.renewals.remove(id, reservation);
        let keys = self.shards.of(id, &["taken", "upload"]);
        let args = [reservation.to_string(), manifest.used.to_string()];
        self.eval::<u8>(scripts::COMMIT, &keys, &args).await?;
        Ok(())
    }

    async fn release(&self, id: &UploadId, reservation: &Reservation) -> Result<(), CatalogError> {
        self.renewals.remove(id, reservation);
        let mut remove = cmd("ZREM");
        remove.arg(self.shards.of(id, &["taken"]));
        remove.arg(reservation.to_string());
        self.link.run(&remove).await.map_err(failed)
    }
}
