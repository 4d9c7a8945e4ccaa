//! The memory that all downloads together may take for the manifests of their uploads.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::Manifest;

/// The bytes of manifests that downloads under way hold together, beside those in the cache.
const MAX_BYTES: usize = 32 << 20;
/// A permit stands for so many bytes.
const UNIT: usize = 1024;
/// A manifest of no more bytes than this is held by each download that reads it.
const SMALL_MANIFEST: usize = 4 << 10;

/// Says which manifests may be held while a reader takes its time. One that may not is let go
/// between two blocks, and asked for again.
#[derive(Debug, Clone)]
pub struct ManifestBudget(Arc<Semaphore>);

/// A manifest that its holder may keep for as long as it likes.
#[derive(Debug)]
pub struct HeldManifest {
    pub manifest: Arc<Manifest>,
    /// Its bytes, of the budget.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Default for ManifestBudget {
    fn default() -> Self {
        Self::new(MAX_BYTES)
    }
}

impl ManifestBudget {
    /// One of so many bytes.
    pub fn new(most: usize) -> Self {
        ManifestBudget(Arc::new(Semaphore::new(most / UNIT)))
    }

    /// `manifest`, to be held; `None` when others hold too much.
    pub fn hold(&self, manifest: &Arc<Manifest>) -> Option<HeldManifest> {
        let weight = manifest.weight();
        if weight <= SMALL_MANIFEST {
            return Some(HeldManifest::light(manifest));
        }
        let units = u32::try_from(weight.div_ceil(UNIT)).ok()?;
        let permit = Arc::clone(&self.0).try_acquire_many_owned(units).ok()?;
        Some(HeldManifest {
            manifest: Arc::clone(manifest),
            _permit: Some(permit),
        })
    }
}

impl HeldManifest {
    /// A manifest that is small enough to count as memory of its download.
    pub fn light(manifest: &Arc<Manifest>) -> Self {
        HeldManifest {
            manifest: Arc::clone(manifest),
            _permit: None,
        }
    }
}
