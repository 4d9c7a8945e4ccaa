//! Open uploads, as the instances tell each other of them.

use async_trait::async_trait;

use super::CatalogError;
use crate::model::UploadId;

/// The part of an index that knows the open uploads of all instances, so that none of them takes
/// another's unfinished files for abandoned.
#[async_trait]
pub trait Presence: Send + Sync {
    /// Shows an upload as open until the answer is dropped.
    fn open(&self, id: UploadId) -> Box<dyn Send + Sync>;

    /// Whether any instance has the upload open.
    async fn is_open(&self, id: &UploadId) -> Result<bool, CatalogError>;
}
