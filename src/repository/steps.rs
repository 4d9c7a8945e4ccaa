//! The changes of an upload but its commit: a new version of its manifest, its removal, and what the
//! index is told of it.

use std::sync::Arc;

use super::change::Change;
use super::outcome::{Indexed, Removed, RepositoryError, Updated};
use crate::model::{FileName, Manifest, Reason, Stored, Tombstone};
use crate::store::{Replaced, StoreError};

impl Change {
    pub(super) async fn update(
        mut self,
        mut change: impl FnMut(&mut Manifest) -> bool + Send,
    ) -> Result<Option<Updated>, StoreError> {
        loop {
            let Some(mut manifest) = self.inner.store.manifest(&self.id).await? else {
                return Ok(None);
            };
            let changed = change(&mut manifest);
            if changed {
                manifest.generation += 1;
                match self.replace(&manifest).await? {
                    Replaced::Changed => continue,
                    Replaced::Gone => return Ok(None),
                    Replaced::Done => {}
                }
            }
            self.record_update(&manifest).await;
            return Ok(Some(Updated {
                manifest: Arc::new(manifest),
                changed,
            }));
        }
    }

    pub(super) async fn remove(
        mut self,
        mut over: impl FnMut(&Manifest) -> Option<Reason> + Send,
    ) -> Result<Removed, StoreError> {
        loop {
            let manifest = match self.inner.store.read(&self.id).await? {
                None => {
                    self.unlist(&[]).await;
                    return Ok(Removed::Absent);
                }
                Some(Stored::Gone(tombstone)) => {
                    self.inner.store.remove_files(&tombstone).await?;
                    self.unlist(&tombstone.files).await;
                    return Ok(Removed::Absent);
                }
                Some(Stored::Live(manifest)) => manifest,
            };
            let Some(reason) = over(&manifest) else {
                return Ok(Removed::Kept(manifest.revision()));
            };
            let tombstone = Tombstone::of(&manifest, reason, self.inner.clock.now());
            match self.put_tombstone(&tombstone).await? {
                // Another change came first: read the upload again, and decide by that.
                Replaced::Changed => {}
                Replaced::Gone => return Ok(Removed::Absent),
                Replaced::Done => {
                    self.unlist(&tombstone.files).await;
                    return Ok(Removed::Done(Box::new(manifest)));
                }
            }
        }
    }

    pub(super) async fn remove_files(
        &mut self,
        tombstone: &Tombstone,
    ) -> Result<u64, RepositoryError> {
        let cleared = self.inner.store.remove_files(tombstone).await?;
        self.remove_from_index(&tombstone.files).await?;
        Ok(cleared)
    }

    pub(super) async fn index(&mut self, names: &[FileName]) -> Result<Indexed, RepositoryError> {
        loop {
            let manifest = match self.index_once(names).await? {
                Indexed::Live(manifest) => manifest,
                other => return Ok(other),
            };
            // It may have been changed or removed since it was read.
            match self.inner.store.read(&self.id).await? {
                Some(stored) if stored.generation() == manifest.generation => {
                    return Ok(Indexed::Live(manifest));
                }
                _ => {}
            }
        }
    }

    pub(super) async fn index_once(
        &mut self,
        names: &[FileName],
    ) -> Result<Indexed, RepositoryError> {
        match self.inner.store.read(&self.id).await? {
            None => {
                self.remove_from_index(names).await?;
                Ok(Indexed::Absent)
            }
            Some(Stored::Gone(tombstone)) => {
                self.remove_from_index(&[names, &tombstone.files].concat())
                    .await?;
                Ok(Indexed::Gone(tombstone))
            }
            Some(Stored::Live(manifest)) => {
                self.record(&manifest).await?;
                Ok(Indexed::Live(manifest))
            }
        }
    }
}
