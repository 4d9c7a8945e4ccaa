//! Store and index as one: the only place where both change, and the order in which they do.
//!
//! The manifest or tombstone at the key of an upload is the truth, and is changed first. The index
//! follows; [`Repository::run_backlog`] records the changes that it has missed.
//!
//! Every change is a task of the repository: it goes on when its caller does not wait for it.

mod backlog;
mod cache;
mod change;
mod commit;
mod comparison;
mod copied;
mod damage;
mod doubted;
mod failure;
mod inner;
mod missed;
mod open_uploads;
mod outcome;
mod pairing;
mod presence;
mod running;
#[cfg(test)]
pub mod slowed;
mod steps;
pub mod store_watch;
mod tasks;
#[cfg(test)]
mod tests;
mod uses;

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::{Catalog, CatalogError, Cursor, ListFilter, Stretch};
use crate::model::{Clock, FileName, Manifest, Reason, Stored, Timestamp, Tombstone, UploadId};
use crate::store::{Orphan, Replaced, Staged, Store, StoreError};
use change::Change;
use inner::{INDEX_TIMEOUT, RepositoryInner};

pub use comparison::compare_file;
pub use doubted::WantedParts;
pub use outcome::{Indexed, Removed, RepositoryError, Updated};
pub use pairing::StorePairing;
pub use presence::OpenUpload;
pub use store_watch::IdentityError;
pub use uses::{ReservedUse, Use};

/// How long the end of the server waits for the index to be closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Uploads, kept in a store and found by an index.
#[derive(Clone)]
pub struct Repository(Arc<RepositoryInner>);

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Repository")
    }
}

impl Repository {
    /// Uploads in `store`, found by `catalog`; `shared` says that other processes have both too.
    pub fn new(
        store: Arc<dyn Store>,
        catalog: Arc<dyn Catalog>,
        clock: Clock,
        shared: bool,
    ) -> Self {
        Repository(Arc::new(RepositoryInner::new(
            store, catalog, clock, shared,
        )))
    }

    /// The store, to be read. It is changed by the methods of the repository alone.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// The index, to be read. It is changed by the methods of the repository alone.
    pub fn catalog(&self) -> &Arc<dyn Catalog> {
        &self.0.catalog
    }

    /// The newest upload with a file of that name: see [`Index::newest`](crate::catalog::Index::newest).
    ///
    /// # Errors
    /// The index fails, or may lack a newer one.
    pub async fn newest(
        &self,
        name: &FileName,
        now: Timestamp,
        skip: &[UploadId],
    ) -> Result<Option<UploadId>, CatalogError> {
        let backlog = &self.0.backlog;
        // Before the index is asked: an upload that is indexed meanwhile may be in the answer or not.
        let behind = backlog.is_behind();
        if backlog.has(name) {
            return Err(CatalogError::Rebuilding);
        }
        match self.0.catalog.newest(name, now, skip).await? {
            None if behind => Err(CatalogError::Rebuilding),
            newest => Ok(newest),
        }
    }

    /// Up to `limit` of the uploads of `filter`, newest first, behind `after`: see [`Index::list`](crate::catalog::Index::list).
    ///
    /// # Errors
    /// The index fails, or may lack some.
    pub async fn list(
        &self,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
        filter: &ListFilter,
    ) -> Result<Stretch, CatalogError> {
        if self.0.backlog.is_behind() {
            return Err(CatalogError::Rebuilding);
        }
        self.0.catalog.list(after, limit, now, filter).await
    }

    /// The manifest of an upload, whether or not it is over.
    ///
    /// # Errors
    /// The store fails, or it is damaged.
    pub async fn get(&self, id: &UploadId) -> Result<Option<Arc<Manifest>>, StoreError> {
        self.0.manifests.get(&*self.0.store, id).await
    }

