//! Who the store is: a small object beside the uploads.

use object_store::{PutMode, PutOptions};
use serde::{Deserialize, Serialize};

use super::Inner;
use super::error::{is_refusal, sort};
use crate::store::{StoreError, StoreId, to_json};

const NAME: &str = "store.json";

#[derive(Serialize, Deserialize)]
struct Identity {
    store: StoreId,
}

impl Inner {
    pub async fn identity(&self) -> Result<Option<StoreId>, StoreError> {
        let key = self.layout.private(NAME);
        let Some(found) = self.client.read(&key).await? else {
            return Ok(None);
        };
        let identity: Result<Identity, _> = serde_json::from_slice(&found.content);
        let identity = identity
            .map_err(|error| StoreError::Damaged(format!("{key} cannot be understood: {error}")))?;
        Ok(Some(identity.store))
    }

    /// Tells the store, unless another was quicker.
    pub async fn identify(&self, store: StoreId) -> Result<(), StoreError> {
        let key = self.layout.private(NAME);
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        let put = self
            .client
            .put(&key, to_json(&Identity { store })?, options)
            .await;
        let Err(error) = put else { return Ok(()) };
        match self.identity().await? {
            Some(known) if known == store => Ok(()),
            Some(_) if is_refusal(&error) => Err(StoreError::Exists),
            _ => Err(sort(&format!("creating {key}"), &error)),
        }
    }
}
