//! The files of one upload on their way to the store.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::inner::BucketInner;
use crate::model::{FileName, UploadId, Uptime};
use crate::store::StoreError;

/// How many files of one upload are on their way to the store at once.
const CONCURRENT_FILES: usize = 8;

/// The state that the sinks of an upload share, one after the other.
pub struct Transfers {
    pub inner: Arc<BucketInner>,
    pub id: UploadId,
    /// The files that may have objects.
    pub names: Vec<FileName>,
    /// Cancelled when the upload is given up, and its files are of no use.
    pub given_up: CancellationToken,
    /// When the last byte came.
    pub touched: Uptime,
    running: JoinSet<Result<(), StoreError>>,
}

impl Transfers {
    pub fn new(inner: Arc<BucketInner>, id: UploadId) -> Self {
        Transfers {
            inner,
            id,
            names: Vec::new(),
            given_up: CancellationToken::new(),
            touched: Uptime::now(),
            running: JoinSet::new(),
        }
    }

    /// Begins to transfer a file, once few enough are on their way.
    pub async fn begin(
        &mut self,
        name: FileName,
        run: impl Future<Output = Result<(), StoreError>> + Send + 'static,
    ) -> Result<(), StoreError> {
        while self.running.len() >= CONCURRENT_FILES {
            self.join_next().await?;
        }
        self.names.push(name);
        self.running.spawn(run);
        Ok(())
    }

    /// Waits for the end of a file's transfer; answers whether there was one.
    pub async fn join_next(&mut self) -> Result<bool, StoreError> {
        match self.running.join_next().await {
            None => Ok(false),
            Some(Ok(result)) => result.map(|()| true),
            Some(Err(error)) => Err(StoreError::ended(error)),
        }
    }

    /// Waits for the end of all transfers.
    pub async fn join_all(&mut self) -> Result<(), StoreError> {
        while self.join_next().await? {}
        Ok(())
    }

    /// Whether the upload has neither objects nor files on their way.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.running.is_empty()
    }

    /// Takes the transfers that still run.
    pub fn take_running(&mut self) -> JoinSet<Result<(), StoreError>> {
        std::mem::take(&mut self.running)
    }
}