    /// The manifest of an upload in any of its versions, to read the parts: the form as sent is the same
    /// in all of them, but not the CRCs and the paths, which an older version of wharf leaves out.
    /// Reads nothing from the store where this process has one.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_any_version(
        &self,
        id: &UploadId,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        self.0.manifests.get_any_version(&*self.0.store, id).await
    }

    /// The tombstone of an upload that was removed.
    ///
    /// # Errors
    /// The store fails.
    pub async fn tombstone(&self, id: &UploadId) -> Result<Option<Tombstone>, StoreError> {
        match self.0.store.read(id).await? {
            Some(Stored::Gone(tombstone)) => Ok(Some(tombstone)),
            _ => Ok(None),
        }
    }

    /// Logs that an upload is damaged, unless the log has named it since the start. A comparison,
    /// which is rare, logs it `anew`.
    pub fn report_damage(&self, id: &UploadId, error: &StoreError, anew: bool) {
        if self.0.damage.is_new(id) || anew {
            tracing::error!(upload_id = %id, %error, "upload is damaged; an admin can delete it, or `wharf check --remove`");
        } else {
            tracing::debug!(upload_id = %id, %error, "upload is damaged");
        }
    }

    /// Commits an upload. The manifest is the commit: an index that does not answer learns of it
    /// later. `ended` is called when that is done, or has failed: with `true` when the upload is
    /// stored, or may be, and the index records it sooner or later. Answers the manifest that is
    /// stored: its order, and its generation with it, may be higher.
    ///
    /// # Errors
    /// It is not committed; see [`Staged::commit`].
    pub async fn commit(
        &self,
        staged: Box<dyn Staged>,
        manifest: Arc<Manifest>,
        ended: impl FnOnce(bool) + Send + 'static,
    ) -> Result<Arc<Manifest>, StoreError> {
        let id = manifest.id;
        let work = |change: Change| async move {
            let committed = change.commit(staged, manifest).await;
            ended(committed.as_ref().err().is_none_or(StoreError::is_unknown));
            committed
        };
        self.change("commit", &id, work).await
    }

    /// Changes a manifest by `change`, which answers `false` to leave it, and may be asked again;
    /// the generation is counted on. Answers the upload as it is then, `None` when there is none. The
    /// manifest is the change: an index that does not answer learns of it later.
    ///
    /// # Errors
    /// The store fails; the change may have been made or not.
    pub async fn update(
        &self,
        id: &UploadId,
        change: impl FnMut(&mut Manifest) -> bool + Send + 'static,
    ) -> Result<Option<Updated>, StoreError> {
        self.change("change", id, |it| it.update(change)).await
    }

    /// Removes an upload if `over` says so of its manifest, asked just before. An index that does not
    /// answer learns of it later.
    ///
    /// # Errors
    /// The store fails; it can be repeated.
    pub async fn remove(
        &self,
        id: &UploadId,
        over: impl FnMut(&Manifest) -> Option<Reason> + Send + 'static,
    ) -> Result<Removed, StoreError> {
        self.change("removal", id, |it| it.remove(over)).await
    }

    /// Removes an upload whose manifest cannot be read, and all files with its id: only when an
    /// operator says so. Answers whether it did; `false` when there is nothing, or the manifest can
    /// be read.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a newer version wrote it: nothing was removed. Or the store
    /// fails; it can be repeated.
    pub async fn remove_damaged(&self, id: &UploadId) -> Result<bool, StoreError> {
        let work = |mut change: Change| async move {
            let removed = change.remove_damaged().await? == Replaced::Done;
            if removed {
                tracing::warn!(upload_id = %change.id, "removed an upload whose manifest was damaged");
                change.unlist(&[]).await;
            }
            Ok(removed)
        };
        self.change("removal", id, work).await
    }

    /// Finishes the removal that a tombstone has begun: removes the files, then the entry in the index.
    /// Answers how many files it has removed.
    ///
    /// # Errors
    /// The store or the index fails.
    pub async fn finish_removal(&self, tombstone: &Tombstone) -> Result<u64, RepositoryError> {
        let tombstone = tombstone.clone();
        let id = tombstone.id;
        let work = |mut change: Change| async move { change.remove_files(&tombstone).await };
        self.change("removal", &id, work).await
    }

    /// Removes a tombstone that no instance needs any more.
    ///
    /// # Errors
    /// The store fails.
    pub async fn remove_tombstone(&self, tombstone: &Tombstone) -> Result<(), StoreError> {
        let tombstone = tombstone.clone();
        let id = tombstone.id;
        let work =
            |change: Change| async move { change.inner.store.remove_tombstone(&tombstone).await };
        self.change("removal of a tombstone", &id, work).await
    }

    /// Removes files that belong to no upload. Answers `false` where an upload has them by now.
    ///
    /// # Errors
    /// The store fails.
    pub async fn remove_orphan(&self, orphan: Orphan) -> Result<bool, StoreError> {
        let tombstone = Tombstone::orphaned(orphan.id, orphan.files, self.0.clock.now());
        let work = |mut change: Change| async move {
            let removed = change.put_tombstone(&tombstone).await? == Replaced::Done;
            // Without a manifest the index should not have it, and the next comparison removes it.
            if removed && let Err(error) = change.remove_from_index(&tombstone.files).await {
                tracing::warn!(upload_id = %tombstone.id, %error, "the removed files may still be in the index; the next comparison corrects it");
            }
            Ok(removed)
        };
        self.change("removal of files", &orphan.id, work).await
    }

    /// Records in the index what the store has at the key of one upload. `names` are those that the
    /// index has for it.
    ///
    /// # Errors
    /// The store or the index fails.
    pub async fn index(
        &self,
        id: &UploadId,
        names: &[FileName],
    ) -> Result<Indexed, RepositoryError> {
        let names = names.to_vec();
        let work = |mut change: Change| async move { change.index(&names).await };
        self.change("comparison", id, work).await
    }

    /// The same with one read of the key: an upload that is removed meanwhile may come back into the
    /// index. The caller has to check afterwards whether the key has changed, and then to
    /// [`index`](Self::index) it.
    ///
    /// # Errors
    /// The store or the index fails.
    pub async fn index_once(&self, id: &UploadId) -> Result<Indexed, RepositoryError> {
        let work = |mut change: Change| async move { change.index_once(&[]).await };
        self.change("comparison", id, work).await
    }

    /// Begins no more changes, and waits for those that have begun; then closes store and index.
    /// Changes that do not end within `timeout` are abandoned, and the index is not marked as clean.
    ///
    /// # Errors
    /// The index cannot be closed.
    pub async fn close(&self, timeout: Duration) -> Result<(), CatalogError> {
        let deadline = tokio::time::Instant::now() + timeout;
        let ended = self.0.running.end_all(timeout).await;
        let store = tokio::time::timeout_at(deadline, self.0.store.close()).await;
        match &store {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "the last changes may not be on the disk; the next start compares the index");
            }
            Err(_) => tracing::error!(
                "the files of discarded uploads are not removed: the store does not answer"
            ),
        }
        // The index may have missed the last changes: they are recorded now.
        let _ = tokio::time::timeout(INDEX_TIMEOUT, self.index_missed_at_the_end()).await;
        let whole = ended && matches!(store, Ok(Ok(()))) && !self.0.backlog.is_behind();
        let closed = tokio::time::timeout(CLOSE_TIMEOUT, self.0.catalog.close(whole)).await;
        closed.unwrap_or_else(|_| Err(CatalogError::Unavailable("it cannot be written".to_owned())))
    }

    /// Indexes the changes that the index has missed, once no changes are begun any more.
    async fn index_missed_at_the_end(&self) {
        for (id, number) in self.0.backlog.all() {
            let mut change = Change::begin(&self.0, "comparison", id);
            if change.index(&[]).await.is_err() {
                return;
            }
            drop(change);
            self.settle(&id, number).await;
        }
    }
}
