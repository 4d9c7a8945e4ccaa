//! Damaged uploads: the log names each once, and not for every request.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::model::UploadId;

/// How many uploads are remembered; the comparison names the others.
const MAX_REMEMBERED: usize = 10_000;

/// The damaged uploads that the log has named.
#[derive(Debug, Default)]
pub struct Damage(
    /// A std mutex: held for an insertion.
    Mutex<HashSet<UploadId>>,
);

impl Damage {
    /// Whether the log has not named `id` yet.
    pub fn is_new(&self, id: &UploadId) -> bool {
        // Nothing between a lock and its release can panic half-way.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.len() < MAX_REMEMBERED && known.insert(*id)
    }
}
