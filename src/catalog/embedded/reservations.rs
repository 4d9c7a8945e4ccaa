//! The uses of limited downloads that are reserved. They live in memory: a process that dies
//! releases its own.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::EmbeddedCatalog;
use crate::catalog::{CatalogError, Limit, Reservations, Reserved};
use crate::model::{Timestamp, UploadId};

/// The reserved uses, by upload.
#[derive(Debug, Default)]
pub struct ReservationTable {
    uploads: HashMap<UploadId, UploadUses>,
    /// The number of the last reservation.
    last: u64,
}

#[derive(Debug, Default)]
struct UploadUses {
    /// What the manifest has recorded, as far as the index was told.
    used: u64,
    /// Until when each use is reserved, by number.
    reserved: HashMap<u64, Timestamp>,
}

impl ReservationTable {
    fn reserve(&mut self, limit: &Limit, now: Timestamp, until: Timestamp) -> Reserved {
        let uses = self.uploads.entry(limit.id).or_default();
        uses.reserved.retain(|_, end| *end > now);
        uses.used = uses.used.max(limit.used);
        let left = limit.max.saturating_sub(uses.used);
        if left == 0 {
            return Reserved::Spent;
        }
        if uses.reserved.len() as u64 >= left {
            return Reserved::Busy;
        }
        self.last += 1;
        uses.reserved.insert(self.last, until);
        Reserved::Use(self.last)
    }

    fn commit(&mut self, id: &UploadId, number: u64, used: u64) {
        if let Some(uses) = self.uploads.get_mut(id) {
            uses.reserved.remove(&number);
            uses.used = uses.used.max(used);
        }
    }

    fn release(&mut self, id: &UploadId, number: u64) {
        if let Some(uses) = self.uploads.get_mut(id) {
            uses.reserved.remove(&number);
        }
    }

    /// Removes an upload that does not exist any more.
    pub fn remove(&mut self, id: &UploadId) {
        self.uploads.remove(id);
    }
}

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

    async fn commit(&self, id: &UploadId, number: u64, used: u64) -> Result<(), CatalogError> {
        self.reservations().commit(id, number, used);
        Ok(())
    }

    async fn release(&self, id: &UploadId, number: u64) -> Result<(), CatalogError> {
        self.reservations().release(id, number);
        Ok(())
    }
}
