//! The uses of limited downloads: held from before the first byte, kept before the last.

use std::time::Duration;

use crate::repository::{Repository, Taken, Use};

use super::{Delivery, DeliveryError, Representation};

/// How long a use is held for a download that nobody ends.
const HOLD: Duration = Duration::from_secs(24 * 3600);

/// One use of each limited upload in a download. Dropped before they are kept, all are given back.
pub(super) struct Uses {
    uploads: Repository,
    held: Vec<Use>,
}

impl Delivery {
    /// Takes a use of each upload in `representation` whose downloads are counted.
    pub(super) async fn reserve(
        &self,
        representation: &Representation,
    ) -> Result<Uses, DeliveryError> {
        let mut held = Vec::with_capacity(representation.limited.len());
        for limit in &representation.limited {
            match self.uploads.take_use(limit, HOLD).await? {
                Taken::Held(taken) => held.push(taken),
                Taken::Busy => return Err(DeliveryError::Busy(limit.id.to_string())),
                Taken::Spent => return Err(DeliveryError::NotFound(limit.id.to_string())),
            }
        }
        Ok(Uses {
            uploads: self.uploads.clone(),
            held,
        })
    }
}

impl Uses {
    /// Spends the uses: records them in the manifests, which decide whether one was left.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`] when none was left of one, or the upload was removed since. Or
    /// the store fails.
    pub async fn keep(self) -> Result<(), DeliveryError> {
        match self.uploads.keep_uses(self.held).await? {
            None => Ok(()),
            Some(id) => Err(DeliveryError::NotFound(id.to_string())),
        }
    }
}
