//! The changes of uploads. Each is a task of the repository that nothing interrupts between its
//! steps: no client that leaves, no stream that is reset, and no end of the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::{INDEX_TIMEOUT, Repository, RepositoryInner};
use crate::catalog::CatalogError;
use crate::model::{FileName, Manifest, Tombstone, UploadId};
use crate::store::{Note, Replaced, StoreError};

/// How many changes that did not end are named in the log.
const MAX_LOGGED: usize = 10;

/// The changes under way.
#[derive(Debug, Default)]
pub struct Changes {
    tracker: TaskTracker,
    /// Guards the running changes, for the log. A std mutex: held for an insertion or a read.
    running: Mutex<RunningChanges>,
}

#[derive(Debug, Default)]
struct RunningChanges {
    next: u64,
    changes: HashMap<u64, (&'static str, UploadId)>,
}

impl Changes {
    /// Lets no more changes begin, and waits for the running ones, no longer than `timeout`.
    /// Answers whether all of them have ended; the log names the others.
    pub async fn end(&self, timeout: Duration) -> bool {
        self.tracker.close();
        let ended = tokio::time::timeout(timeout, self.tracker.wait()).await;
        if ended.is_ok() {
            return true;
        }
        let running = self.lock();
        let left = running.changes.len();
        for (what, id) in running.changes.values().take(MAX_LOGGED) {
            tracing::error!(upload_id = %id, "a {what} has not ended: the store does not answer");
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

    fn lock(&self) -> MutexGuard<'_, RunningChanges> {
        // Nothing between a lock and its release can panic half-way.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the index has recorded a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Indexing {
    /// Nothing was changed.
    Unchanged,
    /// The index may lack the change.
    Behind,
    /// The index has recorded the change.
    Recorded,
}

/// A change of one upload. Store and index are changed through it alone, so that wherever it ends,
/// with an error or a panic as well, no manifest in memory is older than the stored one, and a change
/// that the index may have missed is indexed again.
pub struct Change {
    pub(super) inner: Arc<RepositoryInner>,
    pub(super) id: UploadId,
    number: u64,
    index: Indexing,
}

impl Change {
    pub(super) fn begin(inner: &Arc<RepositoryInner>, what: &'static str, id: UploadId) -> Self {
        inner.manifests.remove(&id);
        let mut running = inner.changes.lock();
        let number = running.next;
        running.next += 1;
        running.changes.insert(number, (what, id));
        drop(running);
        Change {
            inner: Arc::clone(inner),
            id,
            number,
            index: Indexing::Unchanged,
        }
    }

    /// Notes that the outcome of a change of the store is unknown, or the index has not recorded it.
    pub(super) fn index_is_behind(&mut self) {
        self.index = Indexing::Behind;
    }

    /// Notes that the index has recorded the change.
    pub(super) fn index_is_up_to_date(&mut self) {
        self.index = Indexing::Recorded;
    }

    /// Replaces the manifest; see [`Store::replace`](crate::store::Store::replace).
    pub(super) async fn replace(&mut self, manifest: &Manifest) -> Result<Replaced, StoreError> {
        let before = std::mem::replace(&mut self.index, Indexing::Behind);
        let replaced = self.inner.store.replace(manifest).await;
        self.note_outcome(before, replaced)
    }

    /// Removes the upload from the store; see [`Store::remove`](crate::store::Store::remove).
    pub(super) async fn put_tombstone(
        &mut self,
        tombstone: &Tombstone,
    ) -> Result<Replaced, StoreError> {
        let before = std::mem::replace(&mut self.index, Indexing::Behind);
        let removed = self.inner.store.remove(tombstone).await;
        self.note_outcome(before, removed)
    }

    /// Removes an upload that cannot be read; see
    /// [`Store::remove_damaged`](crate::store::Store::remove_damaged).
    pub(super) async fn remove_damaged(&mut self) -> Result<Replaced, StoreError> {
        let before = std::mem::replace(&mut self.index, Indexing::Behind);
        let now = self.inner.clock.now();
        let removed = self.inner.store.remove_damaged(&self.id, now).await;
        if matches!(removed, Err(StoreError::Damaged(_))) {
            // A newer version understands it.
            self.index = before;
        }
        self.note_outcome(before, removed)
    }

    fn note_outcome(
        &mut self,
        before: Indexing,
        replaced: Result<Replaced, StoreError>,
    ) -> Result<Replaced, StoreError> {
        if matches!(replaced, Ok(Replaced::Changed | Replaced::Gone)) {
            self.index = before;
        }
        // The next read of the upload, also within this change, asks the store.
        self.inner.manifests.remove(&self.id);
        replaced
    }

    /// Records the upload as `manifest` says; see
    /// [`Index::record`](crate::catalog::Index::record).
    pub(super) async fn record(&mut self, manifest: &Manifest) -> Result<(), CatalogError> {
        self.index = Indexing::Behind;
        self.inner.catalog.record(manifest).await?;
        self.index = Indexing::Recorded;
        Ok(())
    }

    /// Records a manifest that was replaced in the index, which can follow later: the change is made.
    pub(super) async fn record_update(&mut self, manifest: &Manifest) {
        let catalog = Arc::clone(&self.inner.catalog);
        let updated = tokio::time::timeout(INDEX_TIMEOUT, catalog.update(manifest)).await;
        match updated.unwrap_or_else(|_| Err(no_answer())) {
            _ if self.index == Indexing::Unchanged => {}
            Ok(true) => self.index = Indexing::Recorded,
            // Another instance may have failed to index the upload.
            Ok(false) => self.inner.backlog.missed(self.id, Some(manifest)),
            Err(error) => {
                tracing::error!(upload_id = %self.id, %error, "changed, and the index does not know it yet");
                self.note_unindexed(Some(manifest)).await;
            }
        }
    }

    /// Removes an upload that the store does not have any more from the index, which can follow
    /// later.
    pub(super) async fn unlist(&mut self, names: &[FileName]) {
        let removing = tokio::time::timeout(INDEX_TIMEOUT, self.remove_from_index(names));
        if let Err(error) = removing.await.unwrap_or_else(|_| Err(no_answer())) {
            tracing::error!(upload_id = %self.id, %error, "removed, and the index does not know it yet");
            self.note_unindexed(None).await;
        }
    }

    /// Notes, in memory and in the store, that the index lacks a change of the upload, and the names
    /// of `manifest` with it: this instance may die before it can record it.
    pub(super) async fn note_unindexed(&mut self, manifest: Option<&Manifest>) {
        let id = self.id;
        self.inner.backlog.missed(id, manifest);
        if !self.inner.shared {
            return;
        }
        let note = self.inner.store.add_note(Note::Unindexed, &id);
        match tokio::time::timeout(INDEX_TIMEOUT, note).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(upload_id = %id, %error, "cannot note in the store that the index is behind with the upload")
            }
            Err(_) => {
                tracing::warn!(upload_id = %id, "cannot note in time in the store that the index is behind with the upload")
            }
        }
    }

