//! The pairing of a store and a Redis, which know each other by the id of the store.

use std::sync::Arc;
use std::time::Duration;

use redis::cmd;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::store_watch::{IdentityError, poll, publish};
use crate::coordination::{self, Keys, Link};
use crate::store::{Store, StoreId};

/// How often both are asked.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long another instance, which starts at the same time, may take to write the id to the store
/// after it has written it to Redis.
const START_TIMEOUT: Duration = Duration::from_secs(1);
/// The layout of the keys in Redis that this version writes, and the newest that it understands.
const FORMAT: u64 = 1;

/// A store and a Redis that have the same id.
pub struct StorePairing {
    store: Arc<dyn Store>,
    link: Link,
    key: String,
    /// The key of the layout of all others.
    format: String,
    id: StoreId,
}

impl StorePairing {
    /// Compares the ids of both. Where neither has one, both get a new one; a Redis without an id gets
    /// that of the store; with `adopt`, Redis gets that of the store in any case.
    pub async fn agree(
        store: Arc<dyn Store>,
        link: Link,
        keys: &Keys,
        adopt: bool,
    ) -> Result<Self, IdentityError> {
        let (key, format) = (keys.lead("store"), keys.lead("format"));
        require_known(&link, &format).await?;
        let known = store.identity().await?;
        let id = match known {
            Some(id) => id,
            None => StoreId::generate()?,
        };
        if adopt {
            let mut set = cmd("SET");
            link.run::<()>(set.arg(&key).arg(id.to_string())).await?;
        }
        let redis = exchange(&link, &key, id).await?;
        let new = redis == id.to_string();
        let pairing = StorePairing {
            store,
            link,
            key,
            format,
            id,
        };
        match known {
            Some(_) if new => Ok(pairing),
            Some(store) => Err(IdentityError::Mismatch { store, redis }),
            None if new => {
                pairing.store.set_identity(id).await?;
                Ok(pairing)
            }
            None => pairing.wait_for(redis).await,
        }
    }

    /// Waits for the instance that has written the id to Redis first to write it to the store.
    async fn wait_for(mut self, redis: String) -> Result<Self, IdentityError> {
        for _ in 0..10 {
            if let Some(id) = self.store.identity().await?
                && id.to_string() == redis
            {
                self.id = id;
                return Ok(self);
            }
            tokio::time::sleep(START_TIMEOUT / 10).await;
        }
        Err(IdentityError::Unknown(redis))
    }

    /// Checks whether both still have the same id, and publishes what is wrong, until `stop`.
    pub async fn watch(self, trouble: watch::Sender<Option<String>>, stop: CancellationToken) {
        let check = || async {
            match self.check().await {
                Ok(()) => publish(&trouble, None),
                // The index reports that itself.
                Err(IdentityError::Redis(_)) => {}
                Err(error) => publish(&trouble, Some(error.to_string())),
            }
        };
        stop.run_until_cancelled(poll(POLL_INTERVAL, check)).await;
    }

    async fn check(&self) -> Result<(), IdentityError> {
        require_known(&self.link, &self.format).await?;
        let redis = exchange(&self.link, &self.key, self.id).await?;
        match self.store.identity().await? {
            None => Err(IdentityError::Unknown(redis)),
            Some(store) if store != self.id || redis != store.to_string() => {
                Err(IdentityError::Mismatch { store, redis })
            }
            Some(_) => Ok(()),
        }
    }
}

/// Writes the layout of the keys to Redis, if Redis has none, and refuses that of a newer version.
async fn require_known(link: &Link, key: &str) -> Result<(), IdentityError> {
    let mut set = cmd("SET");
    set.arg(key).arg(FORMAT).arg("NX").arg("GET");
    let known: Option<String> = link.run(&set).await?;
    match known {
        Some(known) if known.parse::<u64>().is_ok_and(|known| known <= FORMAT) => Ok(()),
        Some(newer) => Err(IdentityError::Newer {
            newer,
            known: FORMAT,
        }),
        None => Ok(()),
    }
}

/// Writes the id of the store to Redis, if Redis has none; answers the id that Redis has.
async fn exchange(link: &Link, key: &str, id: StoreId) -> Result<String, coordination::Error> {
    let mut set = cmd("SET");
    set.arg(key).arg(id.to_string()).arg("NX").arg("GET");
    let known: Option<String> = link.run(&set).await?;
    Ok(known.unwrap_or_else(|| id.to_string()))
}
