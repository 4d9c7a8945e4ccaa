//! Who a store is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::Salt;

/// The name of what says who a store is, as JSON.
pub(super) const STORE: &str = "store.json";
/// The name of what says what all uploads took together, as JSON.
pub(super) const TOTAL: &str = "total.json";

/// The name of what says what of a store is in doubt, as JSON; there is none where nothing is.
pub(super) const DOUBT: &str = "doubt.json";

/// What `store.json` says.
#[derive(Serialize, Deserialize)]
pub(super) struct Identity {
    pub store: StoreId,
}

/// What `total.json` says.
#[derive(Serialize, Deserialize)]
pub(super) struct Total {
    /// Bytes.
    pub total: u64,
}

/// The name that a shared store gives itself, so that a share that is not mounted, or another
/// one, is not taken for it. 128 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreId(Salt);

impl StoreId {
    /// A new one.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        Ok(StoreId(Salt::generate()?))
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Some(StoreId(text.to_owned().try_into().ok()?))
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
