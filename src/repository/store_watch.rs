//! Checks whether the store is still the one that was opened: a bucket without a Redis, or a folder
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
    /// They have different ids.
    #[error(
        "the store is {store}, and Redis holds the index of {redis}: one of the addresses is wrong; if this is meant, `wharf reindex --adopt` makes the index anew"
    )]
    Mismatch {
        /// The id that the store has.
        store: StoreId,
        /// The id of the store whose index Redis has.
        redis: String,
    },
    /// Redis has the id of a store, and this store has none.
    #[error(
        "Redis holds the index of the store {0}, and the store that is found has no id: is the share mounted? If this is meant, `wharf reindex --adopt` makes the index anew"
    )]
    Unknown(String),
    /// Redis has the index of a newer version of wharf.
    #[error(
        "Redis holds an index of the format {newer}, and {known} is the newest that this version of wharf knows: start the newer version, or give this one another redis_prefix and store"
    )]
    Newer {
        /// The id in Redis.
        newer: String,
        /// The newest that is known.
        known: u64,
    },
    /// The id of the store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis does not answer.
    #[error("cannot ask Redis whose index it holds: {0}")]
    Redis(#[from] coordination::Error),
    /// The operating system has no randomness to give.
    #[error(transparent)]
    Random(#[from] getrandom::Error),
}

/// How often a bucket is asked.
const BUCKET_INTERVAL: Duration = Duration::from_secs(5);

/// How often a folder is checked.
const FOLDER_INTERVAL: Duration = Duration::from_secs(1);

/// The id of a store; a new store gets one.
pub async fn identify(store: &dyn Store) -> Result<StoreId, IdentityError> {
    if let Some(id) = store.identity().await? {
        return Ok(id);
    }
    let id = StoreId::generate()?;
    match store.set_identity(id).await {
        Ok(()) => Ok(id),
        // Another process came first.
        Err(StoreError::Exists) => store
            .identity()
            .await?
            .ok_or_else(|| StoreError::Exists.into()),
        Err(error) => Err(error.into()),
    }
}

/// Checks whether a bucket is still there and the same, and publishes what is wrong, until `stop`.
pub async fn watch_bucket(
    store: Arc<dyn Store>,
    id: StoreId,
    trouble: watch::Sender<Option<String>>,
    stop: CancellationToken,
) {
    let check = || async {
        let wrong = match store.identity().await {
            Ok(Some(found)) if found == id => None,
            Ok(_) => Some(format!("the bucket is not that of the store {id} any more")),
            Err(error) => Some(error.to_string()),
        };
        publish(&trouble, wrong);
    };
    stop.run_until_cancelled(poll(BUCKET_INTERVAL, check)).await;
}

/// Checks whether the folder of a store is still the one that was opened, and publishes what is
/// wrong, until `stop`. Files of a folder that is moved away are still read, for the folder is held
/// open; it takes no uploads, which could not be found there, until it is back. Another folder in
/// its place, empty or a copy, is left alone: the server holds neither its lock nor its index.
pub async fn watch_folder(
    store: Arc<dyn Store>,
    trouble: watch::Sender<Option<String>>,
    stop: CancellationToken,
) {
    let check = || async {
        match store.identity().await {
            Err(error @ StoreError::Io { .. }) => publish(&trouble, Some(error.to_string())),
            // The process has no descriptor left, and the folder may be there.
            Err(StoreError::Unavailable(_)) => {}
            _ => publish(&trouble, None),
        }
    };
    stop.run_until_cancelled(poll(FOLDER_INTERVAL, check)).await;
}

/// Runs `check` for ever, each time after a pause of `interval`.
pub async fn poll<F: Future<Output = ()>>(interval: Duration, check: impl Fn() -> F) {
    loop {
        tokio::time::sleep(interval).await;
        check().await;
    }
}

/// Publishes what is wrong with the store, and logs a change.
pub fn publish(trouble: &watch::Sender<Option<String>>, found: Option<String>) {
    let changed = trouble.borrow().is_some() != found.is_some();
    match &found {
        Some(found) if changed => tracing::error!("{found}"),
        None if changed => tracing::info!("the store is back"),
        _ => {}
    }
    trouble.send_replace(found);
}
