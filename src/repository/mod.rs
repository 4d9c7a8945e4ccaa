//! Store and index as one: the only place where both change, and the order in which they do.
//!
//! What stands at the key of an upload is the truth, and is changed first. The index follows; a
//! change that it missed is made up for by [`Repository::mend`].

mod backlog;
mod cache;

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::{Catalog, CatalogError};
use crate::model::{Clock, FileName, Manifest, Reason, Stored, Tombstone, UploadId};
use crate::store::{Replaced, Staged, Store, StoreError};
use backlog::Backlog;
use cache::Manifests;

/// How long a commit waits for the index, which can follow later.
const PATIENCE: Duration = Duration::from_secs(2);

/// Uploads, kept in a store and found by an index.
#[derive(Clone)]
pub struct Repository(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    catalog: Arc<dyn Catalog>,
    manifests: Manifests,
    backlog: Backlog,
    clock: Clock,
}

/// Why an upload cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The store failed, or holds something damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// An upload after [`Repository::update`].
#[derive(Debug)]
pub struct Updated {
    /// Its manifest as it is now.
    pub manifest: Arc<Manifest>,
    /// Whether the index knows.
    pub indexed: Result<(), CatalogError>,
}

/// What became of a [`Repository::remove`].
#[derive(Debug)]
pub enum Removed {
    /// It is gone, by this call.
    Done,
    /// It was gone.
    Absent,
    /// It was to stay, as its manifest is now.
    Kept,
}

/// What [`Repository::index`] found at the key of an upload.
#[derive(Debug)]
pub enum Indexed {
    /// An upload.
    Live(Manifest),
    /// What is left of one.
    Gone(Tombstone),
    /// Nothing.
    Absent,
}

impl Repository {
    /// Uploads in `store`, found by `catalog`; `shared` says that other processes have both too.
    pub fn new(
        store: Arc<dyn Store>,
        catalog: Arc<dyn Catalog>,
        clock: Clock,
        shared: bool,
    ) -> Self {
        Repository(Arc::new(Inner {
            store,
            catalog,
            manifests: Manifests::new(shared),
            backlog: Backlog::default(),
            clock,
        }))
    }

    /// Where the bytes are.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// The index.
    pub fn catalog(&self) -> &Arc<dyn Catalog> {
        &self.0.catalog
    }

    /// The manifest of an upload, whether or not it is over.
    ///
    /// # Errors
    /// The store fails, or it is damaged.
    pub async fn get(&self, id: &UploadId) -> Result<Option<Arc<Manifest>>, StoreError> {
        self.0.manifests.get(&*self.0.store, id).await
    }

    /// What is left of an upload that is gone.
    ///
    /// # Errors
    /// The store fails.
    pub async fn tombstone(&self, id: &UploadId) -> Result<Option<Tombstone>, StoreError> {
        match self.0.store.read(id).await? {
            Some(Stored::Gone(tombstone)) => Ok(Some(tombstone)),
            _ => Ok(None),
        }
    }

    /// Commits an upload. The manifest is the commit: an index that does not answer learns of it
    /// later.
    ///
    /// # Errors
    /// It is not committed; see [`Staged::commit`].
    pub async fn commit(
        &self,
        staged: Box<dyn Staged>,
        manifest: &Manifest,
    ) -> Result<(), StoreError> {
        staged.commit(manifest).await?;
        let id = manifest.id;
        let recorded = tokio::time::timeout(PATIENCE, self.0.catalog.record(manifest)).await;
        match recorded {
            Ok(Ok(_)) => self.0.backlog.recorded(id),
            Ok(Err(error)) => {
                tracing::error!(%id, %error, "stored, but not yet in the index");
                self.0.backlog.missed(id);
            }
            Err(_) => {
                tracing::error!(%id, "stored, but not yet in the index: it does not answer");
                self.0.backlog.missed(id);
            }
        }
        Ok(())
    }

