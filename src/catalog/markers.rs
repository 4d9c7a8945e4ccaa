//! The markers of uploads: keys that an operator removes to end an upload.

use async_trait::async_trait;

use super::CatalogError;
use crate::model::{Manifest, UploadId};

/// The part of an index that has a marker for each upload with a deadline. The marker expires at
/// the deadline, or when an operator ends it.
#[async_trait]
pub trait Markers: Send + Sync {
    /// The next upload whose marker expired. Some are missed, and some are answered twice.
    async fn marker_expired(&self) -> UploadId;

    /// Whether an upload has a marker now.
    async fn has_marker(&self, id: &UploadId) -> Result<bool, CatalogError>;

    /// Sets the marker of an upload again, until its deadline.
    async fn set_marker(&self, manifest: &Manifest) -> Result<(), CatalogError>;
}
