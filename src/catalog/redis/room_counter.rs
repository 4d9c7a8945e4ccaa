//! The room that this process has reserved in Redis, and renews as long as the process lives.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::answers::failed;
use super::room_scripts;
use super::shards::Shards;
use crate::catalog::{Ask, Capacity, CatalogError};
use crate::coordination::{self, Link};
use crate::model::UploadId;

/// How often a reservation is renewed within its time to live. As often, room that Redis has lost is
/// reserved again, and this process learns how much is stored.
const RENEWALS_PER_TTL: u32 = 30;
/// The answer of a Redis that has lost the reservations of this process.
const UNKNOWN: i64 = -2;
/// The pause before a release that failed is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Counts the room of the store.
pub struct RoomCounter {
    link: Link,
    shards: Shards,
    /// The name of this process among those that have reserved room.
    process: String,
    /// How long its reservations outlive the process.
    ttl: Duration,
    /// Guards the reservations. A std mutex: held for a read or an insertion.
    state: Mutex<RoomState>,
    wake: Arc<Notify>,
}

#[derive(Default)]
struct RoomState {
    /// The reserved bytes, by upload.
    reserved: HashMap<UploadId, u64>,
    /// Uploads whose reservations are still to be released in Redis.
    released: HashSet<UploadId>,
    /// The stored bytes when they were last known exactly.
    least: u64,
    /// Whether the reservations are being restored.
    restoring: bool,
}

impl RoomCounter {
    /// Nothing reserved yet, and a task that renews reservations as long as the answer lives.
    pub fn start(link: Link, shards: Shards, ttl: Duration) -> Result<Arc<Self>, CatalogError> {
        let mut process = [0; 8];
        getrandom::fill(&mut process).map_err(|error| CatalogError::Failed(Box::new(error)))?;
        let room = Arc::new(RoomCounter {
            link,
            shards,
            process: format!("{:016x}", u64::from_le_bytes(process)),
            ttl,
            state: Mutex::default(),
            wake: Arc::default(),
        });
        tokio::spawn(renew(
            Arc::downgrade(&room),
            Arc::clone(&room.wake),
            ttl / RENEWALS_PER_TTL,
        ));
        Ok(room)
    }

    /// The keys that [`SETTLE`](room_scripts::SETTLE) needs for an upload: room, of, by.
    pub fn keys_of(&self, id: &UploadId) -> [String; 3] {
        let of = self.shards.room_of(id.prefix());
        [self.shards.room(""), of, self.by()]
    }

    /// The key of what this process has reserved.
    fn by(&self) -> String {
        self.shards.room(&format!(":by:{}", self.process))
    }

    /// The keys of scripts that read all reservations: room, holders, what `by` begins with, built.
    fn all_keys(&self) -> [String; 4] {
        let room = |name: &str| self.shards.room(name);
        [
            room(""),
            room(":holders"),
            room(":by:"),
            self.shards.room_built(),
        ]
    }

    /// Counts `bytes` for the upload `id`, or nothing where it was removed: for a cluster, which
    /// counts on another server than it records.
    pub async fn settle(&self, id: &UploadId, bytes: u64) -> Result<(), coordination::Error> {
        let args = [id.to_string(), bytes.to_string()];
        let keys = self.keys_of(id);
        let settled = self.link.eval::<u8>(room_scripts::SETTLE, &keys, &args);
        settled.await.map(drop)
    }

    /// Notes that the reservation of an upload has ended in Redis.
    pub fn note_settled(&self, id: &UploadId) {
        let mut state = self.state();
        state.reserved.remove(id);
        if state.restoring {
            // Redis may be coming back at this moment.
            state.released.insert(*id);
        }
    }

    async fn reserve(&self, id: &UploadId, ask: Ask) -> Result<Option<u64>, coordination::Error> {
        let (least, others) = {
            let state = self.state();
            let others = state.reserved.keys().filter(|other| *other != id);
            (state.least, others.count())
        };
        let mut granted = self.ask(id, ask, least, others).await?;
        if granted == UNKNOWN {
            self.renew().await?;
            granted = self.ask(id, ask, least, 0).await?;
        }
        let granted = u64::try_from(granted).ok();
        let mut state = self.state();
        match granted {
            Some(bytes) => state.reserved.insert(*id, bytes),
            None => state.reserved.remove(id),
        };
        Ok(granted)
    }

