//! Notes on uploads: small objects, of one beginning for each kind.

use object_store::PutOptions;
use object_store::path::Path;

use super::error::classify;
use super::inner::BucketInner;
use super::layout::name_of;
use crate::model::{Timestamp, UploadId};
use crate::store::{Note, StoreError};

impl BucketInner {
    fn note_key(&self, note: Note, id: &UploadId) -> Path {
        self.layout.private(&format!("{}/{id}", note.folder()))
    }

    pub async fn add_note(&self, note: Note, id: &UploadId) -> Result<(), StoreError> {
        let key = self.note_key(note, id);
        let put = self
            .client
            .put(&key, b"\n".to_vec(), PutOptions::default())
            .await;
        put.map(drop)
            .map_err(|error| classify(&format!("storing {key}"), &error))
    }

    pub async fn notes(&self, note: Note) -> Result<Vec<(UploadId, Timestamp)>, StoreError> {
        let begin = format!("{}/", self.layout.private(note.folder()));
        let (mut notes, mut token) = (Vec::new(), None);
        loop {
            let (objects, next) = self.client.page(&begin, token.as_deref()).await?;
            notes.extend(objects.into_iter().filter_map(|object| {
                let id = name_of(object.key.as_ref()).parse().ok()?;
                Some((id, object.changed))
            }));
            token = next;
            if token.is_none() {
                return Ok(notes);
            }
        }
    }

    pub async fn remove_note(&self, note: Note, id: &UploadId) -> Result<(), StoreError> {
        self.client.delete(vec![self.note_key(note, id)]).await;
        Ok(())
    }
}
