//! Uploads that a power cut may have damaged: each is compared with its digests before it is given
//! out, by the first who asks for it, or by a look at all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::Repository;
use crate::model::{Doubt, FileName, Manifest, Prefix, StoredFile, Timestamp, UploadId};
use crate::store::{Store, StoreError};

/// The look at all of them pauses after each upload for this many times what it took, so that it
/// takes a fifth of the disk's time at most.
const PAUSES: u32 = 4;
/// The longest of these pauses.
const PAUSE: Duration = Duration::from_secs(10);
/// The pause before what could not be read is tried again.
const AGAIN: Duration = Duration::from_secs(60);
/// Shorter blocks are hashed where they are: a trip to another thread costs more.
const BESIDE: usize = 64 * 1024;

/// What is in doubt.
#[derive(Debug, Default)]
pub struct Doubts {
    /// Whether anything is: the one look of those who give something out.
    any: AtomicBool,
    /// Guards the rest. A std mutex: held for a look.
    state: Mutex<State>,
    /// Held by who writes what is in doubt to the store, so that the last to write it writes the
    /// last of it. A tokio mutex: others wait for it.
    keeping: Turn,
}

#[derive(Debug, Default)]
struct State {
    /// When the uploads came that are to be compared.
    since: Option<Timestamp>,
    until: Timestamp,
    /// Those that were found damaged before, and may have been replaced by whole ones since.
    suspects: BTreeSet<UploadId>,
    whole: HashSet<UploadId>,
    /// The files of an upload that are not as they were stored.
    damaged: BTreeMap<UploadId, Vec<FileName>>,
    /// Those that are being compared: who asks for one of them waits.
    checking: HashMap<UploadId, Arc<Turn>>,
}

/// Held by who compares an upload. A tokio mutex: others wait for it.
type Turn = tokio::sync::Mutex<()>;

/// What is wanted of an upload.
#[derive(Debug, Clone)]
pub enum Wanted<'a> {
    /// A file.
    File(&'a FileName),
    /// The parts at these places of its manifest.
    Parts(Range<usize>),
}

impl State {
    /// Whether an upload still has to be compared.
    fn is_open(&self, manifest: &Manifest) -> bool {
        let (id, at) = (&manifest.id, manifest.created_at);
        let recent = self.since.is_some_and(|since| since <= at) && at <= self.until;
        let known = self.whole.contains(id) || self.damaged.contains_key(id);
        (recent || self.suspects.contains(id)) && !known
    }

    fn doubt(&self) -> Doubt {
        Doubt {
            since: self.since,
            damaged: self.damaged.keys().chain(&self.suspects).copied().collect(),
        }
    }
}

impl Doubts {
    /// The turn at an upload that still has to be compared; `None` where it need not be.
    fn turn(&self, manifest: &Manifest) -> Option<Arc<Turn>> {
        let mut state = self.lock();
        state.is_open(manifest).then(|| {
            let turn = state.checking.entry(manifest.id).or_default();
            Arc::clone(turn)
        })
    }

    /// Takes note of what a comparison came to: the files that are damaged.
    fn compared(&self, id: &UploadId, damaged: Vec<FileName>) {
        let mut state = self.lock();
        state.checking.remove(id);
        match damaged.is_empty() {
            true => drop(state.whole.insert(*id)),
            false => drop(state.damaged.insert(*id, damaged)),
        }
    }

