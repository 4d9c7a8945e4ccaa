//! Removal: first the tombstone, then the files.

use object_store::path::Path;

use super::inner::BucketInner;
use super::key::Created;
use crate::model::{Stored, Timestamp, Tombstone, UploadId};
use crate::store::{Replaced, StoreError, to_json};

impl BucketInner {
    pub async fn remove(&self, tombstone: &Tombstone) -> Result<Replaced, StoreError> {
        let removed = match tombstone.generation {
            1 => self.close_key(tombstone).await?,
            _ => self.replace_live(tombstone).await?,
        };
        match removed {
            Replaced::Done if tombstone.generation == 1 => {
                self.remove_files(tombstone).await?;
            }
            Replaced::Done => {
                let files = tombstone.files.iter();
                let keys = files.map(|name| self.layout.file(&tombstone.id, name));
                self.client.delete(keys.collect()).await;
            }
            Replaced::Changed | Replaced::Gone => {}
        }
        Ok(removed)
    }

    async fn replace_live(&self, tombstone: &Tombstone) -> Result<Replaced, StoreError> {
        let id = &tombstone.id;
        let _lock = self.lock_key(id).await;
        let Some(known) = self.tagged(id).await? else {
            return Ok(Replaced::Gone);
        };
        match &known.stored {
            Stored::Gone(_) => Ok(Replaced::Gone),
            Stored::Live(stored) if stored.generation + 1 != tombstone.generation => {
                Ok(Replaced::Changed)
            }
            Stored::Live(_) => self.update(id, &known, to_json(tombstone)?).await,
        }
    }

    pub async fn remove_damaged(
        &self,
        id: &UploadId,
        gone_at: Timestamp,
    ) -> Result<Replaced, StoreError> {
        // All files under the id are removed, whether a manifest names them or not.
        let tombstone = Tombstone::damaged(*id, Vec::new(), gone_at);
        let removed = self.replace_damaged(&tombstone).await?;
        if removed == Replaced::Done {
            self.remove_files(&tombstone).await?;
        }
        Ok(removed)
    }

    /// Keeps a manifest from being created.
    pub async fn close_key(&self, tombstone: &Tombstone) -> Result<Replaced, StoreError> {
        match self.create(&tombstone.id, to_json(tombstone)?).await? {
            Created::Done => Ok(Replaced::Done),
            Created::Taken(Stored::Live(_)) => Ok(Replaced::Changed),
            Created::Taken(Stored::Gone(_)) => Ok(Replaced::Gone),
            Created::Unknown(error) => Err(error),
        }
    }

    /// Removes the files beside a tombstone, whether or not it names them.
    pub async fn remove_files(&self, tombstone: &Tombstone) -> Result<u64, StoreError> {
        let id = &tombstone.id;
        if tombstone.generation == 1 {
            self.abort_unfinished(id).await;
        }
        let keys = self.files_of(id).await?;
        if keys.is_empty() {
            return Ok(0);
        }
        Ok(self.client.delete(keys).await)
    }

    pub async fn remove_tombstone(&self, tombstone: &Tombstone) -> Result<(), StoreError> {
        let id = &tombstone.id;
        let _lock = self.lock_key(id).await;
        match self.tagged(id).await? {
            // Nothing takes the place of a tombstone: one that was read a moment ago still stands.
            Some(found) if matches!(found.stored, Stored::Gone(_)) => {
                self.client.delete(vec![self.layout.manifest(id)]).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The keys of the files that an upload has.
    async fn files_of(&self, id: &UploadId) -> Result<Vec<Path>, StoreError> {
        let begin = self.layout.files(id);
        let (mut keys, mut token) = (Vec::new(), None);
        loop {
            let (objects, next) = self.client.page(&begin, token.as_deref()).await?;
            keys.extend(objects.into_iter().map(|object| object.key));
            token = next;
            if token.is_none() {
                return Ok(keys);
            }
        }
    }
}
