//! An index in Redis, shared by many instances.
//!
//! It is cut into shards, so that a cluster spreads it: what concerns one upload lies together
//! with all uploads whose ids begin alike, and names lie apart. Each shard remembers on which run
//! of which server it was compared with the store: another run, after a restart or a failover,
//! may have lost some of it, and then a miss is no answer.

mod held;
mod put;
mod room;
mod room_scripts;
mod scripts;
mod search;
mod shards;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use redis::{FromRedisValue, ToRedisArgs, cmd};
use tokio::sync::{Mutex, Notify, broadcast, watch};

use super::orders::Orders;
use super::{Catalog, CatalogError, Cursor, Entry, Gaps, Limit, Reserved, Scan, Stats, Stretch};
use crate::coordination::{self, Events, Keys, Link, Message};
use crate::model::{FileName, Manifest, Prefix, Timestamp, UploadId};
use held::Held;
use room::Room;
use search::{UNKNOWN, entry};
use shards::{LEAD, Shards};

/// For how long a use of a download, or room, is held at a time.
const HOLD: Duration = Duration::from_secs(30);

/// An index in Redis.
pub struct RedisCatalog {
    link: Link,
    events: Events,
    shards: Shards,
    held: Arc<Held>,
    orders: Orders,
    /// Counts the room of the store, where there is a cap.
    room: Option<Arc<Room>>,
    /// Told when a deadline was recorded here.
    earlier: Notify,
    /// The ends of marks. A tokio mutex: held by the one cleaner while it waits.
    ended: Mutex<broadcast::Receiver<Message>>,
    /// The servers behind the index. A tokio mutex: held by the one task that waits for a change.
    servers: Mutex<watch::Receiver<Vec<String>>>,
    expired: String,
}

impl RedisCatalog {
    /// The index of `keys` at the end of `link`; uploads under way are shown as such at least
    /// every third of `stale_after`.
    pub fn new(link: Link, events: Events, keys: Keys, stale_after: Duration) -> Self {
        let shards = Shards::new(keys);
        let held = Held::start(link.clone(), shards.clone(), stale_after);
        let mut servers = link.servers();
        servers.mark_unchanged();
        RedisCatalog {
            ended: Mutex::new(events.messages()),
            servers: Mutex::new(servers),
            expired: coordination::expired(&link),
            earlier: Notify::new(),
            link,
            events,
            shards,
            held,
            // Those that others give are found when an upload is admitted.
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

fn millis(time: Timestamp) -> String {
    time.as_millis().to_string()
}

/// What a failed command means: whatever Redis says no to but in words of its own is a matter of
/// the moment.
fn failed(error: coordination::Error) -> CatalogError {
    use redis::{ErrorKind, ServerErrorKind};
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::ResponseError) | ErrorKind::UnexpectedReturnType => {
            CatalogError::Failed(Box::new(error))
        }
        _ => CatalogError::Unavailable(error.to_string()),
    }
}

#[async_trait]
impl Catalog for RedisCatalog {
    async fn record(&self, manifest: &Manifest) -> Result<bool, CatalogError> {
        self.put(manifest, true).await.map(|(newer, _)| newer)
    }

    fn order(&self, manifest: &Manifest) -> Timestamp {
        self.orders.of(manifest, |_| None)
    }

    async fn admit(&self, manifest: &Manifest) -> Result<bool, CatalogError> {
        let (_, highest) = self.put(manifest, true).await?;
        if let Some(highest) = highest {
            self.orders.seen(manifest, highest);
        }
        Ok(highest.is_none())
    }

    async fn update(&self, manifest: &Manifest) -> Result<bool, CatalogError> {
        self.put(manifest, false).await.map(|(newer, _)| newer)
    }

    async fn forget(&self, id: &UploadId, names: &[FileName]) -> Result<(), CatalogError> {
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
        keys.extend(self.room_beside(id).into_iter().flatten());
        self.eval::<u8>(scripts::FORGET, &keys, &args).await?;
        self.settle(id, 0).await
    }

