//! The manifests, cached, and the one way to change them.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::catalog::{Catalog, CatalogError};
use crate::model::{Manifest, Part, UploadId};
use crate::store::{Replaced, Store, StoreError};

use super::DeliveryError;

/// How many manifests the cache is laid out for.
const ITEMS: usize = 16 * 1024;
/// The bytes of manifests it holds, as [`Weight`] reckons them.
const CAPACITY: u64 = 32 * 1024 * 1024;

/// The manifests of a store. What is changed through it is never read stale from it.
#[derive(Clone)]
pub struct Manifests {
    store: Arc<dyn Store>,
    catalog: Arc<dyn Catalog>,
    cache: Arc<Cache<UploadId, Arc<Manifest>, Weight>>,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<UploadId, Arc<Manifest>> for Weight {
    fn weight(&self, _: &UploadId, manifest: &Arc<Manifest>) -> u64 {
        let text: usize = manifest.parts.iter().map(part_weight).sum();
        (size_of::<Manifest>() + text) as u64
    }
}

fn part_weight(part: &Part) -> usize {
    size_of::<Part>()
        + match part {
            Part::Field(field) => field.field.as_bytes().len() + field.value.as_bytes().len(),
            Part::File { field, file } => {
                field.as_bytes().len() + file.original.as_bytes().len() + file.name.as_str().len()
            }
        }
}

impl Manifests {
    pub(super) fn new(store: Arc<dyn Store>, catalog: Arc<dyn Catalog>) -> Self {
        Manifests {
            store,
            catalog,
            cache: Arc::new(Cache::with_weighter(ITEMS, CAPACITY, Weight)),
        }
    }

    /// The manifest of an upload, whether or not it is over.
    ///
    /// # Errors
    /// The store fails, or it is damaged.
    pub async fn get(&self, id: &UploadId) -> Result<Option<Arc<Manifest>>, StoreError> {
        let guard = match self.cache.get_value_or_guard_async(id).await {
            Ok(manifest) => return Ok(Some(manifest)),
            Err(guard) => guard,
        };
        let Some(manifest) = self.store.manifest(id).await? else {
            return Ok(None);
        };
        let manifest = Arc::new(manifest);
        // Refused when the upload was changed since: then the cache has a newer one.
        let _ = guard.insert(Arc::clone(&manifest));
        Ok(Some(manifest))
    }

    /// Changes a manifest by `change`, which answers `false` to leave it; the generation is
    /// counted on. Answers the manifest as it is then, `None` when there is none.
    ///
    /// # Errors
    /// The store or the index fails. After an error of the index the change is stored.
    pub async fn update(
        &self,
        id: &UploadId,
        mut change: impl FnMut(&mut Manifest) -> bool + Send,
    ) -> Result<Option<Arc<Manifest>>, DeliveryError> {
        loop {
            let Some(mut manifest) = self.store.manifest(id).await? else {
                self.cache.remove(id);
                return Ok(None);
            };
            if !change(&mut manifest) {
                return Ok(Some(Arc::new(manifest)));
            }
            manifest.generation += 1;
            match self.store.replace(&manifest).await? {
                Replaced::Changed => continue,
                Replaced::Gone => {
                    self.cache.remove(id);
                    return Ok(None);
                }
                Replaced::Done => {}
            }
            let manifest = Arc::new(manifest);
            self.cache.remove(id);
            self.catalog.record(&manifest).await?;
            return Ok(Some(manifest));
        }
    }

    /// Removes an upload. Answers whether there was one.
    ///
    /// # Errors
    /// The store or the index fails.
    pub async fn remove(&self, id: &UploadId) -> Result<bool, DeliveryError> {
        let removed = self.store.remove(id).await;
        self.cache.remove(id);
        let removed = removed?;
        match self.catalog.forget(id).await {
            Ok(()) | Err(CatalogError::Rebuilding) => Ok(removed),
            Err(error) => Err(error.into()),
        }
    }
}
