//! Why an index cannot answer.

/// An index that cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// It is being compared with the store: an upload that it does not know may exist.
    #[error("the index is being rebuilt")]
    Rebuilding,
    /// It cannot be reached now.
    #[error("the index cannot be reached: {0}")]
    Unavailable(String),
    /// It failed.
    #[error("the index failed: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}
