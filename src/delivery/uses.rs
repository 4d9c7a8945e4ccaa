//! The uses of limited downloads: held from before the first byte, kept before the last.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::{Catalog, Reserved};
use crate::model::{Manifest, UploadId};

use super::{Delivery, DeliveryError, Manifests, Representation};

/// How long a use is held for a download that nobody ends, as that of a dead process.
pub const HOLD: Duration = Duration::from_secs(24 * 3600);

/// One use of each limited upload in a download. Dropped before it is kept, it is given back.
pub(super) struct Uses {
    catalog: Arc<dyn Catalog>,
    manifests: Manifests,
    held: Vec<(UploadId, u64)>,
}

impl Delivery {
    /// Takes a use of each upload in `representation` whose downloads are counted.
    pub(super) async fn reserve(
        &self,
        representation: &Representation,
    ) -> Result<Uses, DeliveryError> {
        let mut uses = Uses {
            catalog: Arc::clone(&self.catalog),
            manifests: self.manifests.clone(),
            held: Vec::new(),
        };
        for manifest in &representation.limited {
            match self.catalog.reserve(manifest, HOLD).await? {
                Reserved::Held(hold) => uses.held.push((manifest.id, hold)),
                Reserved::Busy => return Err(DeliveryError::Busy(manifest.id.to_string())),
                Reserved::Spent => return Err(DeliveryError::NotFound(manifest.id.to_string())),
            }
        }
        Ok(uses)
    }
}

impl Uses {
    /// Spends the uses: records them in the manifests. An upload that was removed since has
    /// nothing left to count.
    pub async fn keep(&mut self) -> Result<(), DeliveryError> {
        while let Some(&(id, hold)) = self.held.last() {
            let count = |manifest: &mut Manifest| {
                manifest.used += 1;
                true
            };
            let updated = self.manifests.update(&id, count).await?;
            self.held.pop();
            let used = updated.map_or(u64::MAX, |manifest| manifest.used);
            self.catalog.keep(&id, hold, used).await?;
        }
        Ok(())
    }
}

impl Drop for Uses {
    fn drop(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let (catalog, held) = (Arc::clone(&self.catalog), std::mem::take(&mut self.held));
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            for (id, hold) in held {
                if let Err(error) = catalog.give_back(&id, hold).await {
                    tracing::warn!(%id, %error, "a download that broke off is still counted as under way");
                }
            }
        });
    }
}
