//! The room that uploads under way have reserved. It lives in memory: when the process ends, so
//! do its uploads.

use std::collections::HashMap;

use crate::catalog::Ask;
use crate::model::UploadId;

/// The reserved bytes, by upload.
#[derive(Debug, Default)]
pub struct ReservedRoom {
    uploads: HashMap<UploadId, u64>,
    sum: u64,
    /// The bytes that are counted as taken, at least, while the index may lack uploads.
    pub least: u64,
}

impl ReservedRoom {
    pub fn reserve(&mut self, id: &UploadId, ask: Ask, stored: u64) -> Option<u64> {
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
