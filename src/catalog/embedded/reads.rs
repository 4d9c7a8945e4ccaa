//! Reads of the index as it is now: a snapshot of the database, and the changes it does not have.

use std::cmp::Reverse;
use std::sync::Arc;

use super::EmbeddedCatalog;
use super::newest_cache::Newest;
use super::pending::{self, RecordChange};
use super::shared::{SharedIndex, failed};
use super::tables::Snapshot;
use crate::catalog::record::Record;
use crate::catalog::{CatalogError, Cursor, IndexEntry, ListFilter, Stretch};
use crate::model::{FileName, Timestamp, UploadId};

/// How many uploads one read for a listing passes, most of which may be over: some milliseconds.
pub const MAX_STEPS: usize = 10_000;
/// How many uploads one read for a listing by name passes: the record of each is read.
const MAX_READS: usize = 2000;
/// How many uploads of one name a read passes on the caller's thread: some hundred microseconds.
const MAX_STEPS_HERE: usize = 1000;

impl EmbeddedCatalog {
    /// Runs `read`: on the caller's thread as long as it needs no disk, else on a blocking thread.
    /// See [`in_memory`](super::in_memory).
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&SharedIndex) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        match self.shared.in_memory.is_all() {
            true => read(&self.shared),
            false => self.read_blocking(read).await,
        }
    }

    /// The newest upload with that name that is alive and not one of `skip`, and its deadline. The
    /// uploads of a name of which many are over are read on a blocking thread.
    pub(super) async fn find_newest(
        &self,
        name: &FileName,
        now: Timestamp,
        skip: &[UploadId],
    ) -> Result<Option<Newest>, CatalogError> {
        let walk = |steps| {
            let (name, skip) = (name.clone(), skip.to_vec());
            move |shared: &SharedIndex| shared.newest(&name, now, &skip, steps)
        };
        match self.read(walk(MAX_STEPS_HERE)).await? {
            Some(found) => Ok(found),
            None => Ok(self.read_blocking(walk(usize::MAX)).await?.flatten()),
        }
    }

    /// Runs `read`, which may take long, on a blocking thread.
    pub(super) async fn read_blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&SharedIndex) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let shared = Arc::clone(&self.shared);
        let answer = tokio::task::spawn_blocking(move || read(&shared)).await;
        answer.map_err(|error| CatalogError::Failed(error.into()))?
    }
}

impl SharedIndex {
    /// Runs `read` on what is recorded now: a snapshot, and the changes it does not have.
    pub fn view<T>(
        &self,
        read: impl FnOnce(&Snapshot, Vec<(UploadId, RecordChange)>) -> Result<T, redb::Error>,
    ) -> Result<T, CatalogError> {
        let (snapshot, pending) = {
            let state = self.state()?;
            let snapshot = Snapshot::of(&self.database).map_err(failed)?;
            (snapshot, state.pending.all())
        };
        read(&snapshot, pending).map_err(failed)
    }

    /// The record of an upload.
    pub fn find(&self, id: &UploadId) -> Result<Option<Record>, CatalogError> {
        let snapshot = {
            let state = self.state()?;
            if let Some(change) = state.pending.get(id) {
                return Ok(change.as_deref().cloned());
            }
            Snapshot::of(&self.database).map_err(failed)?
        };
        snapshot.find(id).map_err(failed)
    }

    /// The newest upload with that name that is alive and not one of `skip`, and its deadline. The
    /// outer `None` says that the read has passed `steps` uploads of the name, and more are left.
    fn newest(
        &self,
        name: &FileName,
        now: Timestamp,
        skip: &[UploadId],
        steps: usize,
    ) -> Result<Option<Option<Newest>>, CatalogError> {
        self.view(|snapshot, pending| {
            let mut hidden = pending::ids(&pending);
            hidden.extend(skip);
            let recent = pending
                .iter()
                .filter_map(|(id, change)| change.as_ref().map(|record| (record, id)))
                .filter(|(record, _)| record.is_alive(now) && record.found_by().contains(name))
                .filter(|(_, id)| !skip.contains(id))
                .map(|(record, id)| (record.order(), *id, record.expires_at))
                .max();
            let stored = snapshot.newest(name, now, &hidden, steps)?;
            Ok(stored.map(|stored| recent.max(stored).map(|(_, id, end)| (id, end))))
        })
    }

    /// The highest order of these names.
    pub fn latest(&self, names: &[&FileName]) -> Result<Option<Timestamp>, CatalogError> {
        self.view(|snapshot, pending| {
            let records = pending.iter().filter_map(|(_, change)| change.as_ref());
            let of_one = |record: &&Arc<Record>| {
                let found_by = record.found_by();
                names.iter().any(|name| found_by.contains(name))
            };
            let mut latest = records.filter(of_one).map(|record| record.order()).max();
            for name in names {
                latest = latest.max(snapshot.latest(name)?);
            }
            Ok(latest)
        })
    }

    /// See [`Index::list`](crate::catalog::Index::list). Blocks.
    pub fn list(
        &self,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
        filter: &ListFilter,
    ) -> Result<Stretch, CatalogError> {
        self.view(|snapshot, pending| {
            let hidden = pending::ids(&pending);
            let mut stretch = match &filter.id {
                Some(beginning) => {
                    snapshot.list_beginning(beginning, after, limit, now, filter, &hidden)?
                }
                None => {
                    let steps = if filter.names.is_empty() {
                        MAX_STEPS
                    } else {
                        MAX_READS
                    };
                    snapshot.list(after, limit, steps, now, filter, &hidden)?
                }
            };
            let end = stretch.next;
            let place = |entry: &IndexEntry| Cursor {
                created_at: entry.created_at,
                id: entry.id,
            };
            let within = |entry: &IndexEntry| {
                let place = place(entry);
                after.is_none_or(|after| place < after) && end.is_none_or(|end| place >= end)
            };
            let recent = pending.into_iter().filter_map(|(id, change)| {
                let record =
                    change.filter(|record| record.is_alive(now) && record.is_in(filter, &id))?;
                Some(record.entry(id)).filter(within)
            });
            stretch.entries.extend(recent);
            stretch.entries.sort_by_key(|entry| Reverse(place(entry)));
            if stretch.entries.len() > limit {
                stretch.entries.truncate(limit);
                stretch.next = stretch.entries.last().map(place);
            }
            Ok(stretch)
        })
    }

    /// Up to `limit` uploads that are due at `now`, the longest overdue first.
    pub fn due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Timestamp, UploadId)>, CatalogError> {
        self.view(|snapshot, pending| {
            let hidden = pending::ids(&pending);
            let mut due = snapshot.due(now, limit, &hidden)?;
            due.extend(pending::due(&pending).filter(|(at, _)| *at <= now));
            due.sort();
            due.truncate(limit);
            Ok(due)
        })
    }
}
