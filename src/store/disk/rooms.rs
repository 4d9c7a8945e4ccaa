//! Which room is held for the next versions of manifests.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::UploadId;

/// The room that is held, by upload: files in the stage, none of which is open.
#[derive(Debug, Default)]
pub struct HeldRooms(Mutex<HashMap<UploadId, Rooms>>);

/// The room of one upload. It does not matter which holder has which file.
#[derive(Debug, Default)]
struct Rooms {
    holders: usize,
    names: Vec<String>,
}

impl HeldRooms {
    fn lock(&self) -> MutexGuard<'_, HashMap<UploadId, Rooms>> {
        // Nothing between a lock and its release can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a file in the stage, and a holder.
    pub fn add(&self, id: &UploadId, name: String) {
        let mut all = self.lock();
        let rooms = all.entry(*id).or_default();
        rooms.holders += 1;
        rooms.names.push(name);
    }

    /// Takes a file, to which a record that it has room for is to be written.
    pub fn take(&self, id: &UploadId) -> Option<String> {
        self.lock().get_mut(id)?.names.pop()
    }

    /// Counts one holder less. Answers the file that is not needed any more, if its room was not taken.
    pub fn release(&self, id: &UploadId) -> Option<String> {
        let mut all = self.lock();
        let rooms = all.get_mut(id)?;
        rooms.holders = rooms.holders.saturating_sub(1);
        let spare = match rooms.names.len() > rooms.holders {
            true => rooms.names.pop(),
            false => None,
        };
        if rooms.holders == 0 {
            all.remove(id);
        }
        spare
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_that_one_holder_has_taken_leaves_the_others_theirs() {
        let (rooms, id) = (HeldRooms::default(), UploadId::generate().unwrap());
        assert_eq!((rooms.take(&id), rooms.release(&id)), (None, None));
        rooms.add(&id, "a".to_owned());
        rooms.add(&id, "b".to_owned());
        assert!(rooms.take(&id).is_some());
        // It has had the room of whichever: one is left, for the other.
        assert_eq!(rooms.release(&id), None);
        assert!(rooms.release(&id).is_some());
        assert!(rooms.lock().is_empty());
    }
}
