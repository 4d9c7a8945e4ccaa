//! The changes that are under way.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::model::UploadId;

/// How many changes that did not end are named in the log.
const MAX_LOGGED: usize = 10;

/// The changes under way.
#[derive(Debug, Default)]
pub struct RunningChanges {
    /// The tasks of the changes.
    pub tracker: TaskTracker,
    /// Guards the names of the changes, for the log. A std mutex: held for an insertion or a read.
    named: Mutex<NamedChanges>,
}

#[derive(Debug, Default)]
struct NamedChanges {
    next: u64,
    changes: HashMap<u64, (&'static str, UploadId)>,
}

impl RunningChanges {
    /// Notes that a change begins: what it is, and of which upload. Answers its number.
    pub fn begin(&self, what: &'static str, id: UploadId) -> u64 {
        let mut named = self.lock();
        let number = named.next;
        named.next += 1;
        named.changes.insert(number, (what, id));
        number
    }

    /// Notes that a change has ended.
    pub fn end(&self, number: u64) {
        self.lock().changes.remove(&number);
    }

    /// Lets no more changes begin, and waits for the running ones, no longer than `timeout`.
    /// Answers whether all of them have ended; the log names the others.
    pub async fn end_all(&self, timeout: Duration) -> bool {
        self.tracker.close();
        let ended = tokio::time::timeout(timeout, self.tracker.wait()).await;
        if ended.is_ok() {
            return true;
        }
        let named = self.lock();
        let left = named.changes.len();
        for (what, id) in named.changes.values().take(MAX_LOGGED) {
            tracing::error!(upload_id = %id, "a {what} has not ended: the store does not answer; it is abandoned");
        }
        tracing::error!(
            left,
            "some changes have not ended; the next start compares the index with the store"
        );
        false
    }

    /// Waits for the running changes, and lets others begin.
    #[cfg(test)]
    pub async fn idle(&self) {
        self.tracker.close();
        self.tracker.wait().await;
        self.tracker.reopen();
    }

    fn lock(&self) -> MutexGuard<'_, NamedChanges> {
        // Nothing between a lock and its release can panic half-way.
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