    /// Changes a manifest by `change`, which answers `false` to leave it; the generation is
    /// counted on. Answers the upload as it is then, `None` when there is none.
    ///
    /// # Errors
    /// The store fails, and nobody knows whether the change was made.
    pub async fn update(
        &self,
        id: &UploadId,
        mut change: impl FnMut(&mut Manifest) -> bool + Send,
    ) -> Result<Option<Updated>, StoreError> {
        loop {
            let Some(mut manifest) = self.0.store.manifest(id).await? else {
                self.0.manifests.let_go(id);
                return Ok(None);
            };
            let changed = change(&mut manifest);
            if changed {
                manifest.generation += 1;
                let replaced = self.0.store.replace(&manifest).await;
                self.0.manifests.let_go(id);
                match replaced? {
                    Replaced::Changed => continue,
                    Replaced::Gone => return Ok(None),
                    Replaced::Done => {}
                }
            }
            let indexed = self.0.catalog.update(&manifest).await;
            // One that is not in the index, or only by a name, may be what another missed.
            let known = matches!(indexed, Ok(true)) || !changed;
            self.0.backlog.note(*id, known);
            let indexed = indexed.map(drop);
            let manifest = Arc::new(manifest);
            return Ok(Some(Updated { manifest, indexed }));
        }
    }

    /// Removes an upload if `over` says so of its manifest, asked just before.
    ///
    /// # Errors
    /// The store or the index fails; it can be repeated.
    pub async fn remove(
        &self,
        id: &UploadId,
        mut over: impl FnMut(&Manifest) -> Option<Reason> + Send,
    ) -> Result<Removed, RepositoryError> {
        loop {
            let manifest = match self.0.store.read(id).await? {
                None => {
                    self.forget(id, &[]).await?;
                    return Ok(Removed::Absent);
                }
                Some(Stored::Gone(tombstone)) => {
                    self.clear(&tombstone).await?;
                    return Ok(Removed::Absent);
                }
                Some(Stored::Live(manifest)) => manifest,
            };
            let Some(reason) = over(&manifest) else {
                return Ok(Removed::Kept);
            };
            let tombstone = Tombstone::of(&manifest, reason, self.0.clock.now());
            let buried = self.0.store.bury(&tombstone).await;
            self.0.manifests.let_go(id);
            match buried? {
                // Read again: whoever lost the race goes by what it finds.
                Replaced::Changed => {}
                Replaced::Gone => return Ok(Removed::Absent),
                Replaced::Done => {
                    self.forget(id, &tombstone.files).await?;
                    return Ok(Removed::Done);
                }
            }
        }
    }

    /// Ends the removal that a tombstone has begun: its files, then its place in the index.
    /// Answers how many files there still were.
    ///
    /// # Errors
    /// The store or the index fails.
    pub async fn clear(&self, tombstone: &Tombstone) -> Result<u64, RepositoryError> {
        let cleared = self.0.store.clear(tombstone).await?;
        self.forget(&tombstone.id, &tombstone.files).await?;
        Ok(cleared)
    }

    /// Has the index say of one upload what its key says.
    ///
    /// # Errors
    /// The store or the index fails.
    pub async fn index(&self, id: &UploadId) -> Result<Indexed, RepositoryError> {
        loop {
            let manifest = match self.0.store.read(id).await? {
                None => {
                    self.forget(id, &[]).await?;
                    return Ok(Indexed::Absent);
                }
                Some(Stored::Gone(tombstone)) => {
                    self.forget(id, &tombstone.files).await?;
                    return Ok(Indexed::Gone(tombstone));
                }
                Some(Stored::Live(manifest)) => manifest,
            };
            self.0.catalog.record(&manifest).await?;
            // It may have been changed or removed since it was read.
            match self.0.store.read(id).await? {
                Some(stored) if stored.generation() == manifest.generation => {
                    return Ok(Indexed::Live(manifest));
                }
                _ => {}
            }
        }
    }

    /// Takes from the index what is gone.
    async fn forget(&self, id: &UploadId, names: &[FileName]) -> Result<(), CatalogError> {
        self.0.manifests.let_go(id);
        let forgotten = self.0.catalog.forget(id, names).await;
        self.0.backlog.note(*id, forgotten.is_ok());
        forgotten
    }
}
