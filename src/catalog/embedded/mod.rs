//! The index of one machine: redb, with what is not yet written to it in memory.
//!
//! Every later call sees a change as soon as it was made, from memory; a thread of its own takes
//! the changes to the database in groups, and syncs the database now and then. So no answer waits
//! for either. A read that has to read the file does so on a blocking thread ([`in_memory`] says
//! when), but for one: the order of a new upload is looked up on the caller's thread, only for a
//! name that no upload had since the start, and only while the clock is not past the newest upload
//! of an earlier process.
//!
//! An index whose disk does not take writes any more (read-only, full, failing) goes on to answer:
//! what the disk lacks stays in memory until the disk takes it, see [`mod@file`]. Meanwhile the
//! index is not ready, so that no uploads are added that only memory has.
//!
//! Measured with `cargo bench --profile dist --bench catalog` (2 shared cores, ext4, 100,000 uploads of one file):
//! 219,000 records/s into memory and 232,000/s behind them into the database, 281,000 names
//! found/s, the whole index made anew from the manifests (`./bench I`) in 3.1 s. Why redb: with the
//! same tables and a writer that answers after its group commit, 64 tasks came to 62,500 records/s
//! in redb (`Durability::None`) and to 46,900 in SQLite (WAL, `synchronous=OFF`; 19,900 with
//! `NORMAL`), one task to 12,900 and 15,100: no gain that a C library would be worth.

mod check;
mod deadlines;
mod file;
mod in_memory;
mod newest_cache;
mod open;
mod pending;
mod reads;
mod reservation_table;
mod reservations;
mod reserved_room;
mod room;
mod shared;
mod tables;
#[cfg(test)]
mod tests;
mod verification;
mod writer;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::{fs, io};

use async_trait::async_trait;

use super::orders::Orders;
use super::record::Record;
use super::{
    Capacity, Catalog, CatalogError, Cursor, Index, IndexEntry, ListFilter, Stats, Stretch,
};
use crate::model::{Clock, FileName, Manifest, Prefix, Timestamp, UploadId};
use pending::RecordChange;
use reservation_table::ReservationTable;
use shared::SharedIndex;
use tables::Snapshot;
use writer::IndexWriter;

pub use open::IndexOpenError;

/// An index in a file of its own.
pub struct EmbeddedCatalog {
    shared: Arc<SharedIndex>,
    writer: IndexWriter,
    orders: Orders,
    /// Guards the uses that downloads under way have reserved. A std mutex: held for a read.
    reservations: Mutex<ReservationTable>,
    clock: Clock,
    left_unclean: Option<Timestamp>,
}

impl EmbeddedCatalog {
    /// Opens the index at `path`; creates it where it is missing or damaged. It is complete only
    /// if it was closed cleanly the last time. Blocks.
    ///
    /// # Errors
    /// Another process has it open, or the file cannot be used.
    pub fn open(path: &Path, clock: Clock) -> Result<Self, IndexOpenError> {
        let written = open::written(path);
        let opened = open::open(path)?;
        let left_unclean = (!opened.complete).then(|| written.min(clock.now()));
        let (latest, checked) = (opened.latest, opened.checked);
        let shared = Arc::new(SharedIndex::new(path, opened));
        let orders = Orders::new(latest);
        let writer = IndexWriter::start(Arc::clone(&shared)).map_err(IndexOpenError::Io)?;
        match checked {
            true => shared.in_memory.walked(),
            false => check::start(Arc::clone(&shared)).map_err(IndexOpenError::Io)?,
        }
        Ok(EmbeddedCatalog {
            shared,
            writer,
            orders,
            reservations: Mutex::default(),
            clock,
            left_unclean,
        })
    }

    /// Whether an older version of wharf, which knows no journal of the store, was the last that had
    /// the index at `path`: to be asked where a journal has records, which that version has not
    /// followed. Blocks.
    pub fn is_left_by_older(path: &Path) -> bool {
        open::is_left_by_older(path)
    }