    /// Removes the upload, and `names` that the index has for it, from the index.
    pub(super) async fn remove_from_index(
        &mut self,
        names: &[FileName],
    ) -> Result<(), CatalogError> {
        self.index = Indexing::Behind;
        self.inner.catalog.remove(&self.id, names).await?;
        self.index = Indexing::Recorded;
        Ok(())
    }
}

/// The error of an index that was not waited for any longer.
fn no_answer() -> CatalogError {
    CatalogError::Unavailable("it does not answer".to_owned())
}

impl Drop for Change {
    fn drop(&mut self) {
        let inner = &self.inner;
        inner.manifests.remove(&self.id);
        match self.index {
            Indexing::Unchanged => {}
            Indexing::Behind => inner.backlog.missed(self.id, None),
            Indexing::Recorded => inner.backlog.recorded(self.id),
        }
        inner.changes.lock().changes.remove(&self.number);
    }
}

impl Repository {
    /// Runs `work` on an upload as a task, which goes on to its end when the caller does not wait.
    ///
    /// # Errors
    /// Those of `work`; it panicked; or the server is ending.
    pub(super) async fn change<T, E, F>(
        &self,
        what: &'static str,
        id: &UploadId,
        work: impl FnOnce(Change) -> F,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let change = Change::begin(&self.0, what, *id);
        self.track(work(change), || format!("a {what} of {id}"))
            .await?
    }

    /// Runs a task that the end of the server waits for.
    pub(super) async fn track<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        what: impl FnOnce() -> String,
    ) -> Result<T, StoreError> {
        let tracker = &self.0.changes.tracker;
        // Tracked before the check: if the tracker is closed after it, its closing waits for this
        // task.
        let work = tracker.track_future(work);
        if tracker.is_closed() {
            return Err(StoreError::Unavailable("the server is ending".to_owned()));
        }
        tokio::spawn(work).await.map_err(|error| {
            let what = what();
            match error.try_into_panic() {
                Ok(panic) => StoreError::panicked(what, &*panic),
                Err(error) => StoreError::io(what, std::io::Error::other(error)),
            }
        })
    }

    /// Begins a task that the end of the server waits for; no caller waits for it.
    pub(super) fn begin(&self, work: impl Future<Output = ()> + Send + 'static) {
        let tracker = &self.0.changes.tracker;
        let work = tracker.track_future(work);
        if tracker.is_closed() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(work);
        }
    }
}