    async fn find(&self, id: &UploadId) -> Result<Option<Entry>, CatalogError> {
        let mut get = cmd("HMGET");
        get.arg(self.shards.of(id, &["upload"]));
        get.arg(&["g", "c", "e", "s", "n", "l"]);
        let mut fields: Vec<Option<String>> = self.link.run(&get).await.map_err(failed)?;
        if let Some(downloads) = fields.last_mut() {
            downloads.get_or_insert_with(|| UNKNOWN.to_owned());
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
    ) -> Result<Stretch, CatalogError> {
        self.list_all(after, limit, now).await
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: usize,
        again: Timestamp,
    ) -> Result<Vec<UploadId>, CatalogError> {
        let mut earliest = self.earliest().await?;
        earliest.retain(|(at, _)| *at <= now);
        earliest.sort();
        let mut taken: Vec<UploadId> = Vec::new();
        for (_, key) in earliest {
            let left = limit - taken.len();
            if left == 0 {
                break;
            }
            let args = [millis(now), left.to_string(), millis(again)];
            let ids: Vec<String> = match self.eval(scripts::DUE, &[key], &args).await {
                Ok(ids) => ids,
                Err(error) if taken.is_empty() => return Err(error),
                Err(_) => break,
            };
            taken.extend(ids.iter().filter_map(|id| id.parse::<UploadId>().ok()));
        }
        Ok(taken)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, CatalogError> {
        let earliest = self.earliest().await?.into_iter();
        Ok(earliest.map(|(at, _)| at).min())
    }

    async fn postpone(&self, id: &UploadId, until: Timestamp) -> Result<(), CatalogError> {
        let keys = self.shards.of(id, &["upload", "due!"]);
        let args = [id.to_string(), millis(until)];
        self.eval::<u8>(scripts::POSTPONE, &keys, &args).await?;
        Ok(())
    }

    async fn earlier(&self) {
        self.earlier.notified().await;
    }

    async fn ended(&self) -> UploadId {
        let mut messages = self.ended.lock().await;
        loop {
            match messages.recv().await {
                Ok(message) if message.channel == self.expired => {
                    if let Some(id) = self.shards.marked(&message.payload) {
                        return id;
                    }
                }
                // What was missed the index still knows.
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    async fn is_marked(&self, id: &UploadId) -> Result<bool, CatalogError> {
        let mut exists = cmd("EXISTS");
        exists.arg(self.shards.of(id, &["marker"]));
        self.link.run(&exists).await.map_err(failed)
    }

    async fn mark(&self, manifest: &Manifest) -> Result<(), CatalogError> {
        let Some(deadline) = manifest.expires_at else {
            return Ok(());
        };
        let mut set = cmd("SET");
        set.arg(self.shards.of(&manifest.id, &["marker"]));
        set.arg("").arg("PXAT").arg(millis(deadline));
        self.link.run(&set).await.map_err(failed)
    }

    async fn restored(&self) {
        self.link.restored().await;
    }

    async fn lost(&self) {
        let mut servers = self.servers.lock().await;
        if servers.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn open(&self, id: UploadId) -> Box<dyn Send + Sync> {
        self.held.open(id)
    }

    async fn is_open(&self, id: &UploadId) -> Result<bool, CatalogError> {
        let mut exists = cmd("EXISTS");
        exists.arg(self.shards.of(id, &["open"]));
        self.link.run(&exists).await.map_err(failed)
    }

    async fn reserve(&self, limit: &Limit, _hold: Duration) -> Result<Reserved, CatalogError> {
        let id = &limit.id;
        let mut hold = [0; 8];
        getrandom::fill(&mut hold).map_err(|error| CatalogError::Failed(Box::new(error)))?;
        let hold = u64::from_le_bytes(hold);
        let keys = self.shards.of(id, &["taken", "upload"]);
        let args = [
            hold.to_string(),
            limit.max.to_string(),
            limit.used.to_string(),
            HOLD.as_millis().to_string(),
        ];
        let answer: u8 = self.eval(scripts::RESERVE, &keys, &args).await?;
        Ok(match answer {
            0 => {
                self.held.hold(*id, hold);
                Reserved::Held(hold)
            }
            1 => Reserved::Busy,
            _ => Reserved::Spent,
        })
    }

    async fn keep(&self, id: &UploadId, hold: u64, used: u64) -> Result<(), CatalogError> {
        self.held.let_go(id, hold);
        let keys = self.shards.of(id, &["taken", "upload"]);
        let args = [hold.to_string(), used.to_string()];
        self.eval::<u8>(scripts::KEEP, &keys, &args).await?;
        Ok(())
    }

    async fn give_back(&self, id: &UploadId, hold: u64) -> Result<(), CatalogError> {
        self.held.let_go(id, hold);
        let mut remove = cmd("ZREM");
        remove.arg(self.shards.of(id, &["taken"])).arg(hold);
        self.link.run(&remove).await.map_err(failed)
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

    async fn with_prefix(&self, prefix: Prefix) -> Result<Vec<UploadId>, CatalogError> {
        self.all_with_prefix(prefix).await
    }

    fn ready(&self) -> Result<(), String> {
        self.link.ready()
    }

    async fn gaps(&self) -> Result<Gaps, CatalogError> {
        let room = self.room.as_ref().map(|_| LEAD.to_owned());
        let shards = self.shards.uploads().chain(self.shards.names());
        let tags: Vec<String> = shards.chain(room).collect();
        let asked = tags.iter().map(|tag| {
            let key = [self.shards.key(tag, "built")];
            async move {
                self.eval::<(u8, String)>(scripts::BUILT, &key, &[] as &[&str])
                    .await
            }
        });
        let mut state = Vec::new();
        for (tag, answer) in tags.iter().zip(join_all(asked).await) {
            let (whole, mark) = answer?;
            if whole == 0 {
                state.push((tag.clone(), mark));
            }
        }
        let prefixes = self
            .shards
            .prefixes(state.iter().map(|(tag, _)| tag.as_str()));
        Ok(Gaps { prefixes, state })
    }

    async fn mended(&self, gaps: Gaps) -> Result<bool, CatalogError> {
        let mut whole = true;
        for (tag, mark) in gaps.state {
            let key = [self.shards.key(&tag, "built")];
            let mended: u8 = self.eval(scripts::MENDED, &key, &[mark]).await?;
            whole &= mended == 1;
        }
        Ok(whole)
    }

    async fn scan(&self) -> Result<Option<Scan>, CatalogError> {
        let mut get = cmd("HMGET");
        get.arg(self.shards.scan()).arg(&["next", "finished"]);
        let (next, finished): (Option<usize>, Option<i64>) =
            self.link.run(&get).await.map_err(failed)?;
        Ok(Some(Scan {
            next: next.unwrap_or(0),
            finished_at: Timestamp::from_millis(finished.unwrap_or(0)),
        }))
    }

    async fn set_scan(&self, scan: Scan) -> Result<(), CatalogError> {
        let mut set = cmd("HSET");
        set.arg(self.shards.scan()).arg("next").arg(scan.next);
        set.arg("finished").arg(scan.finished_at.as_millis());
        self.link.run::<u64>(&set).await.map_err(failed)?;
        Ok(())
    }

    async fn close(&self, _whole: bool) -> Result<(), CatalogError> {
        match &self.room {
            Some(room) => room.clear().await.map_err(failed),
            None => Ok(()),
        }
    }
}
