//! The room that uploads under way have reserved. It lives in memory: when the process ends, so
//! do its uploads.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::SharedIndex;
use crate::catalog::{Ask, Capacity, CatalogError};
use crate::model::UploadId;

/// What is reserved, by upload.
#[derive(Debug, Default)]
pub struct ReservedRoom {
    uploads: HashMap<UploadId, u64>,
    sum: u64,
    /// The bytes that are counted as taken, at least, while the index may lack uploads.
    pub least: u64,
}

impl ReservedRoom {
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
impl Capacity for SharedIndex {
    async fn reserve_room(&self, id: &UploadId, ask: Ask) -> Result<Option<u64>, CatalogError> {
        let mut state = self.state()?;
        let stored = match self.complete.load(Ordering::Acquire) {
            true => state.stats.bytes,
            false => state.stats.bytes.max(state.reserved.least),
        };
        Ok(state.reserved.reserve(id, ask, stored))
    }

    fn release_room(&self, id: &UploadId) {
        self.lock().reserved.release(id);
    }

    async fn stored_room(&self) -> Result<Option<u64>, CatalogError> {
        let state = self.state()?;
        let complete = self.complete.load(Ordering::Acquire);
        Ok(complete.then_some(state.stats.bytes))
    }

    fn assume_room(&self, bytes: u64) {
        self.lock().reserved.least = bytes;
    }
}