    /// Creates the index at `path` anew, and removes the one that is there. Blocks.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn create(path: &Path, clock: Clock) -> Result<Self, IndexOpenError> {
        let written = open::written(path);
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(IndexOpenError::Io(error));
            }
            _ => {}
        }
        let catalog = Self::open(path, clock)?;
        // One that goes on in memory would be gone with this process.
        let whole = catalog.shared.file.require_written();
        let lasting = whole.and_then(|()| fs::metadata(path).map(drop));
        lasting.map_err(IndexOpenError::Io)?;
        Ok(EmbeddedCatalog {
            left_unclean: Some(written),
            ..catalog
        })
    }

    /// When the index was last written before this process, if it was not closed cleanly then, or
    /// created anew since: the last sign of life of the server that had it. The start of time, if
    /// the file was missing.
    pub fn left_unclean(&self) -> Option<Timestamp> {
        self.left_unclean
    }

    /// Asks `decide` which change what is recorded now needs, and makes that change, if there is
    /// one. Answers what else `decide` says, and whether there was a change.
    async fn change<T: Send + 'static>(
        &self,
        id: &UploadId,
        decide: impl FnOnce(Option<&Record>) -> (T, Option<RecordChange>) + Send + 'static,
    ) -> Result<(T, bool), CatalogError> {
        self.writer.wait_for_room().await;
        let id = *id;
        let changed = self.read(move |shared| {
            if !shared.in_memory.is_all() {
                // Brings the record from the disk into the cache before the lock is taken: other
                // threads need the lock, and must not wait for a disk.
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
        self.orders.record(manifest);
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
            self.shared.release_room(&manifest.id);
        }
        Ok(newer)
    }

    fn require_complete(&self) -> Result<(), CatalogError> {
        if self.shared.complete.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(CatalogError::Rebuilding)
        }
    }
}

impl Catalog for EmbeddedCatalog {
    fn capacity(&self) -> Option<Arc<dyn Capacity>> {
        let shared: Arc<dyn Capacity> = Arc::<SharedIndex>::clone(&self.shared);
        Some(shared)
    }
}

#[async_trait]
impl Index for EmbeddedCatalog {
    async fn record(&self, manifest: &Manifest) -> Result<bool, CatalogError> {
        self.put(manifest, true).await
    }

    fn order(&self, manifest: &Manifest) -> Timestamp {
        self.orders.of(manifest, |names| {
            // Best effort: if the index cannot be read, the next search for a name reports it.
            self.shared.latest(names).ok().flatten()
        })
    }

    async fn admit(&self, manifest: &Manifest) -> Result<bool, CatalogError> {
        self.put(manifest, true).await?;
        // This process alone gives orders, each above those that it knows.
        Ok(true)
    }

    async fn update(&self, manifest: &Manifest) -> Result<bool, CatalogError> {
        self.put(manifest, false).await
    }

    async fn remove(&self, id: &UploadId, _names: &[FileName]) -> Result<(), CatalogError> {
        self.change(id, |before| ((), before.map(|_| None))).await?;
        self.shared.release_room(id);
        self.reservations().remove(id);
        Ok(())
    }

    async fn find(&self, id: &UploadId) -> Result<Option<IndexEntry>, CatalogError> {
        let id = *id;
        let record = self.read(move |shared| shared.find(&id)).await?;
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
            return self.shared.newest.get(name, now, search).await;
        }
        Ok(search().await?.map(|(id, _)| id))
    }

    async fn list(
        &self,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
        filter: &ListFilter,
    ) -> Result<Stretch, CatalogError> {
        self.require_complete()?;
        let filter = filter.clone();
        self.read_blocking(move |shared| shared.list(after, limit, now, &filter))
            .await
    }

    async fn with_prefix(&self, prefix: Prefix) -> Result<Vec<UploadId>, CatalogError> {
        let view = move |snapshot: &Snapshot, pending: Vec<(UploadId, RecordChange)>| {
            let hidden = pending::ids(&pending);
            let entries = snapshot.with_prefix(prefix, &hidden)?.into_iter();
            let mut ids: Vec<UploadId> = entries.map(|entry| entry.id).collect();
            let recent = pending.into_iter().filter(|(id, _)| id.prefix() == prefix);
            ids.extend(recent.filter_map(|(id, change)| change.map(|_| id)));
            Ok(ids)
        };
        self.read_blocking(move |shared| shared.view(view)).await
    }

    async fn stats(&self) -> Result<Stats, CatalogError> {
        Ok(self.shared.state()?.stats)
    }

    fn ready(&self) -> Result<(), String> {
        drop(self.shared.state().map_err(|error| error.to_string())?);
        self.shared.file.trouble().map_or(Ok(()), Err)
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
