//! The id of a store.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::Salt;

/// The id that a shared store gives itself, so that a share that is not mounted, or another one,
/// is not taken for it. 128 random bits.
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

    /// Its bits.
    pub fn bytes(&self) -> [u8; 16] {
        *self.0.as_bytes()
    }

    /// Reads the text that [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        Some(StoreId(text.to_owned().try_into().ok()?))
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
