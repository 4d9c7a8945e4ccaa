//! How far the regular comparison of store and index has come.

use async_trait::async_trait;

use super::CatalogError;
use crate::model::Timestamp;

/// How far the regular comparison of store and index has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ComparisonProgress {
    /// The place of the next folder, from 0 to [`Prefix::COUNT`](crate::model::Prefix::COUNT).
    pub next: usize,
    /// When the last comparison ended.
    pub finished_at: Timestamp,
}

/// The part of an index that keeps the progress of a comparison of which every instance that holds
/// the lease does a part.
#[async_trait]
pub trait SharedProgress: Send + Sync {
    /// How far the comparison has come.
    async fn progress(&self) -> Result<ComparisonProgress, CatalogError>;

    /// Keeps how far the comparison has come.
    async fn set_progress(&self, progress: ComparisonProgress) -> Result<(), CatalogError>;
}
