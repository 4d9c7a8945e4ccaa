//! Whether the store and Redis belong together.

use std::sync::Arc;
use std::time::Duration;

use redis::cmd;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::presence::{IdentityError, publish};
use crate::coordination::{self, Keys, Link};
use crate::store::{Store, StoreId};

/// How often both are asked.
const LOOK: Duration = Duration::from_secs(1);
/// How long another instance, which starts at the same time, may take to tell the store what it
/// has told Redis.
const STARTING: Duration = Duration::from_secs(1);

/// A store and a Redis that have agreed.
pub struct Identity {
    store: Arc<dyn Store>,
    link: Link,
    key: String,
    id: StoreId,
}

impl Identity {
    /// Has both agree. What neither knows yet they are told; what one of them knows the other
    /// takes over only if it is Redis; with `adopt`, Redis takes over whatever the store says.
    pub async fn agree(
        store: Arc<dyn Store>,
        link: Link,
        keys: &Keys,
        adopt: bool,
    ) -> Result<Self, IdentityError> {
        let key = keys.lead("store");
        let known = store.identity().await?;
        let id = match known {
            Some(id) => id,
            None => StoreId::generate()?,
        };
        if adopt {
            let mut set = cmd("SET");
            link.run::<()>(set.arg(&key).arg(id.to_string())).await?;
        }
        let redis = tell(&link, &key, id).await?;
        let new = redis == id.to_string();
        let identity = Identity {
            store,
            link,
            key,
            id,
        };
        match known {
            Some(_) if new => Ok(identity),
            Some(store) => Err(IdentityError::Mismatch { store, redis }),
            None if new => {
                identity.store.set_identity(id).await?;
                Ok(identity)
            }
            None => identity.wait_for(redis).await,
        }
    }

    /// Waits for the instance that has told Redis before us to tell the store.
    async fn wait_for(mut self, redis: String) -> Result<Self, IdentityError> {
        for _ in 0..10 {
            if let Some(id) = self.store.identity().await?
                && id.to_string() == redis
            {
                self.id = id;
                return Ok(self);
            }
            tokio::time::sleep(STARTING / 10).await;
        }
        Err(IdentityError::Unknown(redis))
    }

    /// Looks whether both still say the same, and publishes what is wrong, until `stop`.
    pub async fn watch(self, trouble: watch::Sender<Option<String>>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = self.look() => looked,
            };
            let found = match looked {
                Ok(()) => None,
                // The index says so itself, in its own words.
                Err(IdentityError::Redis(_)) => continue,
                Err(error) => Some(error.to_string()),
            };
            publish(&trouble, found);
        }
    }

    async fn look(&self) -> Result<(), IdentityError> {
        let redis = tell(&self.link, &self.key, self.id).await?;
        match self.store.identity().await? {
            None => Err(IdentityError::Unknown(redis)),
            Some(store) if store != self.id || redis != store.to_string() => {
                Err(IdentityError::Mismatch { store, redis })
            }
            Some(_) => Ok(()),
        }
    }
}

/// Tells Redis whose index it holds, if it knows of none; answers what it knows.
async fn tell(link: &Link, key: &str, id: StoreId) -> Result<String, coordination::Error> {
    let mut set = cmd("SET");
    set.arg(key).arg(id.to_string()).arg("NX").arg("GET");
    let known: Option<String> = link.run(&set).await?;
    Ok(known.unwrap_or_else(|| id.to_string()))
}
