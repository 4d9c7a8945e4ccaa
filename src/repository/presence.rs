//! Open uploads, whose files no instance may take for abandoned.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::Repository;
use super::open_uploads::OpenState;
use crate::catalog::CatalogError;
use crate::model::{Timestamp, UploadId, Uptime};
use crate::store::{Note, StoreError};

/// The longest pause before the notes of open uploads are renewed.
const MAX_NOTE_INTERVAL: Duration = Duration::from_secs(60);

/// An upload that is open until this is dropped.
pub struct OpenUpload {
    uploads: Repository,
    id: UploadId,
    /// Shows the upload to the other instances that share the index.
    _shown: Option<Box<dyn Send + Sync>>,
}

impl Drop for OpenUpload {
    fn drop(&mut self) {
        let known = self.uploads.0.open.lock().remove(&self.id);
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
    /// Shows an upload as open until the answer is dropped.
    pub fn open(&self, id: UploadId) -> OpenUpload {
        if self.0.shared {
            let progress = OpenState {
                begun: Uptime::now(),
                noted: None,
            };
            self.0.open.lock().insert(id, progress);
        }
        let presence = self.0.catalog.presence();
        OpenUpload {
            uploads: self.clone(),
            id,
            _shown: presence.map(|presence| presence.open(id)),
        }
    }

    /// Keeps notes in the store of uploads that have been open for so long that their files may look
    /// stale, until `stop`: the index may lose its knowledge of open uploads, or be away.
    pub async fn keep_notes(&self, stale_after: Duration, stop: CancellationToken) {
        if !self.0.shared {
            return stop.cancelled().await;
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep((stale_after / 8).min(MAX_NOTE_INTERVAL)) => {}
            }
            let due = self.due(stale_after);
            join_all(due.iter().map(|id| self.renew_note(id))).await;
        }
    }

    /// The uploads whose notes are to be left or renewed.
    fn due(&self, stale_after: Duration) -> Vec<UploadId> {
        let open = self.0.open.lock();
        let due = open.iter().filter(|(_, progress)| {
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
            tracing::warn!(upload_id = %id, %error, "cannot note in the store that the upload is open; trying again");
            return;
        }
        let known = match self.0.open.lock().get_mut(id) {
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

    /// Whether an upload is open, in this or another instance, as far as the index knows.
    ///
    /// # Errors
    /// The index does not answer.
    pub async fn is_open(&self, id: &UploadId) -> Result<bool, CatalogError> {
        if self.0.open.lock().contains_key(id) {
            return Ok(true);
        }
        match self.0.catalog.presence() {
            Some(presence) => presence.is_open(id).await,
            // No other process tells this one of its uploads.
            None => Ok(false),
        }
    }

    /// The uploads of which the store has a note as open not older than `stale`; older notes are
    /// removed.
    ///
    /// # Errors
    /// The store fails.
    pub async fn noted_open(&self, stale: Timestamp) -> Result<Vec<UploadId>, StoreError> {
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
