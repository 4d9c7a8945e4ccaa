//! Keys in Redis with a time to live that this process renews as long as it lives: its open uploads,
//! and the uses of limited downloads that it has reserved.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use redis::cmd;

use super::scripts;
use super::shards::Shards;
use crate::catalog::Reservation;
use crate::coordination::Link;
use crate::model::UploadId;

/// For how long a use of a download, or room, is reserved at a time; then it is renewed.
pub const RESERVATION_TTL: Duration = Duration::from_secs(30);
/// How often a reserved use is renewed.
const RENEW_INTERVAL: Duration = Duration::from_secs(10);

/// The keys that this process renews.
pub struct Renewals {
    link: Link,
    shards: Shards,
    /// How often an open upload is shown again.
    refresh: Duration,
    /// Guards both maps. A std mutex: held for a read or an insertion.
    state: Mutex<RenewalState>,
}

#[derive(Default)]
struct RenewalState {
    /// The open uploads, and when each was shown last, or began.
    open: HashMap<UploadId, Instant>,
    /// The reserved uses, and when each was renewed last.
    uses: HashMap<(UploadId, Reservation), Instant>,
}

/// An upload that is shown as open until this is dropped.
struct ShownUpload {
    renewals: Arc<Renewals>,
    id: UploadId,
}

impl Drop for ShownUpload {
    fn drop(&mut self) {
        self.renewals.state().open.remove(&self.id);
    }
}

impl Renewals {
    /// Nothing to be renewed yet, and a task that renews as long as the answer lives.
    pub fn start(link: Link, shards: Shards, stale_after: Duration) -> Arc<Self> {
        let renewals = Arc::new(Renewals {
            link,
            shards,
            refresh: (stale_after / 4).min(RENEW_INTERVAL),
            state: Mutex::default(),
        });
        let every = renewals.refresh.min(RENEW_INTERVAL / 4);
        tokio::spawn(renew(Arc::downgrade(&renewals), every));
        renewals
    }

    /// Shows an upload as open, once it has lasted for long enough to matter.
    pub fn open(self: &Arc<Self>, id: UploadId) -> Box<dyn Send + Sync> {
        self.state().open.insert(id, Instant::now());
        let renewals = Arc::clone(self);
        Box::new(ShownUpload { renewals, id })
    }

    /// Renews a reserved use from now on.
    pub fn add(&self, id: UploadId, reservation: Reservation) {
        let key = (id, reservation);
        self.state().uses.insert(key, Instant::now());
    }

    /// Stops renewing a use.
    pub fn remove(&self, id: &UploadId, reservation: &Reservation) {
        self.state().uses.remove(&(*id, reservation.clone()));
    }

    fn state(&self) -> MutexGuard<'_, RenewalState> {
        // Nothing between a lock and its release can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn renew(&self) {
        let (open, uses) = {
            let mut state = self.state();
            let RenewalState { open, uses } = &mut *state;
            (due(open, self.refresh), due(uses, RENEW_INTERVAL))
        };
        // All at once, so that a slow server delays its own keys alone. There are no more of them
        // than connections.
        let open = join_all(open.iter().map(|id| self.show(id)));
        let uses = uses.iter().map(|(id, reserved)| self.prolong(id, reserved));
        let uses = join_all(uses);
        tokio::join!(open, uses);
    }

    /// Shows that an upload is open.
    async fn show(&self, id: &UploadId) {
        let mut set = cmd("SET");
        set.arg(self.shards.of(id, &["open"])).arg("");
        set.arg("PX").arg((self.refresh * 3).as_millis() as u64);
        // If it fails, the next renewal comes soon enough.
        let _ = self.link.run::<()>(&set).await;
    }

    /// Prolongs the reservation of a use, unless it was released since.
    pub async fn prolong(&self, id: &UploadId, reservation: &Reservation) {
        let key = self.shards.of(id, &["taken"]);
        let ttl = RESERVATION_TTL.as_millis().to_string();
        let args = [reservation.to_string(), ttl];
        let _ = self.link.eval::<u8>(scripts::PROLONG, &key, &args).await;
    }
}

/// The keys that were renewed longer than `every` ago. Notes that they are renewed now.
fn due<K: Clone + Eq + std::hash::Hash>(
    known: &mut HashMap<K, Instant>,
    every: Duration,
) -> Vec<K> {
    let now = Instant::now();
    let mut due = Vec::new();
    for (key, at) in known {
        if now.duration_since(*at) >= every {
            *at = now;
            due.push(key.clone());
        }
    }
    due
}

async fn renew(renewals: Weak<Renewals>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        match renewals.upgrade() {
            Some(renewals) => renewals.renew().await,
            None => return,
        }
    }
}
