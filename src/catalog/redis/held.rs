//! What this process holds in Redis for a time, and renews as long as it lives: uploads under way,
//! uses of limited downloads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use redis::cmd;

use super::shards::Shards;
use super::{HOLD, scripts};
use crate::coordination::Link;
use crate::model::UploadId;

/// How often a held use is renewed.
const RENEW: Duration = Duration::from_secs(10);

/// What is held now.
pub struct Held {
    link: Link,
    shards: Shards,
    /// How often an upload under way shows that it is.
    refresh: Duration,
    /// Guards both maps. A std mutex: held for a look.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Uploads under way, and when each showed itself last, or began.
    open: HashMap<UploadId, Instant>,
    /// Uses, and when each was renewed last.
    uses: HashMap<(UploadId, u64), Instant>,
}

/// Ends an upload under way with it.
struct Open {
    held: Arc<Held>,
    id: UploadId,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.held.state().open.remove(&self.id);
    }
}

impl Held {
    /// Nothing yet, and a task that renews it as long as the answer lives.
    pub fn start(link: Link, shards: Shards, stale_after: Duration) -> Arc<Self> {
        let held = Arc::new(Held {
            link,
            shards,
            refresh: (stale_after / 4).min(RENEW),
            state: Mutex::default(),
        });
        tokio::spawn(renew(Arc::downgrade(&held), held.refresh.min(RENEW / 4)));
        held
    }

    /// Shows an upload as under way, once it has lasted for long enough to matter.
    pub fn open(self: &Arc<Self>, id: UploadId) -> Box<dyn Send + Sync> {
        self.state().open.insert(id, Instant::now());
        let held = Arc::clone(self);
        Box::new(Open { held, id })
    }

    /// Renews a use from now on.
    pub fn hold(&self, id: UploadId, hold: u64) {
        self.state().uses.insert((id, hold), Instant::now());
    }

    /// Renews it no more.
    pub fn let_go(&self, id: &UploadId, hold: u64) {
        self.state().uses.remove(&(*id, hold));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing between a lock and its release can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn renew(&self) {
        let (open, uses) = {
            let mut state = self.state();
            let State { open, uses } = &mut *state;
            (due(open, self.refresh), due(uses, RENEW))
        };
        // All at once: one server that is slow delays what lies on it, and nothing else. They are
        // no more than there are connections.
        let open = join_all(open.iter().map(|id| self.show(id)));
        let uses = join_all(uses.iter().map(|(id, hold)| self.prolong(id, *hold)));
        tokio::join!(open, uses);
    }

    /// Shows that an upload is under way.
    async fn show(&self, id: &UploadId) {
        let mut set = cmd("SET");
        set.arg(self.shards.of(id, &["open"])).arg("");
        set.arg("PX").arg((self.refresh * 3).as_millis() as u64);
        // If it fails, the next renewal comes soon enough.
        let _ = self.link.run::<()>(&set).await;
    }

    /// Holds a use for longer, unless it was given back since.
    pub async fn prolong(&self, id: &UploadId, hold: u64) {
        let key = self.shards.of(id, &["taken"]);
        let args = [hold.to_string(), HOLD.as_millis().to_string()];
        let _ = self.link.eval::<u8>(scripts::HOLD, &key, &args).await;
    }
}

/// What was renewed longer than `every` ago, and is now.
fn due<K: Copy + Eq + std::hash::Hash>(known: &mut HashMap<K, Instant>, every: Duration) -> Vec<K> {
    let now = Instant::now();
    let mut due = Vec::new();
    for (key, at) in known {
        if now.duration_since(*at) >= every {
            *at = now;
            due.push(*key);
        }
    }
    due
}

async fn renew(held: Weak<Held>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        match held.upgrade() {
            Some(held) => held.renew().await,
            None => return,
        }
    }
}
