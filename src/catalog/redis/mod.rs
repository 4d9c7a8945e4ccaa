//! An index in Redis, shared by many instances.
//!
//! It is cut into shards, so that a cluster spreads it: all keys of one upload lie together with
//! those of all uploads whose ids begin alike; names have shards of their own. Each shard remembers
//! on which run of which server it was compared with the store: another run, after a restart or a
//! failover, may have lost some of it, and then an upload that is not found may exist.

mod answers;
mod deadlines;
mod fields;
mod markers;
mod outages;
mod presence;
mod progress;
mod put;
mod renewals;
mod reservations;
mod room;
mod room_counter;
mod room_scripts;
mod scripts;
mod search;
mod shards;
#[cfg(test)]
mod tests;
mod verification;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use redis::{FromRedisValue, ToRedisArgs, cmd};
use tokio::sync::{Mutex, Notify, broadcast, watch};

use super::orders::Orders;
use super::{
    Capacity, Catalog, CatalogError, Cursor, Index, IndexEntry, ListFilter, Markers, Outages,
    Presence, SharedProgress, Stats, Stretch,
};
use crate::coordination::{self, Events, Keys, Link, RedisMessage};
use crate::model::{FileName, Manifest, Prefix, Timestamp, UploadId};
use answers::failed;
use fields::{UNKNOWN, entry};
use renewals::Renewals;
use room_counter::RoomCounter;
use shards::Shards;

/// An index in Redis.
pub struct RedisCatalog {
    link: Link,
    events: Events,
    shards: Shards,
    renewals: Arc<Renewals>,
    orders: Orders,
    /// Counts the room of the store, where there is a cap.
    room: Option<Arc<RoomCounter>>,
    /// Told when a deadline was recorded here.
    earlier: Notify,
    /// The events of expired keys. A tokio mutex: held by the one task that listens to markers.
    expired_keys: Mutex<broadcast::Receiver<RedisMessage>>,
    /// The channel of these events.
    expired_channel: String,
    /// The servers behind the index. A tokio mutex: held by the one task that waits for a change.
    servers: Mutex<watch::Receiver<Vec<String>>>,
}

impl RedisCatalog {
    /// The index of `keys` at the end of `link`. Instances are told of open uploads at least every
    /// third of `stale_after`.
    pub fn new(link: Link, events: Events, keys: Keys, stale_after: Duration) -> Self {
        let shards = Shards::new(keys);
        let renewals = Renewals::start(link.clone(), shards.clone(), stale_after);
        let mut servers = link.servers();
        servers.mark_unchanged();
        RedisCatalog {
            expired_keys: Mutex::new(events.messages()),
            expired_channel: coordination::expired_keys_channel(&link),
            servers: Mutex::new(servers),
            earlier: Notify::new(),
            link,
            events,
            shards,
            renewals,
            // The orders that other instances give are found when an upload is admitted.
            orders: Orders::new(Timestamp::default()),
            room: None,
        }
    }

    async fn eval<T: FromRedisValue>(
        &self,
        script: &str,
        keys: &[String],
        args: impl ToRedisArgs,
    ) -> Result<T, CatalogError> {
        let answer = self.link.eval(script, keys, args).await;
        answer.map_err(failed)
    }

    /// Asks every shard of uploads the same, at once.
    async fn each<T: FromRedisValue>(
        &self,
        script: &str,
        keys: impl Fn(&str) -> Vec<String>,
        args: &[String],
    ) -> Result<Vec<T>, CatalogError> {
        let tags = self.shards.uploads();
        let asked = tags.map(async |tag| self.eval(script, &keys(&tag), args).await);
        join_all(asked).await.into_iter().collect()
    }
}

impl Catalog for RedisCatalog {
    fn capacity(&self) -> Option<Arc<dyn Capacity>> {
        let room: Arc<dyn Capacity> = Arc::<RoomCounter>::clone(self.room.as_ref()?);
        Some(room)
    }

    fn presence(&self) -> Option<&dyn Presence> {
        Some(self)
    }

    fn markers(&self) -> Option<&dyn Markers> {
        Some(self)
    }

