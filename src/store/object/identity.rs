//! The records of the store: its id, and what all uploads took. Small objects beside the uploads.

use object_store::{PutMode, PutOptions};
use serde::de::DeserializeOwned;

use super::error::{classify, is_refusal};
use super::inner::BucketInner;
use crate::store::records::{IdentityRecord, STORE, TOTAL, TotalRecord};
use crate::store::{StoreError, StoreId, to_json};

impl BucketInner {
    pub async fn identity(&self) -> Result<Option<StoreId>, StoreError> {
        let identity: Option<IdentityRecord> = self.read_private(STORE).await?;
        Ok(identity.map(|identity| identity.store))
    }

    pub async fn total(&self) -> Result<Option<u64>, StoreError> {
        let total: Option<TotalRecord> = self.read_private(TOTAL).await?;
        Ok(total.map(|total| total.total))
    }

    pub async fn keep_total(&self, total: u64) -> Result<(), StoreError> {
        let key = self.layout.private(TOTAL);
        let json = to_json(&TotalRecord { total })?;
        let put = self.client.put(&key, json, PutOptions::default()).await;
        put.map(drop)
            .map_err(|error| classify(&format!("writing {key}"), &error))
    }

    async fn read_private<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let key = self.layout.private(name);
        match self.client.read(&key).await? {
            Some(found) => found.content.record(&key).map(Some),
            None => Ok(None),
        }
    }

    /// Gives the store its id, unless another process was quicker.
    pub async fn set_identity(&self, store: StoreId) -> Result<(), StoreError> {
        let key = self.layout.private(STORE);
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        let put = self
            .client
            .put(&key, to_json(&IdentityRecord { store })?, options)
            .await;
        let Err(error) = put else { return Ok(()) };
        match self.identity().await? {
            Some(known) if known == store => Ok(()),
            Some(_) if is_refusal(&error) => Err(StoreError::Exists),
            _ => Err(classify(&format!("creating {key}"), &error)),
        }
    }
}
