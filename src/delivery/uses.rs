//! The uses of limited downloads: reserved before the first byte, committed before the last.

use std::time::Duration;

use crate::repository::{Repository, ReservedUse, Use};

use super::{Delivery, DeliveryError, Representation};

/// How long a use stays reserved for a download that does not end.
const RESERVATION_TTL: Duration = Duration::from_secs(24 * 3600);

/// One use of each file of limited uploads in a download. Dropped before they are committed, all are
/// released.
pub(super) struct Uses {
    uploads: Repository,
    uses: Vec<Use>,
}

impl Delivery {
    /// Reserves a use of each file in `representation` whose downloads are counted.
    pub(super) async fn reserve(
        &self,
        representation: &Representation,
    ) -> Result<Uses, DeliveryError> {
        let mut uses = Vec::with_capacity(representation.limited.len());
        for limit in &representation.limited {
            match self.uploads.reserve_use(limit, RESERVATION_TTL).await? {
                ReservedUse::Use(reserved) => uses.push(reserved),
                ReservedUse::Busy => return Err(DeliveryError::Busy(limit.id.to_string())),
                ReservedUse::Unlimited => {}
                ReservedUse::Spent => return Err(DeliveryError::no_upload(limit.id)),
            }
        }
        Ok(Uses {
            uploads: self.uploads.clone(),
            uses,
        })
    }
}

impl Uses {
    /// Keeps room in the store for what [`commit`](Self::commit) will record: on a full disk a
    /// download fails before its first byte, and not before its last.
    ///
    /// # Errors
    /// There is none, or the store fails.
    pub async fn hold_room(&mut self) -> Result<(), DeliveryError> {
        for reserved in &mut self.uses {
            reserved.hold_room().await?;
        }
        Ok(())
    }

    /// Spends the uses: records them in the manifests, which decide whether one was left.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`] when none was left of one, or the upload was removed since. Or
    /// the store fails.
    pub async fn commit(self) -> Result<(), DeliveryError> {
        match self.uploads.commit_uses(self.uses).await? {
            None => Ok(()),
            Some(id) => Err(DeliveryError::no_upload(id)),
        }
    }
}
