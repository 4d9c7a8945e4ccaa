//! The state that the callers of an index and the thread that writes it share: the database, and
//! the changes that it does not have yet.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::Database;
use tokio::sync::Notify;

use super::file::IndexFile;
use super::in_memory::InMemory;
use super::newest_cache::NewestCache;
use super::open::OpenedIndex;
use super::pending::{Pending, RecordChange};
use super::reserved_room::ReservedRoom;
use super::tables::Snapshot;
use crate::catalog::record::Record;
use crate::catalog::{CatalogError, Stats};
use crate::model::UploadId;

/// The state that the callers and the writer share.
pub struct SharedIndex {
    pub database: Database,
    /// The file of the database.
    pub file: IndexFile,
    /// Guards the changes that are not yet in the database, and the sums over both. A std mutex,
    /// held while a snapshot of the database is opened, so that the two fit together.
    state: Mutex<IndexState>,
    /// Whether the index was compared with the store since it could last have missed a change.
    pub complete: AtomicBool,
    pub in_memory: InMemory,
    /// The newest upload of each name that was asked for lately.
    pub newest: NewestCache,
    /// Told when a deadline has come nearer.
    pub earlier: Notify,
    /// Told when changes have reached the database.
    pub written: Notify,
    /// Whether the index is being closed.
    pub closing: AtomicBool,
}

#[derive(Default)]
pub struct IndexState {
    pub pending: Pending,
    pub stats: Stats,
    /// The room that is reserved for uploads that are not recorded yet.
    pub reserved: ReservedRoom,
    /// Why the index can neither be read nor written any more, if that is so.
    pub broken: Option<String>,
}

impl SharedIndex {
    /// The index at `path` as it was opened.
    pub fn new(path: &Path, opened: OpenedIndex) -> Self {
        SharedIndex {
            database: opened.database,
            file: opened.file,
            state: Mutex::new(IndexState {
                stats: opened.stats,
                ..IndexState::default()
            }),
            complete: AtomicBool::new(opened.complete),
            in_memory: InMemory::new(path.to_owned()),
            newest: NewestCache::default(),
            earlier: Notify::new(),
            written: Notify::new(),
            closing: AtomicBool::new(false),
        }
    }

    /// The state, whether or not the index can still be used.
    pub fn lock(&self) -> MutexGuard<'_, IndexState> {
        // Nothing between a lock and its release can panic but redb, on a damaged file; then the
        // pending changes are still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, unless the index is broken.
    pub fn state(&self) -> Result<MutexGuard<'_, IndexState>, CatalogError> {
        let state = self.lock();
        match &state.broken {
            Some(reason) => Err(CatalogError::Failed(reason.clone().into())),
            None => Ok(state),
        }
    }

    /// Asks `decide` which change the record of an upload needs, and makes that change in memory, if
    /// there is one. Answers what else `decide` says, and whether there was a change. Blocks while a
    /// record is read that the cache does not have.
    pub fn change<T>(
        &self,
        id: &UploadId,
        decide: impl FnOnce(Option<&Record>) -> (T, Option<RecordChange>),
    ) -> Result<(T, bool), CatalogError> {
        let mut state = self.state()?;
        let before = match state.pending.get(id) {
            Some(change) => change.clone(),
            None => {
                let snapshot = Snapshot::of(&self.database).map_err(failed)?;
                snapshot.find(id).map_err(failed)?.map(Arc::new)
            }
        };
        let before = before.as_deref();
        let (answer, change) = decide(before);
        let Some(change) = change else {
            return Ok((answer, false));
        };
        let after = change.as_deref();
        state.stats.uploads =
            state.stats.uploads + u64::from(after.is_some()) - u64::from(before.is_some());
        let bytes = |record: Option<&Record>| record.map_or(0, |record| record.room);
        state.stats.bytes = (state.stats.bytes + bytes(after)).saturating_sub(bytes(before));
        let due = |record: Option<&Record>| record.and_then(|record| record.due);
        let nearer = match (due(after), due(before)) {
            (Some(new), Some(old)) => new < old,
            (new, old) => new.is_some() && old.is_none(),
        };
        state.reserved.release(id);
        state.pending.insert(*id, change.clone());
        drop(state);
        let changed = [before, after].into_iter().flatten();
        self.newest.remove(changed.flat_map(|record| &record.names));
        if nearer {
            self.earlier.notify_one();
        }
        Ok((answer, true))
    }
}

pub fn failed(error: impl Into<redb::Error>) -> CatalogError {
    CatalogError::Failed(Box::new(error.into()))
}
