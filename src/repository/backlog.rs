//! What the index has missed, or may have lost.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Repository, RepositoryError};
use crate::model::UploadId;
use crate::store::StoreError;

/// How long a change is remembered: an index that is replicated may lose its last seconds when
/// another server takes over.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How many are remembered; what is older is left to the regular comparison.
const MOST: usize = 100_000;
/// The pause before what was missed is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// The uploads to be indexed again.
#[derive(Debug, Default)]
pub struct Backlog {
    /// Guards both collections. A std mutex: held for an insertion or a look.
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    missed: HashSet<UploadId>,
    recent: VecDeque<(Instant, UploadId)>,
}

impl Backlog {
    /// Remembers a change that the index knows.
    pub fn recorded(&self, id: UploadId) {
        let now = Instant::now();
        let mut state = self.lock();
        state.recent.push_back((now, id));
        while state.recent.len() > MOST
            || state
                .recent
                .front()
                .is_some_and(|(at, _)| now.duration_since(*at) > REMEMBERED)
        {
            state.recent.pop_front();
        }
    }

    /// Remembers a change that the index does not know.
    pub fn missed(&self, id: UploadId) {
        let mut state = self.lock();
        // More than that only a comparison can mend, which every loss of this length brings.
        if state.missed.len() < MOST {
            state.missed.insert(id);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Takes what was recorded lately for missed.
    fn lost(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        let recent = std::mem::take(&mut state.recent).into_iter();
        let recent = recent.filter(|(at, _)| now.duration_since(*at) <= REMEMBERED);
        state.missed.extend(recent.map(|(_, id)| id));
    }

    /// Whether the index lacks nothing, as far as this process knows.
    pub fn is_empty(&self) -> bool {
        self.lock().missed.is_empty()
    }

    /// Takes what was missed. What is not made up for comes back with the drop of the answer.
    pub(super) fn take(&self) -> Missed<'_> {
        let ids = self.lock().missed.drain().collect();
        Missed { backlog: self, ids }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between a lock and its release can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was missed, and is being made up for.
pub(super) struct Missed<'a> {
    backlog: &'a Backlog,
    ids: Vec<UploadId>,
}

impl Missed<'_> {
    /// The next one, until it is [done](Self::done).
    pub fn next(&self) -> Option<UploadId> {
        self.ids.last().copied()
    }

    /// Takes the next one off.
    pub fn done(&mut self) {
        self.ids.pop();
    }
}

impl Drop for Missed<'_> {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            self.backlog.missed(id);
        }
    }
}

impl Repository {
    /// Makes up for what the index has missed or lost, until `stop`.
    pub async fn mend(&self, stop: CancellationToken) {
        let backlog = &self.0.backlog;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = backlog.wake.notified() => {}
                () = self.0.catalog.lost() => backlog.lost(),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.make_up() => {}
            }
        }
    }

    /// Indexes what was missed, until nothing is left.
    async fn make_up(&self) {
        let backlog = &self.0.backlog;
        let mut mended = 0;
        while !backlog.is_empty() {
            let mut missed = backlog.take();
            let mut failed = false;
            while let Some(id) = missed.next()
                && !failed
            {
                match self.index(&id, &[]).await {
                    Ok(_) => mended += 1,
                    // Nothing can be said of it; the comparison reports it.
                    Err(RepositoryError::Store(StoreError::Damaged(_))) => {}
                    Err(_) => {
                        failed = true;
                        continue;
                    }
                }
                missed.done();
            }
            drop(missed);
            if failed {
                tokio::time::sleep(AGAIN).await;
            }
        }
        if mended > 0 {
            tracing::info!(mended, "the index has what it had missed");
        }
    }
}
