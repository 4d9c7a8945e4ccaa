//! The comparison of index and store: uploads that the index lacks are recorded, entries of uploads
//! that are gone are removed, and so are the files that crashes have left in the store.

mod compare;
mod orphans;
mod reconciler;
mod total;

pub use compare::{Compared, compare};
pub use reconciler::{ReconcileOptions, Reconciler};
pub use total::recall_total;
