//! The comparison of index and store: what the index lacks is recorded, what it has too much is
//! forgotten, and what crashes left in the store is removed.

mod compare;
mod reconciler;
mod total;

pub use compare::{Compared, compare};
pub use reconciler::{Options, Reconciler};
pub use total::recall;
