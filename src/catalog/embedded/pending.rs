//! Changes that are not yet in the database.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::catalog::record::Record;
use crate::model::{Timestamp, UploadId};

/// The next record of an upload; `None` removes it.
pub type RecordChange = Option<Arc<Record>>;

/// The last change of each upload, and which of them the writer has not taken yet.
#[derive(Debug, Default)]
pub struct Pending {
    changes: HashMap<UploadId, RecordChange>,
    untaken: HashSet<UploadId>,
}

impl Pending {
    pub fn get(&self, id: &UploadId) -> Option<&RecordChange> {
        self.changes.get(id)
    }

    pub fn insert(&mut self, id: UploadId, change: RecordChange) {
        self.changes.insert(id, change);
        self.untaken.insert(id);
    }

    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// All changes that are not in the database.
    pub fn all(&self) -> Vec<(UploadId, RecordChange)> {
        self.changes
            .iter()
            .map(|(id, change)| (*id, change.clone()))
            .collect()
    }

    /// Takes the changes that the writer has not taken yet. They stay here until they are
    /// [`settled`](Self::settle).
    pub fn take(&mut self) -> Vec<(UploadId, RecordChange)> {
        let taken = self.untaken.drain();
        taken
            .filter_map(|id| self.changes.get(&id).map(|change| (id, change.clone())))
            .collect()
    }

    /// Removes changes that were written, unless the upload was changed again since.
    pub fn settle(&mut self, written: &[(UploadId, RecordChange)]) {
        for (id, _) in written {
            if !self.untaken.contains(id) {
                self.changes.remove(id);
            }
        }
    }
}

/// The uploads whose records in the database are out of date.
pub fn ids(pending: &[(UploadId, RecordChange)]) -> HashSet<UploadId> {
    pending.iter().map(|(id, _)| *id).collect()
}

/// When the pending uploads are due.
pub fn due(pending: &[(UploadId, RecordChange)]) -> impl Iterator<Item = (Timestamp, UploadId)> {
    pending
        .iter()
        .filter_map(|(id, change)| Some((change.as_ref()?.due?, *id)))
}
