//! The room that this process has reserved in Redis, and renews as long as it lives.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::shards::Shards;
use super::{HOLD, RedisCatalog, failed, room_scripts};
use crate::catalog::{Ask, Capacity, CatalogError};
use crate::coordination::{self, Link};
use crate::model::UploadId;

/// How often what is reserved is renewed while it is held for one time. What Redis has lost is
/// reserved again as soon, and what is stored is known as well.
const RENEWALS: u32 = 30;
/// The answer of a Redis that has lost the reservations of this process.
const UNKNOWN: i64 = -2;
/// The pause before what could not be released is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// What is counted of the room of the store.
pub struct Room {
    link: Link,
    shards: Shards,
    /// The name of this process among the holders.
    process: String,
    /// How long its reservations outlive the process.
    hold: Duration,
    /// Guards what is reserved. A std mutex: held for a look.
    state: Mutex<State>,
    wake: Arc<Notify>,
}

#[derive(Default)]
struct State {
    /// What is reserved, by upload.
    held: HashMap<UploadId, u64>,
    /// Uploads whose reservations are still to be released in Redis.
    released: HashSet<UploadId>,
    /// What was stored when it was last known exactly.
    least: u64,
    /// Whether what is reserved is being restored.
    restoring: bool,
}

impl Room {
    /// Nothing yet, and a task that renews it as long as the answer lives.
    pub fn start(link: Link, shards: Shards, hold: Duration) -> Result<Arc<Self>, CatalogError> {
        let mut process = [0; 8];
        getrandom::fill(&mut process).map_err(|error| CatalogError::Failed(Box::new(error)))?;
        let room = Arc::new(Room {
            link,
            shards,
            process: format!("{:016x}", u64::from_le_bytes(process)),
            hold,
            state: Mutex::default(),
            wake: Arc::default(),
        });
        tokio::spawn(renew(
            Arc::downgrade(&room),
            Arc::clone(&room.wake),
            hold / RENEWALS,
        ));
        Ok(room)
    }

    /// The keys that settle the room of an upload: room, of, by.
    pub fn of(&self, id: &UploadId) -> [String; 3] {
        let of = self.shards.room_of(id.prefix());
        [self.shards.room(""), of, self.by()]
    }

    /// Where what this process has reserved is kept.
    fn by(&self) -> String {
        self.shards.room(&format!(":by:{}", self.process))
    }

    /// The keys of what looks at all of it: room, holders, what `by` begins with, built.
    fn all(&self) -> [String; 4] {
        let room = |name: &str| self.shards.room(name);
        [
            room(""),
            room(":holders"),
            room(":by:"),
            self.shards.room_built(),
        ]
    }

    /// What is recorded of `id` takes so many `bytes`, or nothing any more: for an index that
    /// counts on another server than it records.
    pub async fn settle(&self, id: &UploadId, bytes: u64) -> Result<(), coordination::Error> {
        let args = [id.to_string(), bytes.to_string()];
        let keys = self.of(id);
        let settled = self.link.eval::<u8>(room_scripts::SETTLE, &keys, &args);
        settled.await.map(drop)
    }

    /// The reservation of an upload has ended in Redis.
    pub fn settled(&self, id: &UploadId) {
        let mut state = self.state();
        state.held.remove(id);
        if state.restoring {
            // Redis may be coming back at this moment.
            state.released.insert(*id);
        }
    }

    async fn reserve(&self, id: &UploadId, ask: Ask) -> Result<Option<u64>, coordination::Error> {
        let (least, others) = {
            let state = self.state();
            let others = state.held.keys().filter(|other| *other != id);
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
            Some(bytes) => state.held.insert(*id, bytes),
            None => state.held.remove(id),
        };
        Ok(granted)
    }

