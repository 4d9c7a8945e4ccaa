//! The room of a store that has a cap: the bytes that are stored, and the bytes that uploads under
//! way have reserved.

use async_trait::async_trait;

use super::CatalogError;
use crate::model::{ROOM_UNIT, UploadId};

/// The room that one upload asks for, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// The bytes that are reserved if there is room for them.
    pub want: u64,
    /// The least that the upload needs.
    pub need: u64,
    /// The least that it needs where no other upload is under way, whose room it could take.
    pub alone: u64,
    /// The most bytes that stored uploads and reservations may take together: the setting
    /// `max_total_size`.
    pub max: u64,
}

impl Ask {
    /// Exactly `bytes`.
    pub fn exactly(bytes: u64, max: u64) -> Self {
        Ask {
            want: bytes,
            need: bytes,
            alone: bytes,
            max,
        }
    }

    /// The bytes that are reserved for an upload which has reserved `before` already, while the
    /// stored uploads take `stored` bytes and other uploads have reserved `others`. `None` when
    /// there is not enough room. Near the cap it is half of what is left, so that one upload does
    /// not take the last room from those that have begun as well.
    pub fn grant(&self, stored: u64, others: u64, before: u64) -> Option<u64> {
        let free = self.max.saturating_sub(stored.saturating_add(others));
        if self.want <= free {
            return Some(self.want);
        }
        let need = match others {
            0 => self.need.min(self.alone),
            _ => self.need,
        };
        let half = free.saturating_sub(before) / (2 * ROOM_UNIT) * ROOM_UNIT;
        (need <= free).then(|| need.max(before.saturating_add(half).min(free)))
    }
}

/// The part of an index that counts the room of the store, exactly, for all that share it. The
/// bytes of a stored upload are those of [`Manifest::room`](crate::model::Manifest::room).
///
/// A reservation ends when its upload is recorded or removed, when it is
/// [released](Self::release_room), and soon after the process that has it.
#[async_trait]
pub trait Capacity: Send + Sync {
    /// Reserves room for an upload, before its bytes are written: see [`Ask::grant`]. Answers
    /// how many bytes it has reserved now. `None` refuses, and releases what was reserved
    /// for it before, so that others can go on.
    ///
    /// # Errors
    /// The index does not answer. The room may be reserved or not, so the caller releases it.
    async fn reserve_room(&self, id: &UploadId, ask: Ask) -> Result<Option<u64>, CatalogError>;

    /// Releases the reservation of an upload: at once, or when the index can be reached.
    fn release_room(&self, id: &UploadId);

    /// The bytes that stored uploads take; `None` while they are not known exactly.
    async fn stored_room(&self) -> Result<Option<u64>, CatalogError>;

    /// Counts at least `bytes` as taken while the index does not know exactly what is stored.
    fn assume_room(&self, bytes: u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_the_cap_half_of_what_is_left_is_given() {
        let ask = Ask {
            want: 100 * ROOM_UNIT,
            need: 10 * ROOM_UNIT,
            alone: ROOM_UNIT,
            max: 200 * ROOM_UNIT,
        };
        let grant = |stored, others, before| {
            let granted = ask.grant(stored * ROOM_UNIT, others * ROOM_UNIT, before * ROOM_UNIT);
            granted.map(|bytes| bytes / ROOM_UNIT)
        };
        assert_eq!(grant(100, 0, 0), Some(100));
        assert_eq!(grant(60, 60, 0), Some(40));
        assert_eq!(grant(60, 60, 50), Some(65));
        assert_eq!(grant(90, 100, 0), Some(10));
        assert_eq!(grant(91, 100, 0), None);
        assert_eq!(grant(191, 0, 0), Some(4));
        assert_eq!(grant(199, 0, 0), Some(1));
        assert_eq!(grant(200, 0, 0), None);
        assert_eq!(grant(300, 0, 0), None);
        let all = Ask::exactly(u64::MAX, u64::MAX);
        assert_eq!(all.grant(u64::MAX, u64::MAX, 0), None);
        assert_eq!(all.grant(0, 0, 0), Some(u64::MAX));
    }
}
