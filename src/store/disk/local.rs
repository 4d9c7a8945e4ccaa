//! What only a store in a directory can do, its notes, and what it says of itself.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::DiskStore;
use super::held_room::DiskRoom;
use super::inner::Inner;
use super::staging::placement;
use crate::model::{Doubt, FileName, Timestamp, UploadId};
use crate::store::{
    HeldRoom, JournalFigures, LocalStore, Note, Notes, Records, StoreError, StoreId, Ways,
};

#[async_trait]
impl LocalStore for DiskStore {
    fn try_read_cached(&self, id: &UploadId, name: &FileName, size: u64) -> Option<Bytes> {
        self.0.local()?.try_read_cached(id, name, size)
    }

    async fn present(&self, ids: Vec<UploadId>) -> Result<Vec<bool>, StoreError> {
        let look = move |inner: &Inner| ids.iter().map(|id| inner.present(id)).collect();
        self.blocking(look).await
    }

    async fn hold_room(&self, id: &UploadId) -> Result<Option<Box<dyn HeldRoom>>, StoreError> {
        let (disk, id) = (self.0.clone(), *id);
        let held = self.blocking(move |inner| DiskRoom::hold(disk, inner, id));
        let held = held.await?;
        Ok(held.map(|room| -> Box<dyn HeldRoom> { Box::new(room) }))
    }

    async fn free_bytes(&self) -> Result<u64, StoreError> {
        self.blocking(|inner| inner.space.free()).await
    }

    fn ways(&self) -> Arc<Ways> {
        Arc::clone(&self.0.state().ways)
    }

    fn warning(&self) -> Option<&'static str> {
        self.0.is_bare().then_some(placement::BARE)
    }

    async fn doubt(&self) -> Result<Doubt, StoreError> {
        self.blocking(|inner| inner.doubt()).await
    }

    fn journal(&self) -> Option<JournalFigures> {
        self.0.direct().journal().map(|journal| journal.figures())
    }

    async fn unreplayed(&self) -> Result<usize, StoreError> {
        self.blocking(|inner| inner.unreplayed()).await
    }

    async fn keep_doubt(&self, doubt: &Doubt) -> Result<(), StoreError> {
        let doubt = doubt.clone();
        self.blocking(move |inner| inner.keep_doubt(&doubt)).await
    }
}

#[async_trait]
impl Notes for DiskStore {
    async fn add_note(&self, note: Note, id: &UploadId) -> Result<(), StoreError> {
        let id = *id;
        self.blocking(move |inner| inner.add_note(note, &id)).await
    }

    async fn notes(&self, note: Note) -> Result<Vec<(UploadId, Timestamp)>, StoreError> {
        self.blocking(move |inner| inner.notes(note)).await
    }

    async fn remove_note(&self, note: Note, id: &UploadId) -> Result<(), StoreError> {
        let id = *id;
        self.blocking(move |inner| inner.remove_note(note, &id))
            .await
    }
}

#[async_trait]
impl Records for DiskStore {
    async fn identity(&self) -> Result<Option<StoreId>, StoreError> {
        self.blocking(|inner| inner.identity()).await
    }

    async fn set_identity(&self, id: StoreId) -> Result<(), StoreError> {
        self.blocking(move |inner| inner.set_identity(id)).await
    }

    async fn total(&self) -> Result<Option<u64>, StoreError> {
        self.blocking(|inner| inner.total()).await
    }

    async fn keep_total(&self, bytes: u64) -> Result<(), StoreError> {
        self.blocking(move |inner| inner.keep_total(bytes)).await
    }
}
