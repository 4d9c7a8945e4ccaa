//! Whether the store is still where it was opened: a bucket that no Redis goes with, or a folder
//! that no other process has.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::coordination;
use crate::store::{Store, StoreError, StoreId};

/// Store and Redis do not belong together, or cannot say.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// They know another.
    #[error(
        "the store is {store}, and Redis holds the index of {redis}: one of the addresses is wrong; if this is meant, `wharf reindex --adopt` makes the index anew"
    )]
    Mismatch {
        /// Whom the store takes itself for.
        store: StoreId,
        /// Whose index Redis has.
        redis: String,
    },
    /// Redis knows a store, and this is none.
    #[error(
        "Redis holds the index of the store {0}, and what is found does not say that it is one: is the share mounted? If this is meant, `wharf reindex --adopt` makes the index anew"
    )]
    Unknown(String),
    /// The store cannot say.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis cannot say.
    #[error("cannot ask Redis whose index it holds: {0}")]
    Redis(#[from] coordination::Error),
    /// The operating system has no randomness to give.
    #[error(transparent)]
    Random(#[from] getrandom::Error),
}

/// How often it is asked.
const LOOK: Duration = Duration::from_secs(5);

/// How often a folder is looked at.
const LOOK_AT_FOLDER: Duration = Duration::from_secs(1);

/// Whom a store takes itself for; a new one is told.
pub async fn introduce(store: &dyn Store) -> Result<StoreId, IdentityError> {
    if let Some(id) = store.identity().await? {
        return Ok(id);
    }
    let id = StoreId::generate()?;
    match store.set_identity(id).await {
        Ok(()) => Ok(id),
        // Another process was quicker.
        Err(StoreError::Exists) => store
            .identity()
            .await?
            .ok_or_else(|| StoreError::Exists.into()),
        Err(error) => Err(error.into()),
    }
}

/// Looks whether the store is still there and the same, and publishes what is wrong, until `stop`.
pub async fn watch(
    store: Arc<dyn Store>,
    id: StoreId,
    trouble: watch::Sender<Option<String>>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let found = tokio::select! {
            () = stop.cancelled() => return,
            found = store.identity() => found,
        };
        let wrong = match found {
            Ok(Some(found)) if found == id => None,
            Ok(_) => Some(format!("the bucket is not that of the store {id} any more")),
            Err(error) => Some(error.to_string()),
        };
        publish(&trouble, wrong);
    }
}

/// Looks whether the folder of a store is still the one that was opened, and publishes what is
/// wrong, until `stop`. Files of a folder that is moved away are still read, for the folder is held
/// open; it takes no uploads, which could not be found there, until it is back. Another folder in
/// its place, empty or a copy, is left alone: the server holds neither its lock nor its index.
pub async fn watch_folder(
    store: Arc<dyn Store>,
    trouble: watch::Sender<Option<String>>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_AT_FOLDER) => {}
        }
        let found = tokio::select! {
            () = stop.cancelled() => return,
            found = store.identity() => found,
        };
        match found {
            Err(error @ StoreError::Io { .. }) => publish(&trouble, Some(error.to_string())),
            // The process is out of descriptors: that says nothing of the folder.
            Err(StoreError::Unavailable(_)) => {}
            _ => publish(&trouble, None),
        }
    }
}

/// Publishes what is wrong with the store; the log learns of a change.
pub fn publish(trouble: &watch::Sender<Option<String>>, found: Option<String>) {
    let changed = trouble.borrow().is_some() != found.is_some();
    match &found {
        Some(found) if changed => tracing::error!("{found}"),
        None if changed => tracing::info!("the store is back"),
        _ => {}
    }
    trouble.send_replace(found);
}
