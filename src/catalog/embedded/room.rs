//! The room of the store, as the embedded index counts it.

use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::shared::SharedIndex;
use crate::catalog::{Ask, Capacity, CatalogError};
use crate::model::UploadId;

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
