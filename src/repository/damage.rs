//! Damaged uploads: the log names each once, and not for every request.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::Repository;
use crate::model::UploadId;
use crate::store::StoreError;

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
    fn is_new(&self, id: &UploadId) -> bool {
        // Nothing between a lock and its release can panic half-way.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.len() < MAX_REMEMBERED && known.insert(*id)
    }
}

impl Repository {
    /// Logs that an upload is damaged, unless the log has named it since the start. A comparison,
    /// which is rare, logs it `anew`.
    pub fn report_damage(&self, id: &UploadId, error: &StoreError, anew: bool) {
        if self.0.damage.is_new(id) || anew {
            tracing::error!(upload_id = %id, %error, "upload is damaged; an admin can delete it, or `wharf check --remove`");
        } else {
            tracing::debug!(upload_id = %id, %error, "upload is damaged");
        }
    }
}
