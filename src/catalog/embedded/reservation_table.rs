//! The uses of limited downloads that are reserved. They live in memory: a process that dies
//! releases its own.

use std::collections::HashMap;

use crate::catalog::reservations::Room;
use crate::catalog::{Limit, Reservation, Reserved};
use crate::model::{Manifest, Timestamp, UploadId};

/// The reserved uses, by upload.
#[derive(Debug, Default)]
pub struct ReservationTable {
    uploads: HashMap<UploadId, UploadUses>,
    /// The number of the last reservation.
    last: u64,
}

#[derive(Debug, Default)]
struct UploadUses {
    /// The generation of the manifest that was seen last.
    generation: u64,
    /// Until when each use is reserved.
    reserved: HashMap<Reservation, Timestamp>,
}

impl ReservationTable {
    pub fn reserve(&mut self, limit: &Limit, now: Timestamp, until: Timestamp) -> Reserved {
        let uses = self.uploads.entry(limit.id).or_default();
        uses.reserved.retain(|_, end| *end > now);
        if uses.generation > limit.generation {
            return Reserved::Stale;
        }
        match limit.room(uses.reserved.keys().map(|known| &known.portion)) {
            Room::Spent => return Reserved::Spent,
            Room::Busy => return Reserved::Busy,
            Room::Left => {}
        }
        self.last += 1;
        let reservation = Reservation {
            number: self.last,
            portion: limit.portion.clone(),
        };
        uses.reserved.insert(reservation.clone(), until);
        Reserved::Use(reservation)
    }

    pub fn commit(&mut self, reservation: &Reservation, manifest: &Manifest) {
        if let Some(uses) = self.uploads.get_mut(&manifest.id) {
            uses.reserved.remove(reservation);
            uses.generation = uses.generation.max(manifest.generation);
        }
    }

    pub fn release(&mut self, id: &UploadId, reservation: &Reservation) {
        if let Some(uses) = self.uploads.get_mut(id) {
            uses.reserved.remove(reservation);
        }
    }

    /// Removes an upload that does not exist any more.
    pub fn remove(&mut self, id: &UploadId) {
        self.uploads.remove(id);
    }
}
