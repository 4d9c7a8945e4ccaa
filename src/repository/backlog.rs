//! The changes that the index has missed, or may have lost.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::model::{FileName, Manifest, UploadId};

/// How long a change is remembered: an index that is replicated may lose its last seconds when
/// another server takes over.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// How many changes are remembered; the regular comparison finds the others.
const MAX_REMEMBERED: usize = 100_000;

/// The uploads to be indexed again.
#[derive(Debug, Default)]
pub struct Backlog {
    hasher: RandomState,
    /// Whether any change was missed: a flag, so that readers need no lock.
    behind: AtomicBool,
    /// Guards the changes. A std mutex: held for an insertion or a read.
    state: Mutex<BacklogState>,
    /// Told when a change was missed.
    pub wake: Notify,
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
    pub fn lost(&self) {
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
    pub fn settled(&self, id: &UploadId, change: u64) {
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
