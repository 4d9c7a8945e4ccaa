//! The index of one machine: redb, with what is not yet written to it in memory.
//!
//! A change is in the answer of every later call as soon as it was made, from memory; a thread of
//! its own takes the changes to the database in groups, and syncs the database now and then. So
//! no answer waits for either. A look that has to read the file does so on a thread of its own
//! ([`in_memory`] says when), but for one: the order of a new upload is looked up where the caller
//! is, only for a name that no upload had since the start, and only while the clock is not past the
//! newest upload of an earlier process.
//!
//! A disk that does not take the database any more (read-only, full, failing) takes no answer away:
//! what it lacks stays in memory until it does, see [`mod@file`]. Meanwhile the index is not ready, so
//! that no uploads are added to what only memory has.
//!
//! Measured with `cargo bench --bench catalog` (2 shared cores, ext4, 100,000 uploads of one file):
//! 219,000 records/s into memory and 232,000/s behind them into the database, 281,000 names
//! found/s, the whole index made anew from the manifests (`./bench I`) in 3.1 s. Why redb: with the
//! same tables and a writer that answers after its group commit, 64 tasks came to 62,500 records/s
//! in redb (`Durability::None`) and to 46,900 in SQLite (WAL, `synchronous=OFF`; 19,900 with
//! `NORMAL`), one task to 12,900 and 15,100: no gain that a C library would be worth.

mod check;
mod file;
mod holds;
mod in_memory;
mod look;
mod newest;
mod open;
mod pending;
mod room;
mod tables;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use redb::Database;
use tokio::sync::Notify;

use super::orders::Orders;
use super::record::Record;
use super::{
    Capacity as _, Catalog, CatalogError, Cursor, Entry, Gaps, Limit, Reserved, Stats, Stretch,
};
use crate::model::{Clock, FileName, Manifest, Prefix, Timestamp, UploadId};
use file::IndexFile;
use holds::Holds;
use in_memory::InMemory;
use newest::Names;
use pending::{Change, Pending};
use room::Reservations;
use tables::Snapshot;
use writer::Writer;

pub use open::OpenError;

/// An index in a file of its own.
pub struct EmbeddedCatalog {
    shared: Arc<Shared>,
    writer: Writer,
    orders: Orders,
    /// Guards the uses held by downloads under way. A std mutex: held for a look.
    holds: Mutex<Holds>,
    clock: Clock,
    /// See [`Catalog::left_unclean`].
    left_unclean: Option<Timestamp>,
}

/// What the callers and the writer share.
struct Shared {
    database: Database,
    /// What it lies in.
    file: IndexFile,
    /// Guards the changes that are not yet in the database, and the sums over both. A std mutex,
    /// held while a snapshot of the database is opened, so that the two fit together.
    state: Mutex<State>,
    complete: AtomicBool,
    in_memory: InMemory,
    /// The newest upload of each name that was asked for lately.
    names: Names,
    /// Told when a deadline has come nearer.
    earlier: Notify,
    /// Told when changes have reached the database.
    written: Notify,
    /// Whether nobody asks any more.
    closing: AtomicBool,
}

#[derive(Default)]
struct State {
    pending: Pending,
    stats: Stats,
    /// What is reserved for uploads that are not recorded yet.
    reserved: Reservations,
    /// Why nothing is to be had of the index any more, if that is so.
    broken: Option<String>,
}

impl EmbeddedCatalog {
    /// Opens the index at `path`; one that is missing or damaged is begun anew. It is complete
    /// only if it was closed the last time. Blocks.
    ///
    /// # Errors
    /// Another process has it open, or the file cannot be used.
    pub fn open(path: &Path, clock: Clock) -> Result<Self, OpenError> {
        let written = open::written(path);
        let opened = open::open(path)?;
        let left_unclean = (!opened.complete).then(|| written.min(clock.now()));
        let shared = Arc::new(Shared {
            database: opened.database,
            file: opened.file,
            state: Mutex::new(State {
                stats: opened.stats,
                ..State::default()
            }),
            complete: AtomicBool::new(opened.complete),
            in_memory: InMemory::new(path.to_owned()),
            names: Names::default(),
            earlier: Notify::new(),
            written: Notify::new(),
            closing: AtomicBool::new(false),
        });
        let orders = Orders::new(opened.latest);
        let writer = Writer::start(Arc::clone(&shared)).map_err(OpenError::Io)?;
        match opened.checked {
            true => shared.in_memory.walked(),
            false => check::start(Arc::clone(&shared)).map_err(OpenError::Io)?,
        }
        Ok(EmbeddedCatalog {
            shared,
            writer,
            orders,
            holds: Mutex::default(),
            clock,
            left_unclean,
        })
    }

