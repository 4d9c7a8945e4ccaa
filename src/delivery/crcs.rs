//! The CRC-32 of files that were stored without one: read once, when the first ZIP file of them is
//! asked for, by one task for all uploads.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::DeliveryError;
use super::archive::{ChosenFiles, FoundCrcs, lacks_crcs};
use super::cursor::{damage, recall};
use crate::hashing::TaskHasher;
use crate::model::{Part, StoredFile, UploadId};
use crate::repository::Repository;
use crate::store::StoreError;

/// How long a download waits for a reading before it is told to come again.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// How many uploads wait for their turn. Their records are not in memory.
const QUEUE: usize = 64;
/// For how long a client that was told to come again has its place in the queue.
const COMES_AGAIN: Duration = Duration::from_secs(60);
/// How many CRCs are kept of uploads whose manifests cannot be written: 8 bytes each.
const MAX_KEPT: usize = 256 << 10;

/// The uploads whose files are to be read, and what was found where the store could not take it.
#[derive(Debug, Clone, Default)]
pub struct Crcs(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// A std mutex: held for a look or an insertion.
    state: Mutex<State>,
    /// Wakes the task that reads.
    more: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The first of them is read.
    queue: VecDeque<Wanted>,
    /// The newest last.
    kept: VecDeque<(UploadId, FoundCrcs)>,
    /// Nothing is read any more.
    ended: bool,
}

/// An upload that is read, or will be.
#[derive(Debug)]
struct Wanted {
    id: UploadId,
    /// Dropped at the end of the reading.
    outcome: watch::Sender<Outcome>,
    /// When it was last asked for.
    asked: Instant,
}

/// Why a reading has failed; `None` while it goes on, and when it found all.
type Outcome = Option<Arc<StoreError>>;

impl Crcs {
    /// The CRCs that the manifest of an upload lacks of the chosen files; `None` where it has them
    /// all. The first caller has the files read, all wait for it, and the reading goes on when
    /// they have gone.
    ///
    /// # Errors
    /// [`DeliveryError::Preparing`] when it takes long; a chosen file is damaged, the upload is not
    /// there any more, or the store fails.
    pub async fn of(
        &self,
        uploads: &Repository,
        id: &UploadId,
        chosen: &ChosenFiles,
    ) -> Result<Option<FoundCrcs>, DeliveryError> {
        if !lacks_crcs(&*recall(uploads, id).await?, chosen) {
            return Ok(None);
        }
        if let Some(kept) = self.0.kept(id) {
            return Ok(Some(kept));
        }
        let Some(mut outcome) = self.0.want(id) else {
            return Err(DeliveryError::Preparing(*id));
        };
        // An error is said, and at the end the sender is dropped.
        if timeout(READ_TIMEOUT, outcome.changed()).await.is_err() {
            return Err(DeliveryError::Preparing(*id));
        }
        if let Some(kept) = self.0.kept(id) {
            return Ok(Some(kept));
        }
        if !lacks_crcs(&*recall(uploads, id).await?, chosen) {
            return Ok(None);
        }
        let failed = outcome.borrow().as_deref().map(StoreError::again);
        match failed {
            Some(error) => Err(damage(uploads, id, error).await?),
            None => Err(DeliveryError::Preparing(*id)),
        }
    }

    /// Reads the files of one upload after the other, until `stop`.
    pub async fn run(&self, uploads: &Repository, stop: CancellationToken) {
        let read = async {
            loop {
                match self.0.first() {
                    Some(id) => {
                        let failed = self.read(uploads, &id).await.err();
                        self.0.end(failed);
                    }
                    None => self.0.more.notified().await,
                }
            }
        };
        stop.run_until_cancelled(read).await;
        // A caller that waits may ask again: another instance, or the next server.
        let mut state = self.0.state();
        state.ended = true;
        state.queue.clear();
    }

