//! The memory that all downloads together may take for the manifests of their uploads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::Manifest;

/// The bytes of manifests that downloads under way hold together, beside those in the cache.
const MAX_BYTES: usize = 32 << 20;
/// A permit stands for so many bytes.
const UNIT: usize = 1024;
/// A manifest of no more bytes than this is held by each download that reads it.
const SMALL_MANIFEST: usize = 4 << 10;

/// Says which manifests may be held while a reader takes its time. One that may not is let go
/// between two blocks, and asked for again. One that many hold counts once.
#[derive(Debug, Clone)]
pub struct ManifestBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    room: Arc<Semaphore>,
    /// The bytes of all its permits, in units.
    units: u32,
    /// The manifests that are held, by their addresses, which are theirs as long as they are held.
    /// A std mutex: held for a look or a change.
    held: Mutex<HashMap<usize, Weak<Hold>>>,
}

/// The room that a manifest takes, for all that hold it.
#[derive(Debug)]
struct Hold {
    shared: Arc<Shared>,
    manifest: Arc<Manifest>,
    _permit: OwnedSemaphorePermit,
}

/// A manifest that its holder may keep for as long as it likes.
#[derive(Debug)]
pub struct HeldManifest {
    pub manifest: Arc<Manifest>,
    /// Its bytes, of the budget.
    _hold: Option<Arc<Hold>>,
}

impl Default for ManifestBudget {
    fn default() -> Self {
        Self::new(MAX_BYTES)
    }
}

impl ManifestBudget {
    /// One of so many bytes.
    pub fn new(most: usize) -> Self {
        let units = u32::try_from(most / UNIT).unwrap_or(u32::MAX);
        ManifestBudget(Arc::new(Shared {
            room: Arc::new(Semaphore::new(units as usize)),
            units,
            held: Mutex::default(),
        }))
    }

    /// `manifest`, to be held; `None` when others hold too much. One that is larger than all of the
    /// budget takes all of it: how large a manifest can be has a bound of its own.
    pub fn hold(&self, manifest: &Arc<Manifest>) -> Option<HeldManifest> {
        let weight = manifest.weight();
        if weight <= SMALL_MANIFEST {
            return Some(HeldManifest::light(manifest));
        }
        let mut held = self.0.held();
        let known = held.get(&address(manifest)).and_then(Weak::upgrade);
        let hold = match known {
            Some(hold) => hold,
            None => {
                let units = u32::try_from(weight.div_ceil(UNIT)).unwrap_or(u32::MAX);
                let units = units.min(self.0.units.max(1));
                let room = Arc::clone(&self.0.room);
                let hold = Arc::new(Hold {
                    _permit: room.try_acquire_many_owned(units).ok()?,
                    manifest: Arc::clone(manifest),
                    shared: Arc::clone(&self.0),
                });
                held.insert(address(manifest), Arc::downgrade(&hold));
                hold
            }
        };
        Some(HeldManifest {
            manifest: Arc::clone(manifest),
            _hold: Some(hold),
        })
    }
}

fn address(manifest: &Arc<Manifest>) -> usize {
    Arc::as_ptr(manifest).addr()
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, HashMap<usize, Weak<Hold>>> {
        // A panic cannot leave it half changed.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let (mut held, address) = (self.shared.held(), address(&self.manifest));
        // Another may have begun to hold it since the last one let it go.
        if held
            .get(&address)
            .is_some_and(|hold| hold.strong_count() == 0)
        {
            held.remove(&address);
        }
    }
}

impl HeldManifest {
    /// A manifest that is small enough to count as memory of its download.
    pub fn light(manifest: &Arc<Manifest>) -> Self {
        HeldManifest {
            manifest: Arc::clone(manifest),
            _hold: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Part, StoredFile};

    fn manifest(files: usize) -> Arc<Manifest> {
        let files = (0..files).map(|i| Part::sample(StoredFile::sample(&i.to_string(), 1)));
        Arc::new(Manifest::sample(files.collect()))
    }

    #[test]
    fn what_many_hold_counts_once() {
        let (one, other) = (manifest(100), manifest(100));
        let budget = ManifestBudget::new(one.weight() * 3 / 2);
        let first = budget.hold(&one).unwrap();
        let second = budget.hold(&one).unwrap();
        assert!(budget.hold(&other).is_none());
        drop(first);
        assert!(budget.hold(&other).is_none());
        drop(second);
        assert!(budget.0.held().is_empty());
        assert!(budget.hold(&other).is_some());
        assert!(budget.hold(&one).is_some());
    }

    #[test]
    fn one_that_is_larger_than_all_there_is_is_held_alone() {
        let (small, large) = (manifest(100), manifest(1000));
        let budget = ManifestBudget::new(large.weight() / 2);
        let all = budget.hold(&large).unwrap();
        assert!(budget.hold(&small).is_none());
        assert!(budget.hold(&large).is_some());
        drop(all);
        let some = budget.hold(&small).unwrap();
        assert!(budget.hold(&large).is_none());
        drop(some);
        assert!(budget.hold(&large).is_some());
        // Without a budget nothing is held but what is light.
        let none = ManifestBudget::new(0);
        assert!(none.hold(&small).is_none() && none.hold(&manifest(0)).is_some());
    }
}