    /// Asks once; `others` is the number of other uploads for which this process has reserved room.
    async fn ask(
        &self,
        id: &UploadId,
        ask: Ask,
        least: u64,
        others: usize,
    ) -> Result<i64, coordination::Error> {
        let args = [
            self.process.clone(),
            id.to_string(),
            ask.want.to_string(),
            ask.need.to_string(),
            ask.alone.to_string(),
            ask.max.to_string(),
            self.ttl.as_millis().to_string(),
            least.to_string(),
            others.to_string(),
        ];
        let keys = self.all_keys();
        let answer = self.link.eval(room_scripts::RESERVE, &keys, &args);
        let (granted, stored, whole): (i64, u64, u8) = answer.await?;
        if whole == 1 {
            self.state().least = stored;
        }
        Ok(granted)
    }

    /// Renews the reservations. Answers the stored bytes, if they are known exactly.
    async fn renew(&self) -> Result<Option<u64>, coordination::Error> {
        let ttl = self.ttl.as_millis().to_string();
        let args = [self.process.clone(), ttl];
        let keys = self.all_keys();
        let answer = self.link.eval(room_scripts::RENEW, &keys, &args);
        let (known, stored, whole): (u8, u64, u8) = answer.await?;
        let held: Vec<(UploadId, u64)> = {
            let mut state = self.state();
            if whole == 1 {
                state.least = stored;
            }
            state.restoring = known == 0;
            let held = state.reserved.iter().map(|(id, bytes)| (*id, *bytes));
            held.filter(|_| known == 0).collect()
        };
        if !held.is_empty() {
            self.restore(&args, &held).await?;
        }
        self.state().restoring = false;
        Ok((whole == 1).then_some(stored))
    }

    async fn restore(
        &self,
        args: &[String],
        held: &[(UploadId, u64)],
    ) -> Result<(), coordination::Error> {
        let mut args = args.to_vec();
        let each = |(id, bytes): &(UploadId, u64)| [id.to_string(), bytes.to_string()];
        args.extend(held.iter().flat_map(each));
        let [room, holders, ..] = self.all_keys();
        let keys = [room, holders, self.by()];
        let restored = self.link.eval::<u8>(room_scripts::RESTORE, &keys, &args);
        restored.await?;
        // A reservation that was released meanwhile is released in Redis after this.
        self.wake.notify_one();
        Ok(())
    }

    /// Releases the reservations that wait to be released in Redis.
    pub async fn send_releases(&self) -> Result<(), coordination::Error> {
        let released: Vec<UploadId> = self.state().released.iter().copied().collect();
        if released.is_empty() {
            return Ok(());
        }
        let keys = [self.shards.room(""), self.by()];
        let ids: Vec<String> = released.iter().map(UploadId::to_string).collect();
        self.link
            .eval::<u8>(room_scripts::RELEASE, &keys, &ids)
            .await?;
        let mut state = self.state();
        released.iter().for_each(|id| {
            state.released.remove(id);
        });
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, RoomState> {
        // Nothing between a lock and its release can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Capacity for RoomCounter {
    async fn reserve_room(&self, id: &UploadId, ask: Ask) -> Result<Option<u64>, CatalogError> {
        self.reserve(id, ask).await.map_err(failed)
    }

    fn release_room(&self, id: &UploadId) {
        let mut state = self.state();
        state.reserved.remove(id);
        state.released.insert(*id);
        drop(state);
        self.wake.notify_one();
    }

    async fn stored_room(&self) -> Result<Option<u64>, CatalogError> {
        self.send_releases().await.map_err(failed)?;
        self.renew().await.map_err(failed)
    }

    fn assume_room(&self, bytes: u64) {
        self.state().least = bytes;
    }
}

async fn renew(room: Weak<RoomCounter>, wake: Arc<Notify>, every: Duration) {
    let mut due = Instant::now() + every;
    loop {
        tokio::select! {
            () = wake.notified() => {}
            () = tokio::time::sleep_until(due) => {}
        }
        let Some(room) = room.upgrade() else { return };
        let renewed = match Instant::now() >= due {
            true => room.renew().await.map(|_| due = Instant::now() + every),
            false => Ok(()),
        };
        if renewed.and(room.send_releases().await).is_err() {
            drop(room);
            tokio::time::sleep(RETRY_DELAY).await;
            wake.notify_one();
        }
    }
}
