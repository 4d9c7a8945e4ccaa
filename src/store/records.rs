//! The records of a store on itself, beside the uploads.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{StoreError, StoreId};

/// The name of the record of the store's id, as JSON.
pub(super) const STORE: &str = "store.json";
/// The name of the record of what all uploads took together, as JSON.
pub(super) const TOTAL: &str = "total.json";
/// The name of the record of the uploads in doubt, as JSON; there is none where nothing is.
pub(super) const DOUBT: &str = "doubt.json";

/// The records of a [`Store`](super::Store) on itself.
#[async_trait]
pub trait Records {
    /// The store's id; `None` if it has none yet. Resolves the path anew, so that an unmounted
    /// share is noticed.
    ///
    /// # Errors
    /// It cannot be reached, or another store is found there than was opened.
    async fn identity(&self) -> Result<Option<StoreId>, StoreError>;

    /// Gives the store its id.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when another process was quicker, as far as the store can tell.
    async fn set_identity(&self, id: StoreId) -> Result<(), StoreError>;

    /// The bytes that all uploads took together when that was last [kept](Self::keep_total).
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the record cannot be understood.
    async fn total(&self) -> Result<Option<u64>, StoreError>;

    /// Keeps what all uploads take together, in bytes.
    async fn keep_total(&self, bytes: u64) -> Result<(), StoreError>;
}

/// The content of [`STORE`].
#[derive(Serialize, Deserialize)]
pub(super) struct IdentityRecord {
    pub store: StoreId,
}

/// The content of [`TOTAL`].
#[derive(Serialize, Deserialize)]
pub(super) struct TotalRecord {
    /// Bytes.
    pub total: u64,
}
