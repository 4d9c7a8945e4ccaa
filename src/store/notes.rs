//! Notes on uploads: what one process leaves for the others on the store.

use async_trait::async_trait;

use super::StoreError;
use crate::model::{Timestamp, UploadId};

/// Marks beside the uploads of a [`Store`](super::Store), which all processes on it see.
#[async_trait]
pub trait Notes {
    /// Leaves a note on an upload, or renews it. Durable.
    async fn add_note(&self, note: Note, id: &UploadId) -> Result<(), StoreError>;

    /// The notes of one kind, and when each was left or renewed, by the clock of the store.
    async fn notes(&self, note: Note) -> Result<Vec<(UploadId, Timestamp)>, StoreError>;

    /// Takes a note away; one that is not there is a success.
    async fn remove_note(&self, note: Note, id: &UploadId) -> Result<(), StoreError>;
}

/// The meaning of a note. Kept as `.wharf/unindexed/<id>` and `.wharf/open/<id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// It is committed, and the index was not told.
    Unindexed,
    /// It is under way, whatever its files look like.
    UnderWay,
}

impl Note {
    pub(super) fn folder(self) -> &'static str {
        match self {
            Note::Unindexed => "unindexed",
            Note::UnderWay => "open",
        }
    }
}
