//! Which uploads a power cut may have damaged, and what is known of them since.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{Doubt, FileName, Manifest, Timestamp, UploadId};

/// The uploads that may be damaged.
#[derive(Debug, Default)]
pub struct DoubtedUploads {
    /// Whether there are any, so that downloads need no lock.
    pub any: AtomicBool,
    /// Guards the rest. A std mutex: held for a read or an insertion.
    state: Mutex<DoubtState>,
    /// Held by the task that writes the doubt to the store, so that the last write has the last state.
    /// A tokio mutex: other tasks wait for it.
    pub keeping: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
pub struct DoubtState {
    /// Uploads that came between these two times are in doubt.
    pub since: Option<Timestamp>,
    pub until: Timestamp,
    /// Uploads that were found damaged before this start; an operator may have repaired them since.
    pub suspects: BTreeSet<UploadId>,
    pub whole: HashSet<UploadId>,
    /// The files of an upload that are not as they were stored.
    pub damaged: BTreeMap<UploadId, Vec<FileName>>,
    /// The locks of uploads that are being compared.
    pub comparing: HashMap<UploadId, Arc<CompareLock>>,
}

/// Held by the task that compares an upload. A tokio mutex: other tasks wait for it.
type CompareLock = tokio::sync::Mutex<()>;

/// The parts of an upload that a caller wants.
#[derive(Debug, Clone)]
pub enum WantedParts<'a> {
    /// A file.
    File(&'a FileName),
    /// The parts at these places of its manifest.
    Parts(Range<usize>),
}

impl DoubtState {
    /// Whether an upload still has to be compared.
    pub fn is_open(&self, manifest: &Manifest) -> bool {
        let (id, at) = (&manifest.id, manifest.created_at);
        let recent = self.since.is_some_and(|since| since <= at) && at <= self.until;
        let known = self.whole.contains(id) || self.damaged.contains_key(id);
        (recent || self.suspects.contains(id)) && !known
    }

    pub fn doubt(&self) -> Doubt {
        Doubt {
            since: self.since,
            damaged: self.damaged.keys().chain(&self.suspects).copied().collect(),
        }
    }
}

impl DoubtedUploads {
    /// The lock of an upload that still has to be compared; `None` where it need not be.
    pub fn lock_of(&self, manifest: &Manifest) -> Option<Arc<CompareLock>> {
        let mut state = self.lock();
        state.is_open(manifest).then(|| {
            let lock = state.comparing.entry(manifest.id).or_default();
            Arc::clone(lock)
        })
    }

    /// Notes the result of a comparison: the files that are damaged.
    pub fn note_result(&self, id: &UploadId, damaged: Vec<FileName>) {
        let mut state = self.lock();
        state.comparing.remove(id);
        match damaged.is_empty() {
            true => drop(state.whole.insert(*id)),
            false => drop(state.damaged.insert(*id, damaged)),
        }
    }

    /// The first damaged file among the wanted parts.
    pub fn damaged(&self, manifest: &Manifest, wanted: WantedParts<'_>) -> Option<FileName> {
        let state = self.lock();
        let damaged = state.damaged.get(&manifest.id)?;
        let found = match wanted {
            WantedParts::File(name) => damaged.iter().find(|it| *it == name),
            WantedParts::Parts(parts) => {
                let mut files = manifest.files_among(parts);
                files
                    .find(|file| damaged.contains(&file.name))
                    .map(|file| &file.name)
            }
        };
        found.cloned()
    }

    pub fn lock(&self) -> MutexGuard<'_, DoubtState> {
        // Nothing between a lock and its release can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
