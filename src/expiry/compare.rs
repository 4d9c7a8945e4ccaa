//! The comparison of the index with the manifests, which are the truth.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use crate::catalog::{Catalog, CatalogError};
use crate::model::{Prefix, UploadId};
use crate::store::{Store, StoreError};

/// How many manifests are read at once.
const AT_ONCE: usize = 32;

/// What a comparison came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compared {
    /// Whole uploads in the store.
    pub uploads: u64,
    /// Entries of the index without a manifest, which were removed.
    pub forgotten: u64,
    /// Manifests that cannot be understood, or whose files are not there with their sizes; each
    /// is logged.
    pub damaged: u64,
}

/// Brings the index up to what the store holds, then marks it complete. Uploads may come and go
/// meanwhile. Answers `None` when it was stopped.
///
/// # Errors
/// The index fails. A folder or a manifest that cannot be read is logged, and the rest goes on.
pub async fn compare(
    store: Arc<dyn Store>,
    catalog: Arc<dyn Catalog>,
    stop: &CancellationToken,
) -> Result<Option<Compared>, CatalogError> {
    let mut compared = Compared::default();
    for prefix in Prefix::all() {
        if stop.is_cancelled() {
            return Ok(None);
        }
        // In this order: what was in the index before the look, and is not in the store, is gone.
        let known = catalog.with_prefix(prefix).await?;
        let stored = match store.scan(prefix).await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::error!(%prefix, %error, "cannot compare the index with the store");
                continue;
            }
        };
        let present: HashSet<UploadId> = stored.iter().copied().collect();
        for entry in known.iter().filter(|entry| !present.contains(&entry.id)) {
            catalog.forget(&entry.id).await?;
            compared.forgotten += 1;
        }
        let mut records = futures_util::stream::iter(stored)
            .map(|id| record(&*store, &*catalog, id))
            .buffer_unordered(AT_ONCE);
        while let Some(found) = records.next().await {
            match found? {
                Found::Recorded => compared.uploads += 1,
                Found::Damaged => compared.damaged += 1,
                Found::Gone => {}
            }
        }
    }
    catalog.complete().await?;
    Ok(Some(compared))
}

enum Found {
    Recorded,
    Damaged,
    Gone,
}

async fn record(
    store: &dyn Store,
    catalog: &dyn Catalog,
    id: UploadId,
) -> Result<Found, CatalogError> {
    match store.manifest(&id).await {
        Ok(Some(manifest)) => {
            catalog.record(&manifest).await?;
            // A power cut can have taken what was not yet synced (`durability = relaxed`).
            if let Err(error) = store.verify(&manifest).await {
                tracing::error!(%id, %error, "an upload is damaged; what is is not served");
                return Ok(Found::Damaged);
            }
            Ok(Found::Recorded)
        }
        Ok(None) => Ok(Found::Gone),
        Err(error @ (StoreError::Damaged(_) | StoreError::Io { .. })) => {
            tracing::error!(%id, %error, "an upload is left out of the index");
            Ok(Found::Damaged)
        }
        Err(error) => Err(CatalogError::Failed(error.into())),
    }
}
