//! The markers of uploads: keys that an operator removes to end an upload.

use async_trait::async_trait;

use super::CatalogError;
use crate::model::{Manifest, Timestamp, UploadId};

/// The part of an index that has a marker for each upload with a deadline. The marker expires at
/// the deadline, or when an operator ends it.
#[async_trait]
pub trait Markers: Send + Sync {
    /// The next upload whose marker expired. Some are missed, and some are answered twice.
    async fn marker_expired(&self) -> UploadId;

    /// Whether the index has the upload with a deadline behind `time`, and no marker of it. Both are
    /// read in one step: an index that has lost its data has neither, and ends no upload.
    async fn is_unmarked(&self, id: &UploadId, time: Timestamp) -> Result<bool, CatalogError>;

    /// Sets the marker of an upload again, until its deadline.
    async fn set_marker(&self, manifest: &Manifest) -> Result<(), CatalogError>;
}
