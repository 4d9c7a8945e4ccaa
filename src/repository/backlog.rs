//! What the index has missed, or may have lost.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backon::{ConstantBuilder, Retryable as _};
use futures_util::future::OptionFuture;
use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Indexed, Repository, RepositoryError};
use crate::catalog::Outages;
use crate::model::{FileName, Manifest, UploadId};
use crate::store::{Note, StoreError};

/// How long a change is remembered: an index that is replicated may lose its last seconds when
/// another server takes over.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How many are remembered; what is older is left to the regular comparison.
const MOST: usize = 100_000;
/// The pause before missed changes are tried again, doubled each time.
const RETRY_DELAY: Duration = Duration::from_millis(20);
/// The longest of them.
const MAX_RETRY_DELAY: Duration = Duration::from_millis(500);
/// How many uploads are indexed at once.
const AT_ONCE: usize = 16;

/// How often a manifest is read again that comes damaged, and the pause before.
const DAMAGED_RETRIES: usize = 4;
const DAMAGED_RETRY_DELAY: Duration = Duration::from_millis(500);

/// The uploads to be indexed again.
#[derive(Debug, Default)]
pub struct Backlog {
    hasher: RandomState,
    /// Whether any change was missed: a flag, so that readers need no lock.
    behind: AtomicBool,
    /// Guards what there is. A std mutex: held for an insertion or a look.
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Each with the number of the change that was missed last.
    missed: HashMap<UploadId, u64>,
    changes: u64,
    /// The names of uploads that the index lacks, as hashes, until nothing is missed.
    names: HashSet<u64>,
    /// Whether there are more than those.
    any_name: bool,
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

    /// Remembers a change that the index does not know, and the names that it may lack.
    pub fn missed(&self, id: UploadId, manifest: Option<&Manifest>) {
        let mut state = self.lock();
        for (_, file) in manifest.into_iter().flat_map(Manifest::files) {
            if state.names.len() >= MOST {
                state.any_name = true;
                break;
            }
            state.names.insert(self.hasher.hash_one(file.name.as_str()));
        }
        state.miss(id);
        self.behind.store(true, Ordering::Release);
        drop(state);
        self.wake.notify_one();
    }

    /// Remembers an upload of another instance that the index may lack, and whose names are not
    /// known yet.
    pub fn recalled(&self, id: UploadId) {
        let mut state = self.lock();
        state.any_name = true;
        state.miss(id);
        self.behind.store(true, Ordering::Release);
        drop(state);
        self.wake.notify_one();
    }

