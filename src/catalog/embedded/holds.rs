//! The uses of limited downloads that are held. They live in memory: a process that dies gives
//! its own back.

use std::collections::HashMap;

use crate::catalog::{Limit, Reserved};
use crate::model::{Timestamp, UploadId};

/// The uses held, by upload.
#[derive(Debug, Default)]
pub struct Holds {
    uploads: HashMap<UploadId, Uses>,
    next: u64,
}

#[derive(Debug, Default)]
struct Uses {
    /// What the manifest has recorded, as far as it was told.
    used: u64,
    /// Until when each is held.
    held: HashMap<u64, Timestamp>,
}

impl Holds {
    pub fn reserve(&mut self, limit: &Limit, now: Timestamp, until: Timestamp) -> Reserved {
        let uses = self.uploads.entry(limit.id).or_default();
        uses.held.retain(|_, end| *end > now);
        uses.used = uses.used.max(limit.used);
        let left = limit.max.saturating_sub(uses.used);
        if left == 0 {
            return Reserved::Spent;
        }
        if uses.held.len() as u64 >= left {
            return Reserved::Busy;
        }
        self.next += 1;
        uses.held.insert(self.next, until);
        Reserved::Held(self.next)
    }

    pub fn keep(&mut self, id: &UploadId, hold: u64, used: u64) {
        if let Some(uses) = self.uploads.get_mut(id) {
            uses.held.remove(&hold);
            uses.used = uses.used.max(used);
        }
    }

    pub fn give_back(&mut self, id: &UploadId, hold: u64) {
        if let Some(uses) = self.uploads.get_mut(id) {
            uses.held.remove(&hold);
        }
    }

    pub fn forget(&mut self, id: &UploadId) {
        self.uploads.remove(id);
    }
}
