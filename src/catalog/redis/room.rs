//! The room of the store, which an index counts where the store has a cap.

use std::time::Duration;

use super::RedisCatalog;
use super::answers::failed;
use super::renewals::RESERVATION_TTL;
use super::room_counter::RoomCounter;
use crate::catalog::CatalogError;
use crate::model::UploadId;

impl RedisCatalog {
    /// Has the index count the room of the store, as every instance must where one of them does.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn counting_room(self) -> Result<Self, CatalogError> {
        self.counting_room_for(RESERVATION_TTL)
    }

    /// The same, with reservations that outlive their process by `ttl`.
    pub(super) fn counting_room_for(mut self, ttl: Duration) -> Result<Self, CatalogError> {
        self.room = Some(RoomCounter::start(
            self.link.clone(),
            self.shards.clone(),
            ttl,
        )?);
        Ok(self)
    }

    /// The keys that change the room of an upload in the same script as its record, where one server
    /// has both: not in a cluster.
    pub(super) fn room_keys(&self, id: &UploadId) -> Option<[String; 3]> {
        let room = self.room.as_ref()?;
        (!self.link.address().is_cluster()).then(|| room.keys_of(id))
    }

    /// Counts the bytes of an upload that was recorded, or removed.
    pub(super) async fn settle(&self, id: &UploadId, bytes: u64) -> Result<(), CatalogError> {
        let Some(room) = &self.room else {
            return Ok(());
        };
        if self.link.address().is_cluster() {
            room.settle(id, bytes).await.map_err(failed)?;
        }
        room.note_settled(id);
        Ok(())
    }
}
