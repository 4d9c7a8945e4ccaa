//! The room that uploads under way have reserved. It lives in memory: with the process its
//! uploads end.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::EmbeddedCatalog;
use crate::catalog::{Ask, Capacity, CatalogError};
use crate::model::UploadId;

/// What is reserved, by upload.
#[derive(Debug, Default)]
pub struct Reservations {
    uploads: HashMap<UploadId, u64>,
    sum: u64,
    /// The least that is counted as taken while the index may lack uploads.
    pub least: u64,
}

impl Reservations {
    fn reserve(&mut self, id: &UploadId, ask: Ask, stored: u64) -> Option<u64> {
        let before = self.uploads.get(id).copied().unwrap_or(0);
        let others = self.sum - before;
        let granted = ask.grant(stored, others, before);
        self.sum = others + granted.unwrap_or(0);
        match granted {
            Some(bytes) => self.uploads.insert(*id, bytes),
            None => self.uploads.remove(id),
        };
        granted
    }

    pub fn release(&mut self, id: &UploadId) {
        self.sum -= self.uploads.remove(id).unwrap_or(0);
    }
}

#[async_trait]
impl Capacity for EmbeddedCatalog {
    async fn reserve_room(&self, id: &UploadId, ask: Ask) -> Result<Option<u64>, CatalogError> {
        let mut state = self.shared.state()?;
        let stored = match self.shared.complete.load(Ordering::Acquire) {
            true => state.stats.bytes,
            false => state.stats.bytes.max(state.reserved.least),
        };
        Ok(state.reserved.reserve(id, ask, stored))
    }

    fn release_room(&self, id: &UploadId) {
        self.shared.lock().reserved.release(id);
    }

    async fn stored_room(&self) -> Result<Option<u64>, CatalogError> {
        let state = self.shared.state()?;
        let complete = self.shared.complete.load(Ordering::Acquire);
        Ok(complete.then_some(state.stats.bytes))
    }

    fn assume_room(&self, bytes: u64) {
        self.shared.lock().reserved.least = bytes;
    }
}
