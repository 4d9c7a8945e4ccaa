//! An upload that is being received.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::path::Path;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Inner;
use super::key::Created;
use super::sink::BucketSink;
use crate::model::{FileName, Manifest, Stored, Tombstone, UploadId, Uptime};
use crate::store::{FileSink, Replaced, Staged, StoreError, to_json};

/// How many files of one upload are on their way to the store at once.
const AT_ONCE: usize = 8;

/// An upload on its way to the store.
pub struct BucketStaged {
    pub inner: Arc<Inner>,
    pub id: UploadId,
    /// The files that may have objects.
    pub names: Vec<FileName>,
    /// Told when nobody wants the files any more.
    pub given_up: CancellationToken,
    /// When the last byte came.
    pub touched: Uptime,
    /// The files on their way.
    transfers: JoinSet<Result<(), StoreError>>,
    /// Whether the objects are to stay, whatever becomes of this value.
    kept: bool,
}

impl BucketStaged {
    pub fn new(inner: Arc<Inner>, id: UploadId) -> Self {
        inner.under_way().insert(id);
        BucketStaged {
            inner,
            id,
            names: Vec::new(),
            given_up: CancellationToken::new(),
            touched: Uptime::now(),
            transfers: JoinSet::new(),
            kept: false,
        }
    }

    /// Begins to transfer a file, once few enough are.
    pub async fn transfer(
        &mut self,
        name: FileName,
        run: impl Future<Output = Result<(), StoreError>> + Send + 'static,
    ) -> Result<(), StoreError> {
        while self.transfers.len() >= AT_ONCE {
            self.one_ends().await?;
        }
        self.names.push(name);
        self.transfers.spawn(run);
        Ok(())
    }

    /// Waits for the end of a file's transfer; answers whether there was one.
    pub async fn one_ends(&mut self) -> Result<bool, StoreError> {
        match self.transfers.join_next().await {
            None => Ok(false),
            Some(Ok(result)) => result.map(|()| true),
            Some(Err(error)) => Err(StoreError::ended(error)),
        }
    }

    fn key(&self, name: &FileName) -> Path {
        self.inner.layout.file(&self.id, name)
    }

    /// Puts the manifest, when all files are there.
    async fn publish(&mut self, manifest: &Manifest) -> Result<(), StoreError> {
        while self.one_ends().await? {}
        let age = self.touched.elapsed();
        if age > self.inner.stale_after {
            return Err(StoreError::Stale(age));
        }
        // From here on nothing is removed that a manifest may name.
        self.kept = true;
        match self.inner.create(&self.id, to_json(manifest)?).await? {
            Created::Done => Ok(()),
            Created::Taken(stored) => {
                if let Stored::Live(other) = &stored {
                    self.names.retain(|name| other.file(name).is_none());
                }
                self.kept = false;
                Err(StoreError::Exists)
            }
            Created::Unknown(error) => self.withdraw(manifest, error).await,
        }
    }

    /// Keeps a manifest from appearing later whose creation had no known outcome.
    async fn withdraw(&mut self, manifest: &Manifest, error: StoreError) -> Result<(), StoreError> {
        let files = manifest.files().map(|(_, file)| file.name.clone());
        let tombstone = Tombstone::orphaned(self.id, files.collect(), manifest.created_at);
        match self.inner.close_key(&tombstone).await? {
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
    /// Ends what is on its way, and removes what has arrived.
    fn drop(&mut self) {
        self.inner.under_way().remove(&self.id);
        self.given_up.cancel();
        if self.kept || (self.names.is_empty() && self.transfers.is_empty()) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let keys: Vec<Path> = self.names.iter().map(|name| self.key(name)).collect();
        let mut transfers = std::mem::take(&mut self.transfers);
        let inner = Arc::clone(&self.inner);
        let cleaning = self.inner.cleaning.track_future(async move {
            while transfers.join_next().await.is_some() {}
            inner.client.delete(keys).await;
        });
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
        Ok(Box::new(BucketSink::new(self, name, hash)))
    }

    async fn commit(mut self: Box<Self>, manifest: &Manifest) -> Result<(), StoreError> {
        let published = self.publish(manifest).await;
        if let Err(error) = &published
            && self.kept
        {
            tracing::error!(id = %self.id, %error, "commit outcome unknown; its files are kept");
        }
        published
    }
}