    /// The file that is damaged of what is wanted.
    fn damaged(&self, manifest: &Manifest, wanted: Wanted<'_>) -> Option<FileName> {
        let state = self.lock();
        let damaged = state.damaged.get(&manifest.id)?;
        let found = match wanted {
            Wanted::File(name) => damaged.iter().find(|it| *it == name),
            Wanted::Parts(parts) => {
                let mut files = manifest.files_among(parts);
                files
                    .find(|file| damaged.contains(&file.name))
                    .map(|file| &file.name)
            }
        };
        found.cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between a lock and its release can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Repository {
    /// Takes these for in doubt, as far as they came before now.
    pub fn doubt(&self, doubt: Doubt) {
        let doubts = &self.0.doubts;
        let mut state = doubts.lock();
        state.since = doubt.since;
        state.until = self.0.clock.now();
        state.suspects = doubt.damaged;
        doubts.any.store(
            state.since.is_some() || !state.suspects.is_empty(),
            Ordering::Release,
        );
    }

    /// Whether anything is in doubt.
    pub fn has_doubts(&self) -> bool {
        self.0.doubts.any.load(Ordering::Acquire)
    }

    /// Returns when what is wanted of an upload is known to be whole: at once, unless the upload is
    /// in doubt; then its files are read and compared with their digests, which may take as long as
    /// a download.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not whole, or the store fails.
    pub async fn trust(&self, id: &UploadId, wanted: Wanted<'_>) -> Result<(), StoreError> {
        if !self.has_doubts() {
            return Ok(());
        }
        let Some(manifest) = self.get_any_version(id).await? else {
            return Ok(());
        };
        self.compare_once(&manifest).await?;
        match self.0.doubts.damaged(&manifest, wanted) {
            None => Ok(()),
            Some(name) => Err(StoreError::Damaged(format!(
                "{name} of {id} was damaged when the last server ended"
            ))),
        }
    }

    /// Compares an upload, unless it was compared before.
    ///
    /// # Errors
    /// The store fails, and nothing is known: the next who asks looks again.
    async fn compare_once(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let (doubts, id) = (&self.0.doubts, &manifest.id);
        let Some(turn) = doubts.turn(manifest) else {
            return Ok(());
        };
        let _turn = turn.lock().await;
        // Who had the turn before has found out.
        if doubts.turn(manifest).is_none() {
            return Ok(());
        }
        let mut damaged = Vec::new();
        for (_, file) in manifest.files() {
            match compare_file(&**self.store(), id, file).await {
                Ok(_) => {}
                // One that cannot be read is no better than one that is not as it was stored.
                Err(error @ (StoreError::Damaged(_) | StoreError::Io { .. })) => {
                    if matches!(self.store().manifest(id).await, Ok(None)) {
                        // It was removed meanwhile.
                        doubts.lock().checking.remove(id);
                        return Ok(());
                    }
                    tracing::error!(%id, %error, "upload is damaged; its damaged files are not served");
                    damaged.push(file.name.clone());
                }
                Err(error) => return Err(error),
            }
        }
        let any = !damaged.is_empty();
        doubts.compared(id, damaged);
        if any {
            self.keep_doubt().await;
        }
        Ok(())
    }

    async fn keep_doubt(&self) {
        let Some(store) = self.store().local() else {
            return;
        };
        let _keeping = self.0.doubts.keeping.lock().await;
        let doubt = self.0.doubts.lock().doubt();
        if let Err(error) = store.keep_doubt(&doubt).await {
            tracing::warn!(%error, "cannot keep in the store which uploads are damaged; the next start looks again");
        }
    }

    /// Compares all that is in doubt, until `stop`, which it waits for then.
    pub async fn settle_doubts(&self, stop: CancellationToken) {
        let settle = async {
            while self.has_doubts() && !self.compare_all().await {
                tokio::time::sleep(AGAIN).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = settle => {}
        }
        stop.cancelled().await;
    }

    /// Compares all that is in doubt. Answers whether nothing is left of it.
    async fn compare_all(&self) -> bool {
        let (mut uploads, mut settled) = (0_u64, true);
        for prefix in Prefix::all() {
            let found = match self.store().scan(prefix).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%error, "cannot compare what came before the last stop; trying again");
                    return false;
                }
            };
            for found in found {
                // One that cannot be read is the comparison's to report.
                let Ok(Some(manifest)) = self.store().manifest(&found.id).await else {
                    continue;
                };
                if !self.0.doubts.lock().is_open(&manifest) {
                    continue;
                }
                let start = Instant::now();
                settled &= self.compare_once(&manifest).await.is_ok();
                uploads += 1;
                tokio::time::sleep((start.elapsed() * PAUSES).min(PAUSE)).await;
            }
        }
        if settled {
            let damaged = {
                let mut state = self.0.doubts.lock();
                state.since = None;
                state.suspects.clear();
                state.whole.clear();
                state.damaged.len()
            };
            self.keep_doubt().await;
            let any = damaged > 0;
            self.0.doubts.any.store(any, Ordering::Release);
            tracing::info!(
                uploads,
                damaged,
                "compared with their digests what came shortly before the last stop"
            );
        }
        settled
    }
}

/// Reads a file and compares it with its size and its digest, where it has one. Answers its bytes.
///
/// # Errors
/// [`StoreError::Damaged`] when it is not as it was stored, or the store fails.
pub async fn compare_file(
    store: &dyn Store,
    id: &UploadId,
    file: &StoredFile,
) -> Result<u64, StoreError> {
    let size = file.size;
    let mut blob = store.open(id, &file.name, size, 0..size).await?;
    let mut hasher = Sha256::new();
    while let Some(block) = blob.next().await? {
        if block.len() < BESIDE {
            hasher.update(&block);
            continue;
        }
        let hashing = tokio::task::spawn_blocking(move || {
            hasher.update(&block);
            hasher
        });
        hasher = hashing.await.map_err(StoreError::ended)?;
    }
    let found: [u8; 32] = hasher.finalize().into();
    match file.sha256 {
        Some(expected) if *expected.as_bytes() != found => Err(StoreError::Damaged(format!(
            "{} has another sha-256 than it was stored with",
            file.name
        ))),
        _ => Ok(size),
    }
}
