//! An upload that is being received.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::path::Path;

use super::inner::BucketInner;
use super::key::Created;
use super::sink::BucketSink;
use super::transfers::Transfers;
use crate::model::{FileName, Manifest, Stored, Tombstone, UploadId};
use crate::store::{FileSink, Replaced, Staged, StoreError, new_manifest};

/// An upload on its way to the store.
pub struct BucketStaged {
    transfers: Transfers,
    /// Whether the objects stay when this value is dropped.
    kept: bool,
}

impl BucketStaged {
    pub fn new(inner: Arc<BucketInner>, id: UploadId) -> Self {
        inner.under_way().insert(id);
        BucketStaged {
            transfers: Transfers::new(inner, id),
            kept: false,
        }
    }

    /// Puts the manifest, when all files are there.
    async fn publish(&mut self, manifest: &Manifest) -> Result<(), StoreError> {
        let transfers = &mut self.transfers;
        transfers.join_all().await?;
        let age = transfers.touched.elapsed();
        if age > transfers.inner.stale_after {
            return Err(StoreError::Stale(age));
        }
        let json = new_manifest(manifest)?;
        // From here on nothing is removed that a manifest may name.
        self.kept = true;
        let created = transfers.inner.create(&transfers.id, json);
        match created.await? {
            Created::Done => Ok(()),
            Created::Taken(stored) => {
                if let Stored::Live(other) = &stored {
                    transfers.names.retain(|name| other.file(name).is_none());
                }
                self.kept = false;
                Err(StoreError::Exists)
            }
            Created::Unknown(error) => self.withdraw(manifest, error).await,
        }
    }

    /// Keeps a manifest from appearing later whose creation had no known outcome.
    async fn withdraw(&mut self, manifest: &Manifest, error: StoreError) -> Result<(), StoreError> {
        let Transfers { inner, id, .. } = &self.transfers;
        let files = manifest.files().map(|(_, file)| file.name.clone());
        let tombstone = Tombstone::orphaned(*id, files.collect(), manifest.created_at);
        match inner.close_key(&tombstone).await? {
            Replaced::Done | Replaced::Gone => {
                self.kept = false;
                Err(error)
            }
            // It has come after all.
            Replaced::Changed => Ok(()),
        }
    }
}

impl Drop for BucketStaged {
    /// Ends the transfers, and removes the files that have arrived.
    fn drop(&mut self) {
        let transfers = &mut self.transfers;
        transfers.inner.under_way().remove(&transfers.id);
        transfers.given_up.cancel();
        if self.kept || transfers.is_empty() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let inner = Arc::clone(&transfers.inner);
        let key = |name: &FileName| inner.layout.file(&transfers.id, name);
        let keys: Vec<Path> = transfers.names.iter().map(key).collect();
        let mut running = transfers.take_running();
        let cleaning = async move {
            while running.join_next().await.is_some() {}
            inner.client.delete(keys).await;
        };
        let cleaning = transfers.inner.cleaning.track_future(cleaning);
        runtime.spawn(cleaning);
    }
}

#[async_trait]
impl Staged for BucketStaged {
    async fn file<'a>(
        &'a mut self,
        name: FileName,
        hash: bool,
    ) -> Result<Box<dyn FileSink + 'a>, StoreError> {
        Ok(Box::new(BucketSink::new(&mut self.transfers, name, hash)))
    }

    async fn commit(mut self: Box<Self>, manifest: &Manifest) -> Result<(), StoreError> {
        let published = self.publish(manifest).await;
        if let Err(error) = &published
            && self.kept
        {
            tracing::error!(upload_id = %self.transfers.id, %error, "commit outcome unknown; its files are kept");
        }
        published
    }
}
