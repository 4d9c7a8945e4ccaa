//! Which part of an index was compared with the store.

use async_trait::async_trait;

use super::CatalogError;
use crate::model::Prefix;

/// The part of an index that may lack uploads, because it was lost, or never compared with the
/// store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unverified {
    /// The folders of the store that have to be compared with the index.
    pub prefixes: Vec<Prefix>,
    /// The shards that the index itself has to mark, each with the token of this comparison.
    pub(super) shards: Vec<(String, String)>,
}

impl Unverified {
    /// Whether nothing is left to be compared.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }
}

/// The part of an index that knows what of it was compared with the store.
#[async_trait]
pub trait Verification: Send + Sync {
    /// The parts of the index that were not compared with the store since it could last have missed
    /// a change.
    async fn unverified(&self) -> Result<Unverified, CatalogError>;

    /// Marks as compared what [`unverified`](Self::unverified) has answered: all its folders were
    /// compared since. Answers `false` where the index has lost something again meanwhile; that
    /// part stays unverified.
    async fn mark_verified(&self, compared: Unverified) -> Result<bool, CatalogError>;
}
