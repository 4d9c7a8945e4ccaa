//! Uploads that a power cut may have damaged: each is compared with its digests before it is served,
//! at the first request for it, or by a task that compares all of them.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Repository;
use super::doubted::WantedParts;
use crate::hashing::TaskHasher;
use crate::model::{Doubt, Manifest, Prefix, StoredFile, UploadId};
use crate::store::{Store, StoreError};

/// The task that compares all of them pauses after each upload for this many times what the upload
/// took, so that it takes a fifth of the disk's time at most.
const PAUSE_FACTOR: u32 = 4;
/// The longest of these pauses.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// The pause before uploads that could not be read are tried again.
const RETRY_DELAY: Duration = Duration::from_secs(60);

impl Repository {
    /// Treats these uploads as possibly damaged, if they came before now.
    pub fn doubt(&self, doubt: Doubt) {
        let doubted = &self.0.doubted;
        let mut state = doubted.lock();
        state.since = doubt.since;
        state.until = self.0.clock.now();
        state.suspects = doubt.damaged;
        doubted.any.store(
            state.since.is_some() || !state.suspects.is_empty(),
            Ordering::Release,
        );
    }

    /// Whether any upload may be damaged.
    pub fn has_doubts(&self) -> bool {
        self.0.doubted.any.load(Ordering::Acquire)
    }

    /// Returns when the wanted parts of an upload are known to be whole: at once, unless the upload
    /// may be damaged; then its files are read and compared with their digests, which may take as long as
    /// a download.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a part is not whole, or the store fails.
    pub async fn verify_doubted(
        &self,
        id: &UploadId,
        wanted: WantedParts<'_>,
    ) -> Result<(), StoreError> {
        if !self.has_doubts() {
            return Ok(());
        }
        let Some(manifest) = self.get_any_version(id).await? else {
            return Ok(());
        };
        self.compare_once(&manifest).await?;
        match self.0.doubted.damaged(&manifest, wanted) {
            None => Ok(()),
            Some(name) => Err(StoreError::Damaged(format!(
                "{name} of {id} was damaged when the last server ended"
            ))),
        }
    }

    /// Compares an upload, unless it was compared before.
    ///
    /// # Errors
    /// The store fails, and nothing is known: the next caller compares it.
    async fn compare_once(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let (doubted, id) = (&self.0.doubted, &manifest.id);
        let Some(lock) = doubted.lock_of(manifest) else {
            return Ok(());
        };
        let _comparing = lock.lock().await;
        // Another task may have compared it meanwhile.
        if doubted.lock_of(manifest).is_none() {
            return Ok(());
        }
        let mut damaged = Vec::new();
        for (_, file) in manifest.files() {
            match compare_file(&**self.store(), id, file).await {
                Ok(_) => {}
                // A file that cannot be read counts as damaged.
                Err(error @ (StoreError::Damaged(_) | StoreError::Io { .. })) => {
                    if matches!(self.store().manifest(id).await, Ok(None)) {
                        // It was removed meanwhile.
                        doubted.lock().comparing.remove(id);
                        return Ok(());
                    }
                    tracing::error!(upload_id = %id, %error, "upload is damaged; its damaged files are not served");
                    damaged.push(file.name.clone());
                }
                Err(error) => return Err(error),
            }
        }
        let any = !damaged.is_empty();
        doubted.note_result(id, damaged);
        if any {
            self.keep_doubt().await;
        }
        Ok(())
    }

    async fn keep_doubt(&self) {
        let Some(store) = self.store().local() else {
            return;
        };
        let _keeping = self.0.doubted.keeping.lock().await;
        let doubt = self.0.doubted.lock().doubt();
        if let Err(error) = store.keep_doubt(&doubt).await {
            tracing::warn!(%error, "cannot keep in the store which uploads are damaged; the next start compares them again");
        }
    }

    /// Compares all uploads that may be damaged, then waits for `stop`.
    pub async fn verify_all_doubted(&self, stop: CancellationToken) {
        let verify = async {
            while self.has_doubts() && !self.compare_all().await {
                tokio::time::sleep(RETRY_DELAY).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = verify => {}
        }
        stop.cancelled().await;
    }

    /// Compares all uploads that may be damaged. Answers whether all of them are compared now.
    async fn compare_all(&self) -> bool {
        let (mut uploads, mut settled) = (0_u64, true);
        for prefix in Prefix::all() {
            let found = match self.store().scan(prefix).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%error, "cannot compare the uploads that came before the last stop; trying again");
                    return false;
                }
            };
            for found in found {
                // The comparison with the index reports a manifest that cannot be read.
                let Ok(Some(manifest)) = self.store().manifest(&found.id).await else {
                    continue;
                };
                if !self.0.doubted.lock().is_open(&manifest) {
                    continue;
                }
                let start = Instant::now();
                settled &= self.compare_once(&manifest).await.is_ok();
                uploads += 1;
                tokio::time::sleep((start.elapsed() * PAUSE_FACTOR).min(MAX_PAUSE)).await;
            }
        }
        if settled {
            let damaged = {
                let mut state = self.0.doubted.lock();
                state.since = None;
                state.suspects.clear();
                state.whole.clear();
                state.damaged.len()
            };
            self.keep_doubt().await;
            let any = damaged > 0;
            self.0.doubted.any.store(any, Ordering::Release);
            tracing::info!(
                uploads,
                damaged,
                "compared the uploads that came shortly before the last stop with their digests"
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
    let mut hasher = TaskHasher::new(file.sha256.is_some());
    while let Some(block) = blob.next().await? {
        hasher.update(&block).await.map_err(StoreError::ended)?;
    }
    let found = hasher.finish().await.map_err(StoreError::ended)?;
    match file.sha256 == found.map(|of| of.sha256) {
        true => Ok(size),
        false => Err(StoreError::Damaged(format!(
            "{} has another sha-256 than it was stored with",
            file.name
        ))),
    }
}