    /// Reads the files of an upload, and writes what was found into its manifest. A file that is
    /// damaged keeps no other from being found.
    async fn read(&self, uploads: &Repository, id: &UploadId) -> Result<(), StoreError> {
        // Another instance may have done it meanwhile, or it is removed.
        let Some(manifest) = uploads.get(id).await? else {
            return Ok(());
        };
        let (mut found, mut failed) = (vec![None; manifest.parts.len()], None);
        for (place, file) in ChosenFiles::All.files(&manifest) {
            if file.crc32.is_some() {
                continue;
            }
            match read_crc(uploads, id, file).await {
                Ok(crc) => found[place] = Some(crc),
                Err(error @ (StoreError::Damaged(_) | StoreError::Io { .. })) => {
                    failed = failed.or(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
        drop(manifest);
        if found.iter().any(Option::is_some) {
            self.write(uploads, id, found.into()).await;
        }
        failed.map_or(Ok(()), Err)
    }

    /// Writes CRCs into the manifest of their upload, or keeps them where it cannot be written.
    async fn write(&self, uploads: &Repository, id: &UploadId, found: FoundCrcs) {
        let written = Arc::clone(&found);
        let update = uploads.update(id, move |manifest| {
            for (part, crc) in manifest.parts.iter_mut().zip(&*written) {
                if let Part::File { file, .. } = part {
                    file.crc32 = file.crc32.or(*crc);
                }
            }
            manifest.unseen += 1;
            true
        });
        if let Err(error) = update.await {
            tracing::warn!(upload_id = %id, %error, "the CRCs of an upload are kept in memory: its manifest cannot be written");
            self.0.keep(*id, found);
        }
    }
}

/// The CRC of a file. One that has a digest is compared with it: a damaged one gets no CRC.
async fn read_crc(
    uploads: &Repository,
    id: &UploadId,
    file: &StoredFile,
) -> Result<u32, StoreError> {
    let store = uploads.store();
    let mut blob = store.open(id, &file.name, file.size, 0..file.size).await?;
    let mut crc = crc32fast::Hasher::new();
    let mut hasher = TaskHasher::new(file.sha256.is_some());
    while let Some(block) = blob.next().await? {
        crc.update(&block);
        hasher.update(&block).await.map_err(StoreError::ended)?;
    }
    let found = hasher.finish().await.map_err(StoreError::ended)?;
    match file.sha256 == found.map(|of| of.sha256) {
        true => Ok(crc.finalize()),
        false => Err(StoreError::Damaged(format!(
            "{} has another sha-256 than it was stored with",
            file.name
        ))),
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the queue half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an upload into the queue, unless it is there; its outcome. `None` where too many wait.
    fn want(&self, id: &UploadId) -> Option<watch::Receiver<Outcome>> {
        let mut state = self.state();
        if let Some(wanted) = state.queue.iter_mut().find(|wanted| wanted.id == *id) {
            wanted.asked = Instant::now();
            return Some(wanted.outcome.subscribe());
        }
        if state.ended || state.queue.len() >= QUEUE {
            return None;
        }
        let (outcome, ended) = watch::channel(None);
        state.queue.push_back(Wanted {
            id: *id,
            outcome,
            asked: Instant::now(),
        });
        self.more.notify_one();
        Some(ended)
    }

    /// The upload whose turn it is; those that no client waits for, or will come for, are passed
    /// over.
    fn first(&self) -> Option<UploadId> {
        let queue = &mut self.state().queue;
        let given_up = |wanted: &Wanted| {
            wanted.outcome.is_closed() && wanted.asked.elapsed() > READ_TIMEOUT + COMES_AGAIN
        };
        while queue.front().is_some_and(given_up) {
            queue.pop_front();
        }
        queue.front().map(|wanted| wanted.id)
    }

    /// Ends the reading of the first, which may have failed.
    fn end(&self, failed: Option<StoreError>) {
        let ended = self.state().queue.pop_front();
        if let (Some(wanted), Some(error)) = (ended, failed) {
            wanted.outcome.send_replace(Some(Arc::new(error)));
        }
    }

    fn kept(&self, id: &UploadId) -> Option<FoundCrcs> {
        let state = self.state();
        let found = state.kept.iter().find(|(kept, _)| kept == id);
        found.map(|(_, crcs)| Arc::clone(crcs))
    }

    fn keep(&self, id: UploadId, crcs: FoundCrcs) {
        let kept = &mut self.state().kept;
        kept.push_back((id, crcs));
        while kept.len() > 1 && kept.iter().map(|(_, crcs)| crcs.len()).sum::<usize>() > MAX_KEPT {
            kept.pop_front();
        }
    }
}
