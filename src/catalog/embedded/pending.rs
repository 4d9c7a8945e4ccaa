//! Changes that are not yet in the database.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::catalog::record::Record;
use crate::model::{Timestamp, UploadId};

/// What an upload's record becomes; `None` removes it.
pub type Change = Option<Arc<Record>>;

/// The last change of each upload, and which of them the writer has not taken yet.
#[derive(Debug, Default)]
pub struct Pending {
    changes: HashMap<UploadId, Change>,
    untaken: HashSet<UploadId>,
}

impl Pending {
    pub fn get(&self, id: &UploadId) -> Option<&Change> {
        self.changes.get(id)
    }

    pub fn insert(&mut self, id: UploadId, change: Change) {
        self.changes.insert(id, change);
        self.untaken.insert(id);
    }

    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// All of them.
    pub fn all(&self) -> Vec<(UploadId, Change)> {
        self.changes
            .iter()
            .map(|(id, change)| (*id, change.clone()))
            .collect()
    }

    /// Those the writer is to write now. They stay until they are [`settled`](Self::settle).
    pub fn take(&mut self) -> Vec<(UploadId, Change)> {
        let taken = self.untaken.drain();
        taken
            .filter_map(|id| self.changes.get(&id).map(|change| (id, change.clone())))
            .collect()
    }

    /// Lets go of what was written, unless it was changed again since.
    pub fn settle(&mut self, written: &[(UploadId, Change)]) {
        for (id, _) in written {
            if !self.untaken.contains(id) {
                self.changes.remove(id);
            }
        }
    }
}

/// The uploads whose records in the database are out of date.
pub fn ids(pending: &[(UploadId, Change)]) -> HashSet<UploadId> {
    pending.iter().map(|(id, _)| *id).collect()
}

/// When uploads are to be looked at, as far as they are pending.
pub fn due(pending: &[(UploadId, Change)]) -> impl Iterator<Item = (Timestamp, UploadId)> {
    pending
        .iter()
        .filter_map(|(id, change)| Some((change.as_ref()?.due?, *id)))
}
