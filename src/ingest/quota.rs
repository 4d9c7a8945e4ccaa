//! The cap on all that is stored: an upload reserves its room in the index before its bytes are
//! written, and has it until it is recorded.

use std::sync::Arc;

use super::error::IngestError;
use crate::catalog::{Ask, Capacity, Catalog, CatalogError};
use crate::model::{Limit, ROOM_UNIT, UploadId, room_of};

/// How much is reserved at a time for a body of unknown length, in bytes.
const STEP: u64 = 8 * 1024 * 1024;
/// The room that a form may need beside its bytes: each file is rounded up.
const ROUNDING: u64 = 256 * 1024;

/// How much of a body is to come, as far as its head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// It does not say.
    Unknown,
    /// A form of so many bytes, delimiters and headers of its parts included.
    Form(u64),
    /// One file of so many bytes.
    File(u64),
}

impl BodyLength {
    /// The room to reserve at the beginning: the file and a small manifest. Headers and delimiters
    /// of a form are not much longer than the manifest's record of its parts.
    fn first(self, max: u64) -> Ask {
        match self {
            BodyLength::Unknown => Ask {
                want: STEP,
                need: STEP,
                alone: 2 * ROOM_UNIT,
                max,
            },
            BodyLength::File(bytes) => Ask::exactly(room_of(bytes).saturating_add(room_of(1)), max),
            BodyLength::Form(bytes) => {
                let need = room_of(bytes.saturating_sub(ROOM_UNIT).max(1));
                Ask {
                    want: room_of(bytes).saturating_add(room_of(1)),
                    need,
                    alone: need,
                    max,
                }
            }
        }
    }

    /// The room to reserve beyond the need, when `received` bytes of files have come.
    fn step(self, received: u64) -> u64 {
        match self {
            BodyLength::Unknown => STEP,
            BodyLength::Form(bytes) | BodyLength::File(bytes) => {
                let left = bytes.saturating_sub(received);
                left.saturating_add(ROUNDING).min(STEP)
            }
        }
    }
}

/// The room of one upload under way; released when it is dropped. Without a cap it counts nothing.
pub struct RoomClaim(Option<ClaimedRoom>);

struct ClaimedRoom {
    capacity: Arc<dyn Capacity>,
    id: UploadId,
    max: u64,
    length: BodyLength,
    /// Bytes that the index has reserved.
    reserved: u64,
    /// Bytes of all files so far.
    received: u64,
    /// The room of the files that have ended.
    ended: u64,
    /// Bytes of the file that is being received.
    file: u64,
}

impl RoomClaim {
    /// Reserves what the upload `id` needs first, where there is a cap.
    ///
    /// # Errors
    /// There is no room for it, or the index does not answer.
    pub async fn begin(
        max: Option<u64>,
        catalog: &dyn Catalog,
        id: UploadId,
        length: BodyLength,
    ) -> Result<Self, IngestError> {
        let Some(max) = max else {
            return Ok(RoomClaim(None));
        };
        let Some(capacity) = catalog.capacity() else {
            return Err(CatalogError::Failed("it does not count the room".into()).into());
        };
        let mut room = ClaimedRoom {
            capacity,
            id,
            max,
            length,
            reserved: 0,
            received: 0,
            ended: 0,
            file: 0,
        };
        room.ask(length.first(max)).await?;
        Ok(RoomClaim(Some(room)))
    }

    /// Takes the next bytes of a file.
    ///
    /// # Errors
    /// With them the store would hold more than it may, or the index does not answer.
    pub async fn take(&mut self, bytes: u64) -> Result<(), IngestError> {
        let Some(room) = &mut self.0 else {
            return Ok(());
        };
        room.file += bytes;
        room.received += bytes;
        let need = room.ended.saturating_add(room_of(room.file));
        if need <= room.reserved {
            return Ok(());
        }
        let ask = Ask {
            want: room_of(need.saturating_add(room.length.step(room.received))),
            need,
            alone: need,
            max: room.max,
        };
        room.ask(ask).await
    }

    /// Ends a file.
    pub fn end_file(&mut self) {
        if let Some(room) = &mut self.0 {
            room.ended = room.ended.saturating_add(room_of(room.file));
            room.file = 0;
        }
    }

    /// Sees to it that the whole upload, which takes so many `bytes`, can be committed.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn whole(&mut self, bytes: impl FnOnce() -> u64) -> Result<(), IngestError> {
        let Some(room) = &mut self.0 else {
            return Ok(());
        };
        let bytes = bytes();
        if bytes <= room.reserved {
            return Ok(());
        }
        let ask = Ask::exactly(bytes, room.max);
        room.ask(ask).await
    }

    /// Leaves the room to the index, which records the upload, or forgets it.
    pub fn leave(mut self) {
        self.0 = None;
    }
}

impl ClaimedRoom {
    async fn ask(&mut self, ask: Ask) -> Result<(), IngestError> {
        match self.capacity.reserve_room(&self.id, ask).await? {
            Some(reserved) => {
                self.reserved = reserved;
                Ok(())
            }
            None => {
                let limit = Limit::bytes("max_total_size", self.max);
                let error = IngestError::Full { limit };
                tracing::info!(upload_id = %self.id, "upload refused: {error}");
                Err(error)
            }
        }
    }
}

impl Drop for ClaimedRoom {
    fn drop(&mut self) {
        self.capacity.release_room(&self.id);
    }
}
