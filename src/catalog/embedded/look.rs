//! Looks at the index as it stands: a snapshot of the database, and the changes it does not have.

use std::cmp::Reverse;

use super::pending::{self, Change};
use super::tables::Snapshot;
use super::{Shared, failed};
use crate::catalog::{CatalogError, Cursor, Entry, Stretch};
use crate::model::{Timestamp, UploadId};

/// How many uploads one look for a listing looks at: some milliseconds.
pub const LOOKS: usize = 1000;

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

    /// See [`Catalog::list`](crate::catalog::Catalog::list). Blocks.
    pub fn list(
        &self,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Stretch, CatalogError> {
        self.view(|snapshot, pending| {
            let hidden = pending::ids(&pending);
            let mut stretch = snapshot.list(after, limit, LOOKS, now, &hidden)?;
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
}
