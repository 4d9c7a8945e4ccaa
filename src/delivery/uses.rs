//! The uses of limited downloads: held from before the first byte, kept before the last.

use std::time::Duration;

use crate::repository::{Taken, Use};

use super::{Delivery, DeliveryError, Representation};

/// How long a use is held for a download that nobody ends.
const HOLD: Duration = Duration::from_secs(24 * 3600);

/// One use of each limited upload in a download. Dropped before it is kept, it is given back.
pub(super) struct Uses(Vec<Use>);

impl Delivery {
    /// Takes a use of each upload in `representation` whose downloads are counted.
    pub(super) async fn reserve(
        &self,
        representation: &Representation,
    ) -> Result<Uses, DeliveryError> {
        let mut uses = Vec::with_capacity(representation.limited.len());
        for manifest in &representation.limited {
            match self.uploads.take_use(manifest, HOLD).await? {
                Taken::Held(held) => uses.push(held),
                Taken::Busy => return Err(DeliveryError::Busy(manifest.id.to_string())),
                Taken::Spent => return Err(DeliveryError::NotFound(manifest.id.to_string())),
            }
        }
        Ok(Uses(uses))
    }
}

impl Uses {
    /// Spends the uses: records them in the manifests, which decide whether one was left.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`] when none was left, or the upload was removed since. Or the
    /// store fails.
    pub async fn keep(mut self) -> Result<(), DeliveryError> {
        while let Some(held) = self.0.pop() {
            let id = *held.id();
            if !held.keep().await? {
                return Err(DeliveryError::NotFound(id.to_string()));
            }
        }
        Ok(())
    }
}
