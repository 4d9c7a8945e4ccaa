//! Looks at the index as it stands: a snapshot of the database, and the changes it does not have.

use std::cmp::Reverse;
use std::sync::Arc;

use super::newest::Newest;
use super::pending::{self, Change};
use super::tables::Snapshot;
use super::{EmbeddedCatalog, Shared, failed};
use crate::catalog::record::Record;
use crate::catalog::{CatalogError, Cursor, Entry, Stretch};
use crate::model::{FileName, Timestamp, UploadId};

/// How many uploads one look for a listing walks over, most of which may be over: some
/// milliseconds.
pub const STEPS: usize = 10_000;
/// How many uploads of one name a look walks over on the caller's thread: some hundred
/// microseconds.
const STEPS_HERE: usize = 1000;

impl EmbeddedCatalog {
    /// Takes a look: on the caller's thread while that reads nothing from the disk, else on one
    /// that may wait. See [`in_memory`](super::in_memory).
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Shared) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        match self.shared.in_memory.is_all() {
            true => look(&self.shared),
            false => self.look_aside(look).await,
        }
    }

    /// The newest upload with that name that is alive and not one of `skip`, and its deadline. A
    /// name with many uploads that are over is walked through beside the caller's thread.
    pub(super) async fn find_newest(
        &self,
        name: &FileName,
        now: Timestamp,
        skip: &[UploadId],
    ) -> Result<Option<Newest>, CatalogError> {
        let walk = |steps| {
            let (name, skip) = (name.clone(), skip.to_vec());
            move |shared: &Shared| shared.newest(&name, now, &skip, steps)
        };
        match self.look(walk(STEPS_HERE)).await? {
            Some(found) => Ok(found),
            None => Ok(self.look_aside(walk(usize::MAX)).await?.flatten()),
        }
    }

    /// Takes a look that may take long, on a thread that may wait.
    pub(super) async fn look_aside<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Shared) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let shared = Arc::clone(&self.shared);
        let looked = tokio::task::spawn_blocking(move || look(&shared)).await;
        looked.map_err(|error| CatalogError::Failed(error.into()))?
    }
}

impl Shared {
    /// What is recorded, as it stands now: a snapshot, and the changes it does not have.
    pub fn view<T>(
        &self,
        look: impl FnOnce(&Snapshot, Vec<(UploadId, Change)>) -> Result<T, redb::Error>,
    ) -> Result<T, CatalogError> {
        let (snapshot, pending) = {
            let state = self.state()?;
            let snapshot = Snapshot::of(&self.database).map_err(failed)?;
            (snapshot, state.pending.all())
        };
        look(&snapshot, pending).map_err(failed)
    }

    /// What is recorded of an upload.
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
    /// outer `None` says that `steps` uploads of the name were walked over, and more are left.
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
                .filter(|(record, _)| record.is_alive(now) && record.names.contains(name))
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
            let of_one =
                |record: &&Arc<Record>| names.iter().any(|name| record.names.contains(name));
            let mut latest = records.filter(of_one).map(|record| record.order()).max();
            for name in names {
                latest = latest.max(snapshot.latest(name)?);
            }
            Ok(latest)
        })
    }

    /// See [`Catalog::list`](crate::catalog::Catalog::list). Blocks.
    pub fn list(
        &self,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Stretch, CatalogError> {
        self.view(|snapshot, pending| {
            let hidden = pending::ids(&pending);
            let mut stretch = snapshot.list(after, limit, STEPS, now, &hidden)?;
            let end = stretch.next;
            let place = |entry: &Entry| Cursor {
                created_at: entry.created_at,
                id: entry.id,
            };
            let within = |entry: &Entry| {
                let place = place(entry);
                after.is_none_or(|after| place < after) && end.is_none_or(|end| place >= end)
            };
            let recent = pending.into_iter().filter_map(|(id, change)| {
                let record = change.filter(|record| record.is_alive(now))?;
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

    /// Up to `limit` uploads to be looked at by `now`, the longest overdue first.
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
