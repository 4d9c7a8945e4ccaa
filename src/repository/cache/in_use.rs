//! The heavy manifests that requests under way hold.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::model::{Manifest, UploadId};
use crate::store::Version;

/// A manifest of fewer bytes is read again.
const HEAVY: usize = 64 << 10;

/// Heavy manifests as long as a request holds them: all readers of a large upload share one manifest,
/// which is read once for them.
#[derive(Debug, Default)]
pub struct InUse(
    /// A std mutex: held for a look or a change.
    Mutex<State>,
);

#[derive(Debug, Default)]
struct State {
    /// Few: each takes much memory.
    manifests: Vec<(Option<Version>, UploadId, Weak<Manifest>)>,
    /// How many uploads were removed from here, or could have been.
    removals: u64,
}

impl InUse {
    /// The manifest that was put under this version.
    pub fn get(&self, id: &UploadId, version: Option<&Version>) -> Option<Arc<Manifest>> {
        let state = self.state();
        let same = |(known, of, _): &&(Option<Version>, UploadId, _)| {
            of == id && known.as_ref() == version
        };
        state.manifests.iter().find(same)?.2.upgrade()
    }

    /// The manifest in any version.
    pub fn get_any(&self, id: &UploadId) -> Option<Arc<Manifest>> {
        let state = self.state();
        let known = state.manifests.iter().find(|(_, of, _)| of == id);
        known?.2.upgrade()
    }

    /// A number to be taken before a manifest is read.
    pub fn removals(&self) -> u64 {
        self.state().removals
    }

    /// Keeps a heavy manifest, unless one was removed since `seen` was taken: it may be this one.
    pub fn put(&self, seen: u64, version: Option<Version>, manifest: &Arc<Manifest>) {
        if manifest.weight() < HEAVY {
            return;
        }
        let mut state = self.state();
        if state.removals == seen {
            let id = manifest.id;
            state
                .manifests
                .retain(|(_, of, known)| *of != id && known.strong_count() > 0);
            let known = Arc::downgrade(manifest);
            state.manifests.push((version, id, known));
        }
    }

    /// Removes an upload that was changed.
    pub fn remove(&self, id: &UploadId) {
        let mut state = self.state();
        state.removals += 1;
        state.manifests.retain(|(_, of, _)| of != id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Part, StoredFile};

    fn heavy() -> Arc<Manifest> {
        let files = (0..1000).map(|i| Part::sample(StoredFile::sample(&i.to_string(), 1)));
        Arc::new(Manifest::sample(files.collect()))
    }

    #[test]
    fn a_heavy_manifest_is_there_as_long_as_it_is_held() {
        let in_use = InUse::default();
        let manifest = heavy();
        let id = manifest.id;
        in_use.put(in_use.removals(), None, &manifest);
        let again = in_use.get(&id, None).unwrap();
        assert!(Arc::ptr_eq(&manifest, &again));
        drop((manifest, again));
        assert_eq!(in_use.get_any(&id), None);
        let light = Arc::new(Manifest::sample(Vec::new()));
        in_use.put(in_use.removals(), None, &light);
        assert_eq!(in_use.get_any(&light.id), None);
    }

    #[test]
    fn what_was_changed_meanwhile_is_not_kept() {
        let in_use = InUse::default();
        let manifest = heavy();
        let seen = in_use.removals();
        in_use.remove(&manifest.id);
        in_use.put(seen, None, &manifest);
        assert_eq!(in_use.get_any(&manifest.id), None);
        in_use.put(in_use.removals(), None, &manifest);
        assert!(in_use.get_any(&manifest.id).is_some());
        in_use.remove(&manifest.id);
        assert_eq!(in_use.get_any(&manifest.id), None);
    }
}
