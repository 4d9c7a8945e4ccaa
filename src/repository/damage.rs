//! Damaged uploads: the log names each once, and not for every request that finds it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::Repository;
use crate::model::UploadId;
use crate::store::StoreError;

/// How many uploads are remembered; the comparison names those beyond.
const MOST: usize = 10_000;

/// The uploads of which the log has said that they are damaged.
#[derive(Debug, Default)]
pub struct Damage(
    /// A std mutex: held for an insertion.
    Mutex<HashSet<UploadId>>,
);

impl Damage {
    /// Whether it is new that `id` is damaged.
    fn is_new(&self, id: &UploadId) -> bool {
        // Nothing between a lock and its release can panic half-way.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.len() < MOST && known.insert(*id)
    }
}

impl Repository {
    /// Has the log say that an upload is damaged, unless it has said so since the start. A
    /// comparison, which comes by seldom, says so `anew`.
    pub fn report_damage(&self, id: &UploadId, error: &StoreError, anew: bool) {
        if self.0.damage.is_new(id) || anew {
            tracing::error!(%id, %error, "an upload is damaged; an admin can delete it, or `wharf check --remove`");
        } else {
            tracing::debug!(%id, %error, "an upload is damaged");
        }
    }
}
