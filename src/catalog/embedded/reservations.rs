//! The uses of limited downloads, as the embedded index reserves them.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::EmbeddedCatalog;
use super::reservation_table::ReservationTable;
use crate::catalog::{CatalogError, Limit, Reservation, Reservations, Reserved};
use crate::model::{Manifest, UploadId};

impl EmbeddedCatalog {
    pub(super) fn reservations(&self) -> MutexGuard<'_, ReservationTable> {
        // Nothing between a lock and its release can panic.
        self.reservations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Reservations for EmbeddedCatalog {
    async fn reserve(&self, limit: &Limit, ttl: Duration) -> Result<Reserved, CatalogError> {
        let now = self.clock.now();
        Ok(self.reservations().reserve(limit, now, now.after(ttl)))
    }

    async fn commit(
        &self,
        reservation: &Reservation,
        manifest: &Manifest,
    ) -> Result<(), CatalogError> {
        self.reservations().commit(reservation, manifest);
        Ok(())
    }

    async fn release(&self, id: &UploadId, reservation: &Reservation) -> Result<(), CatalogError> {
        self.reservations().release(id, reservation);
        Ok(())
    }
}