    /// Asks once; `others` says for how many other uploads room is reserved here.
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
            self.hold.as_millis().to_string(),
            least.to_string(),
            others.to_string(),
        ];
        let keys = self.all();
        let answer = self.link.eval(room_scripts::RESERVE, &keys, &args);
        let (granted, stored, whole): (i64, u64, u8) = answer.await?;
        if whole == 1 {
            self.state().least = stored;
        }
        Ok(granted)
    }

    /// Releases what is reserved for an upload, soon.
    pub fn release(&self, id: &UploadId) {
        let mut state = self.state();
        state.held.remove(id);
        state.released.insert(*id);
        drop(state);
        self.wake.notify_one();
    }

    /// Renews what is reserved. Answers what is stored, if that is known exactly.
    async fn renew(&self) -> Result<Option<u64>, coordination::Error> {
        let hold = self.hold.as_millis().to_string();
        let args = [self.process.clone(), hold];
        let keys = self.all();
        let answer = self.link.eval(room_scripts::RENEW, &keys, &args);
        let (known, stored, whole): (u8, u64, u8) = answer.await?;
        let held: Vec<(UploadId, u64)> = {
            let mut state = self.state();
            if whole == 1 {
                state.least = stored;
            }
            state.restoring = known == 0;
            let held = state.held.iter().map(|(id, bytes)| (*id, *bytes));
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
        let [room, holders, ..] = self.all();
        let keys = [room, holders, self.by()];
        let restored = self.link.eval::<u8>(room_scripts::RESTORE, &keys, &args);
        restored.await?;
        // A reservation that was released meanwhile is released in Redis after this.
        self.wake.notify_one();
        Ok(())
    }

    /// Releases the reservations that are waiting for it.
    pub async fn clear(&self) -> Result<(), coordination::Error> {
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

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing between a lock and its release can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RedisCatalog {
    /// Has it count the room of the store, as every instance must where one of them does.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn counting_room(self) -> Result<Self, CatalogError> {
        self.counting_room_for(HOLD)
    }

    /// The same, with reservations that outlive their process by `hold`.
    pub(super) fn counting_room_for(mut self, hold: Duration) -> Result<Self, CatalogError> {
        self.room = Some(Room::start(self.link.clone(), self.shards.clone(), hold)?);
        Ok(self)
    }

    /// The keys that settle the room of an upload in the same step as its record: one server has
    /// both, and in a cluster not.
    pub(super) fn room_beside(&self, id: &UploadId) -> Option<[String; 3]> {
        let room = self.room.as_ref()?;
        (!self.link.address().is_cluster()).then(|| room.of(id))
    }

    /// Counts what an upload takes now that it is recorded, or forgotten.
    pub(super) async fn settle(&self, id: &UploadId, bytes: u64) -> Result<(), CatalogError> {
        let Some(room) = &self.room else {
            return Ok(());
        };
        if self.link.address().is_cluster() {
            room.settle(id, bytes).await.map_err(failed)?;
        }
        room.settled(id);
        Ok(())
    }
}

#[async_trait]
impl Capacity for RedisCatalog {
    async fn reserve_room(&self, id: &UploadId, ask: Ask) -> Result<Option<u64>, CatalogError> {
        let Some(room) = &self.room else {
            return Err(CatalogError::Failed("it does not count the room".into()));
        };
        room.reserve(id, ask).await.map_err(failed)
    }

    fn release_room(&self, id: &UploadId) {
        if let Some(room) = &self.room {
            room.release(id);
        }
    }

    async fn stored_room(&self) -> Result<Option<u64>, CatalogError> {
        match &self.room {
            Some(room) => {
                room.clear().await.map_err(failed)?;
                room.renew().await.map_err(failed)
            }
            None => Ok(None),
        }
    }

    fn assume_room(&self, bytes: u64) {
        if let Some(room) = &self.room {
            room.state().least = bytes;
        }
    }
}

async fn renew(room: Weak<Room>, wake: Arc<Notify>, every: Duration) {
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
        if renewed.and(room.clear().await).is_err() {
            drop(room);
            tokio::time::sleep(AGAIN).await;
            wake.notify_one();
        }
    }
}
