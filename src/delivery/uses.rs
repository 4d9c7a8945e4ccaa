//! The uses of limited downloads: held from before the first byte, kept before the last.

use std::time::Duration;

use crate::catalog::Reserved;
use crate::model::{Manifest, UploadId};
use crate::repository::Repository;

use super::{Delivery, DeliveryError, Representation};

/// How long a use is held for a download that nobody ends.
const HOLD: Duration = Duration::from_secs(24 * 3600);

/// One use of each limited upload in a download. Dropped before it is kept, it is given back.
pub(super) struct Uses {
    uploads: Repository,
    held: Vec<(UploadId, u64)>,
}

impl Delivery {
    /// Takes a use of each upload in `representation` whose downloads are counted.
    pub(super) async fn reserve(
        &self,
        representation: &Representation,
    ) -> Result<Uses, DeliveryError> {
        let mut uses = Uses {
            uploads: self.uploads.clone(),
            held: Vec::new(),
        };
        for manifest in &representation.limited {
            match self.uploads.catalog().reserve(manifest, HOLD).await? {
                Reserved::Held(hold) => uses.held.push((manifest.id, hold)),
                Reserved::Busy => return Err(DeliveryError::Busy(manifest.id.to_string())),
                Reserved::Spent => return Err(DeliveryError::NotFound(manifest.id.to_string())),
            }
        }
        Ok(uses)
    }
}

impl Uses {
    /// Spends the uses: records them in the manifests, which decide whether one was left.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`] when none was left, or the upload was removed since: it may
    /// have been used up by others, who were not told of this use. Or the store fails.
    pub async fn keep(&mut self) -> Result<(), DeliveryError> {
        while let Some(&(id, hold)) = self.held.last() {
            let mut left = true;
            let count = |manifest: &mut Manifest| {
                left = manifest.max_downloads.is_none_or(|max| manifest.used < max);
                manifest.used += u64::from(left);
                left
            };
            let updated = self.uploads.update(&id, count).await?;
            let gone = || DeliveryError::NotFound(id.to_string());
            let used = updated.ok_or_else(gone)?.manifest.used;
            self.held.pop();
            if let Err(error) = self.uploads.catalog().keep(&id, hold, used).await {
                // It comes back by itself, and the manifest has counted it.
                tracing::warn!(%id, %error, "a download that ended is still counted as under way");
            }
            if !left {
                return Err(gone());
            }
        }
        Ok(())
    }
}

impl Drop for Uses {
    fn drop(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let (uploads, held) = (self.uploads.clone(), std::mem::take(&mut self.held));
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            for (id, hold) in held {
                if let Err(error) = uploads.catalog().give_back(&id, hold).await {
                    tracing::warn!(%id, %error, "a download that broke off is still counted as under way");
                }
            }
        });
    }
}
