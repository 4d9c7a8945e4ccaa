//! The changes that the index has missed, or may have lost.

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
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// How many changes are remembered; the regular comparison finds the others.
const MAX_REMEMBERED: usize = 100_000;
/// The pause before a missed change is recorded again, doubled each time.
const RETRY_DELAY: Duration = Duration::from_millis(20);
/// The longest of these pauses.
const MAX_RETRY_DELAY: Duration = Duration::from_millis(500);
/// How many uploads are indexed at once.
const AT_ONCE: usize = 16;

/// How often a damaged manifest is read again, and the pause before.
const DAMAGED_RETRIES: usize = 4;
const DAMAGED_RETRY_DELAY: Duration = Duration::from_millis(500);

/// The uploads to be indexed again.
#[derive(Debug, Default)]
pub struct Backlog {
    hasher: RandomState,
    /// Whether any change was missed: a flag, so that readers need no lock.
    behind: AtomicBool,
    /// Guards the changes. A std mutex: held for an insertion or a read.
    state: Mutex<BacklogState>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct BacklogState {
    /// The uploads, each with the number of the change that was missed last.
    missed: HashMap<UploadId, u64>,
    changes: u64,
    /// The names of uploads that the index lacks, as hashes, until nothing is missed.
    names: HashSet<u64>,
    /// Whether the index may lack more names.
    any_name: bool,
    recent: VecDeque<(Instant, UploadId)>,
}

impl Backlog {
    /// Remembers a change that the index has recorded.
    pub fn recorded(&self, id: UploadId) {
        let now = Instant::now();
        let mut state = self.lock();
        state.recent.push_back((now, id));
        while state.recent.len() > MAX_REMEMBERED
            || state
                .recent
                .front()
                .is_some_and(|(at, _)| now.duration_since(*at) > REMEMBERED_FOR)
        {
            state.recent.pop_front();
        }
    }

    /// Remembers a change that the index has not recorded, and the names that it may lack.
    pub fn missed(&self, id: UploadId, manifest: Option<&Manifest>) {
        let mut state = self.lock();
        for (_, file) in manifest.into_iter().flat_map(Manifest::files) {
            if state.names.len() >= MAX_REMEMBERED {
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

    /// Whether the index lacks a change.
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

    /// Treats recent changes as missed.
    fn lost(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        let recent = std::mem::take(&mut state.recent).into_iter();
        for (_, id) in recent.filter(|(at, _)| now.duration_since(*at) <= REMEMBERED_FOR) {
            state.miss(id);
        }
        self.behind
            .store(!state.missed.is_empty(), Ordering::Release);
    }

    /// All missed changes.
    pub fn all(&self) -> Vec<(UploadId, u64)> {
        let state = self.lock();
        state.missed.iter().map(|(id, at)| (*id, *at)).collect()
    }

    /// Removes a change that the index has recorded, unless the upload was missed again since.
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

    fn lock(&self) -> MutexGuard<'_, BacklogState> {
        // Nothing between a lock and its release can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BacklogState {
    fn miss(&mut self, id: UploadId) {
        self.changes += 1;
        // A comparison finds the others: an outage of this length always leads to one.
        if self.missed.len() < MAX_REMEMBERED || self.missed.contains_key(&id) {
            self.missed.insert(id, self.changes);
        }
    }
}

impl Repository {
    /// Records the changes that the index has missed or lost, until `stop`.
    pub async fn run_backlog(&self, stop: CancellationToken) {
        let (backlog, outages) = (&self.0.backlog, self.0.catalog.outages());
        let recalled = tokio::select! {
            () = stop.cancelled() => return,
            recalled = self.recall_unindexed() => recalled,
        };
        if let Err(error) = recalled {
            tracing::warn!(%error, "cannot read the notes of unindexed uploads; the next leader does");
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
                () = self.index_all_missed() => {}
            }
        }
    }

    /// Adds the uploads that other instances, or an earlier process of this one, have left unindexed.
    ///
    /// # Errors
    /// The store fails.
    pub async fn recall_unindexed(&self) -> Result<(), StoreError> {
        if !self.0.shared {
            return Ok(());
        }
        for (id, _) in self.0.store.notes(Note::Unindexed).await? {
            self.0.backlog.recalled(id);
        }
        Ok(())
    }

    /// Indexes the missed changes, until none is left. More than a retry: the list is read anew each
    /// time, and the index, when it is back, cuts the pause short.
    async fn index_all_missed(&self) {
        let backlog = &self.0.backlog;
        let (mut indexed, mut pause) = (0, RETRY_DELAY);
        loop {
            let missed = backlog.all();
            if missed.is_empty() {
                break;
            }
            if self.index_all(missed, &mut indexed).await {
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
        if indexed > 0 {
            tracing::info!(
                indexed,
                "the index has recorded the changes that it had missed"
            );
        }
    }

    /// Indexes one upload. A damaged manifest is read again, for the next read may be good: a failing
    /// store is a common reason why the index has missed the upload.
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

    /// Indexes these uploads, and counts them. Answers whether all of them are settled.
    async fn index_all(&self, missed: Vec<(UploadId, u64)>, count: &mut u64) -> bool {
        let mut indexed = stream::iter(missed)
            .map(async |(id, number)| (id, number, self.index_missed(&id).await))
            .buffer_unordered(AT_ONCE);
        while let Some((id, number, result)) = indexed.next().await {
            match result {
                Ok(_) => *count += 1,
                // The manifest cannot be read; the comparison reports it, and its note stays.
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

    /// Removes a missed change that is recorded now.
    pub(super) async fn settle(&self, id: &UploadId, number: u64) {
        if self.0.shared
            && let Err(error) = self.0.store.remove_note(Note::Unindexed, id).await
        {
            tracing::debug!(upload_id = %id, %error, "cannot remove the note of an upload that is indexed now");
        }
        self.0.backlog.settled(id, number);
    }
}
