//! A cache of manifests.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::model::{Manifest, UploadId};
use crate::store::{Store, StoreError, Version};

/// How many manifests the cache is laid out for.
const ITEMS: usize = 16 * 1024;
/// The bytes of manifests it holds, as [`Manifest::weight`] counts them.
const CAPACITY: u64 = 32 * 1024 * 1024;

/// A manifest, and the version of its key when it was read; `None` where only this process changes
/// the store, and removes from the cache what it changes.
type Known = (Option<Version>, Arc<Manifest>);

/// Manifests by upload, never older than the store's.
pub struct Manifests {
    cache: Cache<UploadId, Known, ManifestWeight>,
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
        Manifests {
            cache: Cache::with_weighter(ITEMS, CAPACITY, ManifestWeight),
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
        let Some(manifest) = store.manifest(id).await?.map(Arc::new) else {
            return Ok(None);
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
            None => self.get(store, id).await,
        }
    }

    async fn get_shared(
        &self,
        store: &dyn Store,
        id: &UploadId,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        // The version before the content: a manifest that changes in between is then read once more.
        let version = store.version(id).await?;
        if let (Some(version), Some((Some(known), manifest))) = (&version, self.cache.get(id))
            && *version == known
        {
            return Ok(Some(manifest));
        }
        let manifest = store.manifest(id).await?.map(Arc::new);
        match (&manifest, version) {
            (Some(manifest), Some(version)) => {
                let known = (Some(version), Arc::clone(manifest));
                self.cache.insert(*id, known);
            }
            _ => self.remove(id),
        }
        Ok(manifest)
    }

    /// Removes a manifest that was changed.
    pub fn remove(&self, id: &UploadId) {
        self.cache.remove(id);
    }
}
