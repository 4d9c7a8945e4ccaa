//! The cap on all that is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::IngestError;
use crate::catalog::Catalog;
use crate::model::units::format_size;
use crate::store::StoreError;

/// Counts what uploads under way add to what is stored.
#[derive(Debug, Clone)]
pub struct Quota {
    max: Option<u64>,
    under_way: Arc<AtomicU64>,
}

/// What one upload has added so far; given back when it is dropped.
#[derive(Debug)]
pub struct Claim {
    quota: Quota,
    stored: u64,
    taken: u64,
}

impl Quota {
    pub fn new(max: Option<u64>) -> Self {
        let under_way = Arc::new(AtomicU64::new(0));
        Quota { max, under_way }
    }

    /// Begins an upload.
    pub async fn claim(&self, catalog: &dyn Catalog) -> Result<Claim, IngestError> {
        let stored = match self.max {
            Some(_) => catalog.stats().await?.bytes,
            None => 0,
        };
        let mut claim = Claim {
            quota: self.clone(),
            stored,
            taken: 0,
        };
        claim.take(0)?;
        Ok(claim)
    }
}

impl Claim {
    /// Adds `bytes` of a file.
    ///
    /// # Errors
    /// With them the store would hold more than it may.
    pub fn take(&mut self, bytes: u64) -> Result<(), IngestError> {
        let Some(max) = self.quota.max else {
            return Ok(());
        };
        let under_way = self.quota.under_way.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.taken += bytes;
        let full =
            self.stored.saturating_add(under_way) > max || (bytes == 0 && self.stored >= max);
        if full {
            let max = format_size(max);
            let reached = format!("the store would hold more than max_total_size ({max})");
            return Err(StoreError::NoSpace(reached).into());
        }
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.quota
            .under_way
            .fetch_sub(self.taken, Ordering::Relaxed);
    }
}
