//! When uploads are due: their deadlines, and what of them is put off.

use async_trait::async_trait;

use super::CatalogError;
use crate::model::{Timestamp, UploadId};

/// The part of an index that knows when which upload is due.
#[async_trait]
pub trait Deadlines: Send + Sync {
    /// Takes up to `limit` uploads that are due at `now`, the longest overdue first: those whose
    /// deadline has come, and those whose downloads are spent. None of them is due again before
    /// `again`, unless it is [recorded](super::Index::record) anew.
    async fn due(
        &self,
        now: Timestamp,
        limit: usize,
        again: Timestamp,
    ) -> Result<Vec<UploadId>, CatalogError>;

    /// When the next upload is due, however far away.
    async fn next_due(&self) -> Result<Option<Timestamp>, CatalogError>;

    /// Delays `id`, whose removal failed, until `until`. A later
    /// [`record`](super::Index::record) sets its deadline anew.
    async fn postpone(&self, id: &UploadId, until: Timestamp) -> Result<(), CatalogError>;

    /// Returns when [`next_due`](Self::next_due) may have become earlier by a change of this
    /// process.
    async fn wait_for_earlier(&self);
}