    /// Makes the change that `decide` finds for what is recorded now, if it finds one. Answers
    /// what else `decide` says, and whether there was a change.
    async fn change<T: Send + 'static>(
        &self,
        id: &UploadId,
        decide: impl FnOnce(Option<&Record>) -> (T, Option<Change>) + Send + 'static,
    ) -> Result<(T, bool), CatalogError> {
        self.writer.room().await;
        let id = *id;
        let changed = self.look(move |shared| {
            if !shared.in_memory.is_all() {
                // This look reads the record from the disk into the cache before the lock is taken:
                // other threads need the lock, and must not wait for a disk.
                shared.find(&id)?;
            }
            shared.change(&id, decide)
        });
        let changed = changed.await?;
        if changed.1 {
            self.writer.wake();
        }
        Ok(changed)
    }

    async fn put(&self, manifest: &Manifest, create: bool) -> Result<bool, CatalogError> {
        let record = Record::of(manifest);
        self.orders.told(manifest);
        let decide = move |before: Option<&Record>| {
            let newer = match before {
                Some(before) => before.generation <= record.generation,
                None => create,
            };
            let same = before == Some(&record);
            (newer, (newer && !same).then(|| Some(Arc::new(record))))
        };
        let (newer, changed) = self.change(&manifest.id, decide).await?;
        if !changed && create {
            self.release_room(&manifest.id);
        }
        Ok(newer)
    }

    fn holds(&self) -> MutexGuard<'_, Holds> {
        // Nothing between a lock and its release can panic.
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn require_complete(&self) -> Result<(), CatalogError> {
        if self.shared.complete.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(CatalogError::Rebuilding)
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between a lock and its release can panic but redb, on a damaged file; then the
        // pending changes are still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, CatalogError> {
        let state = self.lock();
        match &state.broken {
            Some(reason) => Err(CatalogError::Failed(reason.clone().into())),
            None => Ok(state),
        }
    }

    fn change<T>(
        &self,
        id: &UploadId,
        decide: impl FnOnce(Option<&Record>) -> (T, Option<Change>),
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
        self.names.let_go(changed.flat_map(|record| &record.names));
        if nearer {
            self.earlier.notify_one();
        }
        Ok((answer, true))
    }
}

fn failed(error: impl Into<redb::Error>) -> CatalogError {
    CatalogError::Failed(Box::new(error.into()))
}

#[async_trait]
impl Catalog for EmbeddedCatalog {
    async fn record(&self, manifest: &Manifest) -> Result<bool, CatalogError> {
        self.put(manifest, true).await
    }

    fn order(&self, manifest: &Manifest) -> Timestamp {
        self.orders.of(manifest, |names| {
            // Best effort: if the index cannot be read, the next look-up of a name reports it.
            self.shared.latest(names).ok().flatten()
        })
    }

    async fn update(&self, manifest: &Manifest) -> Result<bool, CatalogError> {
        self.put(manifest, false).await
    }

    async fn forget(&self, id: &UploadId, _names: &[FileName]) -> Result<(), CatalogError> {
        self.change(id, |before| ((), before.map(|_| None))).await?;
        self.release_room(id);
        self.holds().forget(id);
        Ok(())
    }

    async fn find(&self, id: &UploadId) -> Result<Option<Entry>, CatalogError> {
        let id = *id;
        let record = self.look(move |shared| shared.find(&id)).await?;
        Ok(record.map(|record| record.entry(id)))
    }

