//! The changes of uploads, each a task of the repository that nothing cuts between its steps: no
//! client that leaves, no stream that is reset, and no end of the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::{Inner, Repository};
use crate::catalog::CatalogError;
use crate::model::{FileName, Manifest, Tombstone, UploadId};
use crate::store::{Replaced, StoreError};

/// How many changes that did not end are named in the log.
const NAMED: usize = 10;

/// The changes under way.
#[derive(Debug, Default)]
pub struct Changes {
    tracker: TaskTracker,
    /// Guards what is under way, for the log. A std mutex: held for an insertion or a look.
    under_way: Mutex<UnderWay>,
}

#[derive(Debug, Default)]
struct UnderWay {
    next: u64,
    changes: HashMap<u64, (&'static str, UploadId)>,
}

impl Changes {
    /// Begins no more changes, and waits for those that have begun, no longer than `patience`.
    /// Answers whether all of them have ended; the log names the others.
    pub async fn end(&self, patience: Duration) -> bool {
        self.tracker.close();
        let ended = tokio::time::timeout(patience, self.tracker.wait()).await;
        if ended.is_ok() {
            return true;
        }
        let under_way = self.lock();
        let left = under_way.changes.len();
        for (what, id) in under_way.changes.values().take(NAMED) {
            tracing::error!(%id, "a {what} has not ended: the store does not answer");
        }
        tracing::error!(
            left,
            "changes were left behind; the next start compares the index with the store"
        );
        false
    }

    /// Waits for those that have begun, and lets others begin.
    #[cfg(test)]
    pub async fn idle(&self) {
        self.tracker.close();
        self.tracker.wait().await;
        self.tracker.reopen();
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        // Nothing between a lock and its release can panic half-way.
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the index has to be told of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Index {
    /// Nothing was changed.
    Same,
    /// The index may lack the change.
    Behind,
    /// The index has the change.
    Knows,
}

/// A change of one upload. Store and index are changed through it alone, so that wherever it ends,
/// with an error or a panic as well, no manifest in memory is older than the stored one, and what
/// the index may have missed is indexed again.
pub struct Change {
    pub(super) inner: Arc<Inner>,
    pub(super) id: UploadId,
    number: u64,
    index: Index,
}

impl Change {
    pub(super) fn begin(inner: &Arc<Inner>, what: &'static str, id: UploadId) -> Self {
        inner.manifests.let_go(&id);
        let mut under_way = inner.changes.lock();
        let number = under_way.next;
        under_way.next += 1;
        under_way.changes.insert(number, (what, id));
        drop(under_way);
        Change {
            inner: Arc::clone(inner),
            id,
            number,
            index: Index::Same,
        }
    }

    /// Says that the outcome of a change of the store is unknown, or the index has not learnt of it.
    pub(super) fn index_is_behind(&mut self) {
        self.index = Index::Behind;
    }

    /// Says that the index has learnt of it.
    pub(super) fn index_knows(&mut self) {
        self.index = Index::Knows;
    }

    /// Replaces the manifest; see [`Store::replace`](crate::store::Store::replace).
    pub(super) async fn replace(&mut self, manifest: &Manifest) -> Result<Replaced, StoreError> {
        let before = std::mem::replace(&mut self.index, Index::Behind);
        let replaced = self.inner.store.replace(manifest).await;
        self.went(before, replaced)
    }

    /// Removes the upload from the store; see [`Store::remove`](crate::store::Store::remove).
    pub(super) async fn put_tombstone(
        &mut self,
        tombstone: &Tombstone,
    ) -> Result<Replaced, StoreError> {
        let before = std::mem::replace(&mut self.index, Index::Behind);
        let removed = self.inner.store.remove(tombstone).await;
        self.went(before, removed)
    }

    /// Removes an upload that cannot be understood; see
    /// [`Store::remove_damaged`](crate::store::Store::remove_damaged).
    pub(super) async fn remove_damaged(&mut self) -> Result<Replaced, StoreError> {
        let before = std::mem::replace(&mut self.index, Index::Behind);
        let now = self.inner.clock.now();
        let removed = self.inner.store.remove_damaged(&self.id, now).await;
        if matches!(removed, Err(StoreError::Damaged(_))) {
            // A newer version understands it.
            self.index = before;
        }
        self.went(before, removed)
    }

    fn went(
        &mut self,
        before: Index,
        replaced: Result<Replaced, StoreError>,
    ) -> Result<Replaced, StoreError> {
        if matches!(replaced, Ok(Replaced::Changed | Replaced::Gone)) {
            self.index = before;
        }
        // The next look at it, in this very change, reads it anew.
        self.inner.manifests.let_go(&self.id);
        replaced
    }

    /// Records the upload as `manifest` says; see
    /// [`Index::record`](crate::catalog::Index::record).
    pub(super) async fn record(&mut self, manifest: &Manifest) -> Result<(), CatalogError> {
        self.index = Index::Behind;
        self.inner.catalog.record(manifest).await?;
        self.index = Index::Knows;
        Ok(())
    }

    /// Tells the index of a manifest that was replaced.
    pub(super) async fn record_update(&mut self, manifest: &Manifest) -> Result<(), CatalogError> {
        let updated = self.inner.catalog.update(manifest).await;
        // An upload that is not in the index may be what another instance missed.
        match updated {
            _ if self.index == Index::Same => {}
            Ok(true) => self.index = Index::Knows,
            _ => self.inner.backlog.missed(self.id, Some(manifest)),
        }
        updated.map(drop)
    }

    /// Removes the upload, and `names` that the index has for it, from the index.
    pub(super) async fn remove_from_index(
        &mut self,
        names: &[FileName],
    ) -> Result<(), CatalogError> {
        self.index = Index::Behind;
        self.inner.catalog.remove(&self.id, names).await?;
        self.index = Index::Knows;
        Ok(())
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        let inner = &self.inner;
        inner.manifests.let_go(&self.id);
        match self.index {
            Index::Same => {}
            Index::Behind => inner.backlog.missed(self.id, None),
            Index::Knows => inner.backlog.recorded(self.id),
        }
        inner.changes.lock().changes.remove(&self.number);
    }
}

impl Repository {
    /// Runs `work` on an upload as a task, which goes on to its end when the caller has gone.
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
        // Tracked before the look: if the tracker is closed after the look, its closing waits for
        // this task.
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
