//! The index over the manifests: names, order, deadlines, and the uses of limited downloads.
//!
//! The manifest in the store is the truth; an index may lag behind it and can be rebuilt from it.
//! So no answer waits for an index to be on the disk.
//!
//! Every index is a [`Catalog`], the sum of small ports:
//!
//! - [`Index`]: the uploads, by id, by name and by time;
//! - [`Deadlines`]: when which upload is due;
//! - [`Reservations`]: the uses of limited downloads;
//! - [`Verification`]: which part of the index was compared with the store.
//!
//! The other ports are asked for by name, and may be missing:
//!
//! - [`Capacity`]: the room of a store that has a cap;
//! - [`Presence`]: the open uploads of all instances that share the index;
//! - [`Markers`]: keys that an operator removes to end an upload;
//! - [`Outages`]: when a server that holds the index was away, or has lost changes;
//! - [`SharedProgress`]: how far the instances together have compared index and store.
//!
//! [`EmbeddedCatalog`] is the index of one process, in a file. It has the first four and the
//! capacity. [`RedisCatalog`] is the index that several instances share, and has all of them.
//! `conformance` is the suite of tests that every index passes.

mod capacity;
#[cfg(test)]
mod conformance;
mod deadlines;
mod embedded;
mod error;
mod index;
mod markers;
mod orders;
mod outages;
mod presence;
mod progress;
mod record;
mod redis;
mod reservations;
mod verification;

use std::sync::Arc;

pub use capacity::{Ask, Capacity};
pub use deadlines::Deadlines;
pub use embedded::{EmbeddedCatalog, IndexOpenError};
pub use error::CatalogError;
pub use index::{
    Cursor, Downloads, Index, IndexEntry, ListFilter, Listed, ShownFacts, Stats, Stretch,
};
pub use markers::Markers;
pub use outages::Outages;
pub use presence::Presence;
pub use progress::{ComparisonProgress, SharedProgress};
pub use redis::RedisCatalog;
pub use reservations::{Limit, Reservation, Reservations, Reserved};
pub use verification::{Unverified, Verification};

/// An index over manifests, shared by all that serve the same store.
pub trait Catalog: Index + Deadlines + Reservations + Verification + 'static {
    /// The counter of the store's room; `None` where nothing counts it.
    fn capacity(&self) -> Option<Arc<dyn Capacity>>;

    /// The port by which instances know each other's open uploads; `None` where no other process has
    /// the index.
    fn presence(&self) -> Option<&dyn Presence> {
        None
    }

    /// The markers of uploads; `None` where operators cannot reach them.
    fn markers(&self) -> Option<&dyn Markers> {
        None
    }

    /// The outages of the server that holds the index; `None` where this process holds it.
    fn outages(&self) -> Option<&dyn Outages> {
        None
    }

    /// Where instances keep how far they have compared index and store; `None` where no other
    /// process does.
    fn shared_progress(&self) -> Option<&dyn SharedProgress> {
        None
    }
}