    async fn newest(
        &self,
        name: &FileName,
        now: Timestamp,
        skip: &[UploadId],
    ) -> Result<Option<UploadId>, CatalogError> {
        // The index may lack an upload that is newer than the one it would find.
        self.require_complete()?;
        let search = || self.find_newest(name, now, skip);
        if skip.is_empty() {
            return self.shared.names.newest(name, now, search).await;
        }
        Ok(search().await?.map(|(id, _)| id))
    }

    async fn list(
        &self,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Stretch, CatalogError> {
        self.require_complete()?;
        let look = move |shared: &Shared| shared.list(after, limit, now);
        self.look_aside(look).await
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: usize,
        again: Timestamp,
    ) -> Result<Vec<UploadId>, CatalogError> {
        let due = self.look(move |shared| shared.due(now, limit)).await?;
        let mut taken = Vec::with_capacity(due.len());
        for (_, id) in due {
            self.postpone(&id, again).await?;
            taken.push(id);
        }
        Ok(taken)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, CatalogError> {
        let end = Timestamp::from_millis(i64::MAX);
        let due = self.look(move |shared| shared.due(end, 1)).await?;
        Ok(due.into_iter().map(|(at, _)| at).next())
    }

    async fn postpone(&self, id: &UploadId, until: Timestamp) -> Result<(), CatalogError> {
        let postponed = move |before: Option<&Record>| {
            let due = Some(until);
            let change = before.map(|before| {
                Some(Arc::new(Record {
                    due,
                    ..before.clone()
                }))
            });
            ((), change)
        };
        self.change(id, postponed).await?;
        Ok(())
    }

    async fn earlier(&self) {
        self.shared.earlier.notified().await;
    }

    async fn reserve(&self, limit: &Limit, hold: Duration) -> Result<Reserved, CatalogError> {
        let now = self.clock.now();
        Ok(self.holds().reserve(limit, now, now.after(hold)))
    }

    async fn keep(&self, id: &UploadId, hold: u64, used: u64) -> Result<(), CatalogError> {
        self.holds().keep(id, hold, used);
        Ok(())
    }

    async fn give_back(&self, id: &UploadId, hold: u64) -> Result<(), CatalogError> {
        self.holds().give_back(id, hold);
        Ok(())
    }

    async fn stats(&self) -> Result<Stats, CatalogError> {
        Ok(self.shared.state()?.stats)
    }

    async fn with_prefix(&self, prefix: Prefix) -> Result<Vec<UploadId>, CatalogError> {
        let view = move |snapshot: &Snapshot, pending: Vec<(UploadId, Change)>| {
            let hidden = pending::ids(&pending);
            let entries = snapshot.with_prefix(prefix, &hidden)?.into_iter();
            let mut ids: Vec<UploadId> = entries.map(|entry| entry.id).collect();
            let recent = pending.into_iter().filter(|(id, _)| id.prefix() == prefix);
            ids.extend(recent.filter_map(|(id, change)| change.map(|_| id)));
            Ok(ids)
        };
        self.look_aside(move |shared| shared.view(view)).await
    }

    fn ready(&self) -> Result<(), String> {
        drop(self.shared.state().map_err(|error| error.to_string())?);
        self.shared.file.trouble().map_or(Ok(()), Err)
    }

    fn open(&self, _id: UploadId) -> Box<dyn Send + Sync> {
        // The store's lock keeps all others away.
        Box::new(())
    }

    async fn is_open(&self, _id: &UploadId) -> Result<bool, CatalogError> {
        Ok(false)
    }

    fn left_unclean(&self) -> Option<Timestamp> {
        self.left_unclean
    }

    async fn gaps(&self) -> Result<Gaps, CatalogError> {
        let mut gaps = Gaps::default();
        if !self.shared.complete.load(Ordering::Acquire) {
            gaps.prefixes.extend(Prefix::all());
        }
        Ok(gaps)
    }

    async fn mended(&self, _gaps: Gaps) -> Result<bool, CatalogError> {
        self.shared.complete.store(true, Ordering::Release);
        Ok(true)
    }

    async fn close(&self, whole: bool) -> Result<(), CatalogError> {
        if !whole {
            self.shared.complete.store(false, Ordering::Release);
        }
        self.shared.closing.store(true, Ordering::Release);
        self.writer.close().await;
        drop(self.shared.state()?);
        Ok(())
    }
}
