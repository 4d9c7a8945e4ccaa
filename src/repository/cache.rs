//! A cache of manifests.

mod in_use;

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use tokio::time::timeout;

use crate::model::{Manifest, UploadId};
use crate::store::{Store, StoreError, Version};
use in_use::InUse;

/// How many manifests the cache is laid out for.
const ITEMS: usize = 16 * 1024;
/// The bytes of manifests it holds, as [`Manifest::weight`] counts them.
const CAPACITY: u64 = 32 * 1024 * 1024;
/// In how many parts it is. A part takes no manifest that is heavier than itself, so that their number
/// does not depend on the processors.
const SHARDS: usize = 4;
/// How long a request waits for another one that reads the same manifest, before it reads it itself: a
/// read that hangs holds no other up for longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A manifest, and the version of its key when it was read; `None` where only this process changes
/// the store, and removes from the cache what it changes.
type Known = (Option<Version>, Arc<Manifest>);

/// Manifests by upload, never older than the store's.
pub struct Manifests {
    cache: Cache<UploadId, Known, ManifestWeight>,
    /// The heavy ones that requests hold, whether or not the cache has room for them.
    in_use: InUse,
    shared: bool,
}

#[derive(Debug, Clone)]
struct ManifestWeight;

impl Weighter<UploadId, Known> for ManifestWeight {
    fn weight(&self, _: &UploadId, (_, manifest): &Known) -> u64 {
        manifest.weight() as u64
    }
}

impl Manifests {
    /// An empty cache; `shared` says that other processes change the store as well.
    pub fn new(shared: bool) -> Self {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(ITEMS)
            .weight_capacity(CAPACITY)
            .shards(SHARDS)
            .build();
        Manifests {
            cache: Cache::with_options(
                options.expect("both capacities are given"),
                ManifestWeight,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            in_use: InUse::default(),
            shared,
        }
    }

    /// The manifest of an upload as it is now.
    pub async fn get(
        &self,
        store: &dyn Store,
        id: &UploadId,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        if self.shared {
            return self.get_shared(store, id).await;
        }
        if let Some((_, manifest)) = self.cache.get(id) {
            return Ok(Some(manifest));
        }
        let guard = match self.cache.get_value_or_guard_async(id).await {
            Ok((_, manifest)) => return Ok(Some(manifest)),
            Err(guard) => guard,
        };
        let manifest = match self.in_use.get(id, None) {
            Some(manifest) => manifest,
            None => {
                let seen = self.in_use.removals();
                let Some(manifest) = store.manifest(id).await?.map(Arc::new) else {
                    return Ok(None);
                };
                self.in_use.put(seen, None, &manifest);
                manifest
            }
        };
        // Refused when the upload was changed since: then the cache has a newer manifest.
        let _ = guard.insert((None, Arc::clone(&manifest)));
        Ok(Some(manifest))
    }

    /// The manifest of an upload: the version that this process has in memory, if it has one, else
    /// the one in the store.
    pub async fn get_any_version(
        &self,
        store: &dyn Store,
        id: &UploadId,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        match self.cache.get(id) {
            Some((_, manifest)) => Ok(Some(manifest)),
            None => match self.in_use.get_any(id) {
                Some(manifest) => Ok(Some(manifest)),
                None => self.get(store, id).await,
            },
        }
    }

    async fn get_shared(
        &self,
        store: &dyn Store,
        id: &UploadId,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        loop {
            // The version before the content: a manifest that changes in between is then read once
            // more.
            let version = store.version(id).await?;
            let Some(version) = &version else {
                self.remove(id);
                return Ok(store.manifest(id).await?.map(Arc::new));
            };
            match self.cache.get(id) {
                Some((known, manifest)) if known.as_ref() == Some(version) => {
                    return Ok(Some(manifest));
                }
                Some(_) => self.remove(id),
                None => {}
            }
            if let Some(manifest) = self.in_use.get(id, Some(version)) {
                return Ok(Some(manifest));
            }
            // One of all who ask at once reads it: it may be large.
            let guard = match timeout(PATIENCE, self.cache.get_value_or_guard_async(id)).await {
                Ok(Ok((known, manifest))) if known.as_ref() == Some(version) => {
                    return Ok(Some(manifest));
                }
                // It has changed in between.
                Ok(Ok(_)) => continue,
                Ok(Err(guard)) => Some(guard),
                Err(_) => None,
            };
            let seen = self.in_use.removals();
            let Some(manifest) = store.manifest(id).await?.map(Arc::new) else {
                return Ok(None);
            };
            self.in_use.put(seen, Some(version.clone()), &manifest);
            if let Some(guard) = guard {
                let _ = guard.insert((Some(version.clone()), Arc::clone(&manifest)));
            }
            return Ok(Some(manifest));
        }
    }

    /// Removes a manifest that was changed.
    pub fn remove(&self, id: &UploadId) {
        // In this order: what comes from there is not kept by the cache afterwards.
        self.in_use.remove(id);
        self.cache.remove(id);
    }
}
