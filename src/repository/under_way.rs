//! Uploads under way, which no instance that has the store may take for abandoned.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::Repository;
use crate::catalog::CatalogError;
use crate::model::{Timestamp, UploadId, Uptime};
use crate::store::{Note, StoreError};

/// The longest pause between two looks at what is under way.
const LOOK: Duration = Duration::from_secs(60);

/// The uploads under way in this process. A std mutex: held for a look.
#[derive(Debug, Default)]
pub struct UnderWay(Mutex<HashMap<UploadId, Progress>>);

#[derive(Debug)]
struct Progress {
    begun: Uptime,
    /// When a note of it was left or renewed last.
    noted: Option<Uptime>,
}

impl UnderWay {
    fn lock(&self) -> MutexGuard<'_, HashMap<UploadId, Progress>> {
        // Nothing between a lock and its release can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An upload under way, until it is dropped.
pub struct Open {
    uploads: Repository,
    id: UploadId,
    /// Shows the upload to the other instances that share the index.
    _shown: Option<Box<dyn Send + Sync>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        let known = self.uploads.0.under_way.lock().remove(&self.id);
        let noted = known.is_some_and(|progress| progress.noted.is_some());
        if noted {
            let (store, id) = (Arc::clone(self.uploads.store()), self.id);
            self.uploads.begin(async move {
                // A note that stays is removed when it is stale.
                let _ = store.remove_note(Note::UnderWay, &id).await;
            });
        }
    }
}

impl Repository {
    /// Says that an upload is under way until the answer is dropped.
    pub fn open(&self, id: UploadId) -> Open {
        if self.0.shared {
            let progress = Progress {
                begun: Uptime::now(),
                noted: None,
            };
            self.0.under_way.lock().insert(id, progress);
        }
        let presence = self.0.catalog.presence();
        Open {
            uploads: self.clone(),
            id,
            _shown: presence.map(|presence| presence.open(id)),
        }
    }

    /// Keeps notes in the store of uploads that have been under way for so long that files of
    /// theirs may look stale, until `stop`: the index may lose what it was told, or be away.
    pub async fn keep_notes(&self, stale_after: Duration, stop: CancellationToken) {
        if !self.0.shared {
            return stop.cancelled().await;
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep((stale_after / 8).min(LOOK)) => {}
            }
            let due = self.due(stale_after);
            join_all(due.iter().map(|id| self.renew_note(id))).await;
        }
    }

    /// The uploads whose notes are to be left or renewed.
    fn due(&self, stale_after: Duration) -> Vec<UploadId> {
        let under_way = self.0.under_way.lock();
        let due = under_way.iter().filter(|(_, progress)| {
            progress.begun.elapsed() >= stale_after / 2
                && progress
                    .noted
                    .is_none_or(|noted| noted.elapsed() >= stale_after / 4)
        });
        due.map(|(id, _)| *id).collect()
    }

    async fn renew_note(&self, id: &UploadId) {
        let now = Uptime::now();
        if let Err(error) = self.0.store.add_note(Note::UnderWay, id).await {
            tracing::warn!(%id, %error, "cannot note that an upload is under way; trying again");
            return;
        }
        let known = match self.0.under_way.lock().get_mut(id) {
            Some(progress) => {
                progress.noted = Some(now);
                true
            }
            None => false,
        };
        if !known {
            // The upload has ended meanwhile.
            let _ = self.0.store.remove_note(Note::UnderWay, id).await;
        }
    }

    /// Whether an upload is under way, in this or another instance, as far as the index knows.
    ///
    /// # Errors
    /// The index does not answer.
    pub async fn is_open(&self, id: &UploadId) -> Result<bool, CatalogError> {
        if self.0.under_way.lock().contains_key(id) {
            return Ok(true);
        }
        match self.0.catalog.presence() {
            Some(presence) => presence.is_open(id).await,
            // No other process tells this one of its uploads.
            None => Ok(false),
        }
    }

    /// The uploads under way of which there are notes not older than `stale`; older ones are
    /// removed.
    ///
    /// # Errors
    /// The store fails.
    pub async fn noted(&self, stale: Timestamp) -> Result<Vec<UploadId>, StoreError> {
        let mut noted = Vec::new();
        if !self.0.shared {
            return Ok(noted);
        }
        for (id, renewed) in self.0.store.notes(Note::UnderWay).await? {
            match renewed >= stale {
                true => noted.push(id),
                false => self.0.store.remove_note(Note::UnderWay, &id).await?,
            }
        }
        Ok(noted)
    }
}