    fn outages(&self) -> Option<&dyn Outages> {
        Some(self)
    }

    fn shared_progress(&self) -> Option<&dyn SharedProgress> {
        Some(self)
    }
}

#[async_trait]
impl Index for RedisCatalog {
    async fn record(&self, manifest: &Manifest) -> Result<bool, CatalogError> {
        self.put(manifest, true).await.map(|(newer, _)| newer)
    }

    fn order(&self, manifest: &Manifest) -> Timestamp {
        self.orders.of(manifest, |_| None)
    }

    async fn admit(&self, manifest: &Manifest) -> Result<bool, CatalogError> {
        let (_, highest) = self.put(manifest, true).await?;
        if let Some(highest) = highest {
            self.orders.record_order(manifest, highest);
        }
        Ok(highest.is_none())
    }

    async fn update(&self, manifest: &Manifest) -> Result<bool, CatalogError> {
        self.put(manifest, false).await.map(|(newer, _)| newer)
    }

    async fn remove(&self, id: &UploadId, names: &[FileName]) -> Result<(), CatalogError> {
        let mut recorded = cmd("HGET");
        recorded.arg(self.shards.of(id, &["upload"])).arg("n");
        let recorded: Option<String> = self.link.run(&recorded).await.map_err(failed)?;
        let recorded = recorded.unwrap_or_default();
        let recorded = recorded
            .split('/')
            .filter_map(|name| FileName::parse(name).ok());
        let mut all: Vec<FileName> = recorded.chain(names.iter().cloned()).collect();
        all.sort();
        all.dedup();
        let args = [id.to_string()];
        self.each_name::<u8>(scripts::UNNAME, &all, &args).await?;
        let keys = ["upload", "due!", "all!", "bytes!", "marker", "taken"];
        let mut keys = self.shards.of(id, &keys);
        keys.extend(self.room_keys(id).into_iter().flatten());
        self.eval::<u8>(scripts::REMOVE, &keys, &args).await?;
        self.settle(id, 0).await
    }

    async fn find(&self, id: &UploadId) -> Result<Option<IndexEntry>, CatalogError> {
        let mut get = cmd("HMGET");
        get.arg(self.shards.of(id, &["upload"]));
        get.arg(&["g", "c", "e", "s", "n", "l", "f"]);
        let mut fields: Vec<Option<String>> = self.link.run(&get).await.map_err(failed)?;
        if let [.., downloads, shown] = fields.as_mut_slice() {
            downloads.get_or_insert_with(|| UNKNOWN.to_owned());
            shown.get_or_insert_default();
        }
        let fields: Option<Vec<String>> = fields.into_iter().collect();
        Ok(fields.and_then(|fields| entry(*id, &fields)))
    }

    async fn newest(
        &self,
        name: &FileName,
        now: Timestamp,
        skip: &[UploadId],
    ) -> Result<Option<UploadId>, CatalogError> {
        self.find_newest(name, now, skip).await
    }

    async fn list(
        &self,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
        filter: &ListFilter,
    ) -> Result<Stretch, CatalogError> {
        self.list_all(after, limit, now, filter).await
    }

    async fn with_prefix(&self, prefix: Prefix) -> Result<Vec<UploadId>, CatalogError> {
        self.all_with_prefix(prefix).await
    }

    async fn stats(&self) -> Result<Stats, CatalogError> {
        let keys = |tag: &str| {
            ["all", "bytes"]
                .map(|name| self.shards.key(tag, name))
                .to_vec()
        };
        let shards: Vec<(u64, u64)> = self.each(scripts::STATS, keys, &[]).await?;
        Ok(Stats {
            uploads: shards.iter().map(|(uploads, _)| uploads).sum(),
            bytes: shards.iter().map(|(_, bytes)| bytes).sum(),
        })
    }

    fn ready(&self) -> Result<(), String> {
        self.link.ready()
    }

    async fn close(&self, _whole: bool) -> Result<(), CatalogError> {
        match &self.room {
            Some(room) => room.send_releases().await.map_err(failed),
            None => Ok(()),
        }
    }
}