    /// Whether the index lacks something that it was to be told.
    pub fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }

    /// Whether a newer upload of this name than those in the index may be one that it lacks.
    pub fn has(&self, name: &FileName) -> bool {
        if !self.is_behind() {
            return false;
        }
        let state = self.lock();
        state.any_name || state.names.contains(&self.hasher.hash_one(name.as_str()))
    }

    /// Takes what was recorded lately for missed.
    fn lost(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        let recent = std::mem::take(&mut state.recent).into_iter();
        for (_, id) in recent.filter(|(at, _)| now.duration_since(*at) <= REMEMBERED) {
            state.miss(id);
        }
        self.behind
            .store(!state.missed.is_empty(), Ordering::Release);
    }

    /// All that was missed.
    pub fn all(&self) -> Vec<(UploadId, u64)> {
        let state = self.lock();
        state.missed.iter().map(|(id, at)| (*id, *at)).collect()
    }

    /// Forgets a change that the index has learnt of, unless it was missed again since.
    fn settled(&self, id: &UploadId, change: u64) {
        let mut state = self.lock();
        if state.missed.get(id) == Some(&change) {
            state.missed.remove(id);
        }
        if state.missed.is_empty() {
            state.names.clear();
            state.any_name = false;
            self.behind.store(false, Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between a lock and its release can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn miss(&mut self, id: UploadId) {
        self.changes += 1;
        // More than that only a comparison can mend, which every loss of this length brings.
        if self.missed.len() < MOST || self.missed.contains_key(&id) {
            self.missed.insert(id, self.changes);
        }
    }
}

impl Repository {
    /// Makes up for what the index has missed or lost, until `stop`.
    pub async fn mend(&self, stop: CancellationToken) {
        let (backlog, outages) = (&self.0.backlog, self.0.catalog.outages());
        let recalled = tokio::select! {
            () = stop.cancelled() => return,
            recalled = self.recall() => recalled,
        };
        if let Err(error) = recalled {
            tracing::warn!(%error, "cannot look for uploads that were left unindexed; the next leader does");
        }
        loop {
            let lost = OptionFuture::from(outages.map(Outages::changes_lost));
            tokio::select! {
                () = stop.cancelled() => return,
                () = backlog.wake.notified() => {}
                Some(()) = lost => backlog.lost(),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.make_up() => {}
            }
        }
    }

    /// Takes up what other instances, or an earlier life of this one, have left unindexed.
    ///
    /// # Errors
    /// The store fails.
    pub async fn recall(&self) -> Result<(), StoreError> {
        if !self.0.shared {
            return Ok(());
        }
        for (id, _) in self.0.store.notes(Note::Unindexed).await? {
            self.0.backlog.recalled(id);
        }
        Ok(())
    }

    /// Indexes what was missed, until nothing is left. More than a retry: the list is read anew each
    /// time, and the index, when it is back, cuts the pause short.
    async fn make_up(&self) {
        let backlog = &self.0.backlog;
        let (mut mended, mut pause) = (0, RETRY_DELAY);
        loop {
            let missed = backlog.all();
            if missed.is_empty() {
                break;
            }
            if self.index_all(missed, &mut mended).await {
                pause = RETRY_DELAY;
                continue;
            }
            // As soon as the index is back, or may be.
            let outages = self.0.catalog.outages();
            let reachable = OptionFuture::from(outages.map(Outages::reachable_again));
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(MAX_RETRY_DELAY),
                Some(()) = reachable => pause = RETRY_DELAY,
            }
        }
        if mended > 0 {
            tracing::info!(mended, "the index has what it had missed");
        }
    }

    /// Indexes one. A manifest that comes damaged is read again, for it may come whole: a store in
    /// trouble is often why the index has missed it.
    async fn index_missed(&self, id: &UploadId) -> Result<Indexed, RepositoryError> {
        let delays = ConstantBuilder::new()
            .with_delay(DAMAGED_RETRY_DELAY)
            .with_max_times(DAMAGED_RETRIES);
        let damaged = |error: &RepositoryError| {
            matches!(error, RepositoryError::Store(StoreError::Damaged(_)))
        };
        let index = || self.index(id, &[]);
        index.retry(delays).when(damaged).await
    }

    /// Indexes these, and counts them. Answers whether all of them are settled.
    async fn index_all(&self, missed: Vec<(UploadId, u64)>, mended: &mut u64) -> bool {
        let mut indexed = stream::iter(missed)
            .map(async |(id, number)| (id, number, self.index_missed(&id).await))
            .buffer_unordered(AT_ONCE);
        while let Some((id, number, result)) = indexed.next().await {
            match result {
                Ok(_) => *mended += 1,
                // Nothing can be said of it now; the comparison reports it, and its note stays.
                Err(RepositoryError::Store(StoreError::Damaged(_) | StoreError::Io { .. })) => {
                    self.0.backlog.settled(&id, number);
                    continue;
                }
                Err(_) => return false,
            }
            self.settle(&id, number).await;
        }
        true
    }

    /// Lets go of a change that was missed and made up for.
    pub(super) async fn settle(&self, id: &UploadId, number: u64) {
        if self.0.shared
            && let Err(error) = self.0.store.remove_note(Note::Unindexed, id).await
        {
            tracing::debug!(%id, %error, "a note of an upload that is indexed stays for now");
        }
        self.0.backlog.settled(id, number);
    }
}
