//! The CRC-32 of files that were stored without one: read once, when the first ZIP file of them is
//! asked for.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::DeliveryError;
use super::cursor::recall;
use crate::model::{Manifest, Part, UploadId};
use crate::repository::Repository;
use crate::store::StoreError;

/// How long a download waits for a reading before it is told to come again.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many CRCs are kept of uploads whose manifests cannot be written: 4 bytes each.
const KEPT: usize = 256 << 10;

/// The readings that are under way, and what they found where the store could not take it.
#[derive(Debug, Clone)]
pub struct Crcs(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// One upload is read at a time.
    turn: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: HashMap<UploadId, watch::Receiver<Outcome>>,
    /// The newest last.
    kept: VecDeque<(UploadId, Arc<[u32]>)>,
}

/// Why a reading has failed; `None` while it goes on, and when it found all.
type Outcome = Option<Arc<str>>;

impl Default for Crcs {
    fn default() -> Self {
        Crcs(Arc::new(Shared {
            turn: Semaphore::new(1),
            state: Mutex::default(),
        }))
    }
}

/// Whether a file of the upload has no CRC in its manifest.
pub fn lacks_crcs(manifest: &Manifest) -> bool {
    manifest.files().any(|(_, file)| file.crc32.is_none())
}

impl Crcs {
    /// The CRCs of the files of an upload by the places of its parts; `None` where its manifest has
    /// them all. The first who asks begins to read the files, all wait for it, and the reading goes
    /// on when they have gone.
    ///
    /// # Errors
    /// [`DeliveryError::Preparing`] when it takes long; a file is damaged, the upload is not there
    /// any more, or the store fails.
    pub async fn of(
        &self,
        uploads: &Repository,
        id: &UploadId,
    ) -> Result<Option<Arc<[u32]>>, DeliveryError> {
        let manifest = recall(uploads, id).await?;
        if !lacks_crcs(&manifest) {
            return Ok(None);
        }
        if let Some(kept) = self.0.kept(id) {
            return Ok(Some(kept));
        }
        let mut ended = self.begin(uploads, manifest);
        // The sender is dropped at the end of the reading.
        if timeout(PATIENCE, ended.changed()).await.is_err() {
            return Err(DeliveryError::Preparing(*id));
        }
        if let Some(why) = ended.borrow().as_deref() {
            return Err(StoreError::Damaged(why.to_owned()).into());
        }
        if let Some(kept) = self.0.kept(id) {
            return Ok(Some(kept));
        }
        match lacks_crcs(&*recall(uploads, id).await?) {
            false => Ok(None),
            true => Err(DeliveryError::Preparing(*id)),
        }
    }

    /// Begins to read an upload, unless that is under way; the receiver is closed at its end.
    fn begin(&self, uploads: &Repository, manifest: Arc<Manifest>) -> watch::Receiver<Outcome> {
        let id = manifest.id;
        let mut state = self.0.state();
        if let Some(running) = state.running.get(&id) {
            return running.clone();
        }
        let (running, ended) = watch::channel(None);
        state.running.insert(id, ended.clone());
        let reading = Reading {
            shared: Arc::clone(&self.0),
            uploads: uploads.clone(),
            manifest,
            running,
        };
        tokio::spawn(reading.run());
        ended
    }
}

/// A reading that is under way, until it is dropped.
struct Reading {
    shared: Arc<Shared>,
    uploads: Repository,
    manifest: Arc<Manifest>,
    running: watch::Sender<Outcome>,
}

impl Reading {
    async fn run(self) {
        let _turn = self.shared.turn.acquire().await;
        let id = self.manifest.id;
        let found = match self.read().await {
            Ok(found) => Arc::<[u32]>::from(found),
            Err(error) => {
                self.running.send_replace(Some(error.to_string().into()));
                return;
            }
        };
        let written = Arc::clone(&found);
        let update = self.uploads.update(&id, move |manifest| {
            for (part, crc) in manifest.parts.iter_mut().zip(&*written) {
                if let Part::File { file, .. } = part {
                    file.crc32 = Some(*crc);
                }
            }
            true
        });
        if let Err(error) = update.await {
            tracing::warn!(upload_id = %id, error = %error, "the CRCs of an upload are kept in memory: its record cannot be written");
            self.shared.keep(id, found);
        }
    }

    /// The CRC of each part; 0 of a text field.
    async fn read(&self) -> Result<Vec<u32>, StoreError> {
        let mut found = Vec::with_capacity(self.manifest.parts.len());
        for part in &self.manifest.parts {
            let Part::File { file, .. } = part else {
                found.push(0);
                continue;
            };
            let (id, size) = (&self.manifest.id, file.size);
            let mut crc = crc32fast::Hasher::new();
            if file.crc32.is_none() {
                let store = self.uploads.store();
                let mut blob = store.open(id, &file.name, size, 0..size).await?;
                while let Some(block) = blob.next().await? {
                    crc.update(&block);
                }
            }
            found.push(file.crc32.unwrap_or_else(|| crc.finalize()));
        }
        Ok(found)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.shared.state().running.remove(&self.manifest.id);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the maps half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self, id: &UploadId) -> Option<Arc<[u32]>> {
        let state = self.state();
        let found = state.kept.iter().find(|(kept, _)| kept == id);
        found.map(|(_, crcs)| Arc::clone(crcs))
    }

    fn keep(&self, id: UploadId, crcs: Arc<[u32]>) {
        let kept = &mut self.state().kept;
        kept.push_back((id, crcs));
        while kept.len() > 1 && kept.iter().map(|(_, crcs)| crcs.len()).sum::<usize>() > KEPT {
            kept.pop_front();
        }
    }
}
