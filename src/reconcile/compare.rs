//! The comparison of the index with the manifests in the store, which are the truth.

use std::collections::HashMap;
use std::ops::AddAssign;
use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::model::{Prefix, Tombstone, UploadId};
use crate::repository::{Indexed, Repository, RepositoryError};
use crate::store::{Fingerprint, ScannedUpload, StoreError};

/// How many uploads are compared at once, in all folders together.
const AT_ONCE: usize = 32;
/// How many folders are compared at once, where a caller waits. Most of the time a comparison waits
/// for the store, and a folder may hold fewer uploads than may be compared at once.
const FOLDERS: usize = 8;

/// How many damaged uploads a comparison names in its answer; the log names all of them.
const MAX_REPORTS: usize = 1000;

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compared {
    /// Whole uploads in the store.
    pub uploads: u64,
    /// Entries of the index without an upload, which were removed.
    pub forgotten: u64,
    /// Uploads whose manifest cannot be read, or whose files are missing or have another size; each
    /// is logged.
    pub damaged: u64,
    /// The error of each, for the first of them.
    pub reports: Vec<(UploadId, String)>,
    /// The tombstones of removed uploads.
    pub(super) tombstones: Vec<Remains>,
}

/// The tombstone of a removed upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remains {
    pub tombstone: Tombstone,
    /// Whether any file lies beside it.
    pub files: bool,
}

impl Compared {
    fn found(&mut self, id: UploadId, damage: &StoreError) {
        self.damaged += 1;
        self.reports.push((id, damage.to_string()));
    }
}

impl AddAssign for Compared {
    fn add_assign(&mut self, other: Self) {
        self.uploads += other.uploads;
        self.forgotten += other.forgotten;
        self.damaged += other.damaged;
        let room = MAX_REPORTS.saturating_sub(self.reports.len());
        self.reports.extend(other.reports.into_iter().take(room));
        self.tombstones.extend(other.tombstones);
    }
}

/// Compares the whole index with the store, and corrects it. Uploads may be stored and removed
/// meanwhile. Answers `None` when it was stopped.
///
/// # Errors
/// The index fails, or a folder of the store cannot be listed. An upload that cannot be read is
/// logged, and the rest goes on.
pub async fn compare(
    uploads: &Repository,
    stop: &CancellationToken,
) -> Result<Option<Compared>, RepositoryError> {
    let mut unverified = uploads.catalog().unverified().await?;
    unverified.prefixes = Prefix::all().collect();
    let go_on = || !stop.is_cancelled();
    let Some(compared) = folders(uploads, &unverified.prefixes, go_on).await? else {
        return Ok(None);
    };
    if !uploads.catalog().mark_verified(unverified).await? {
        tracing::warn!(
            "the index lost something while it was compared; the leader compares it again"
        );
    }
    Ok(Some(compared))
}

/// Compares these folders, several at once. `go_on` is asked before each; answers `None` when it
/// said no.
pub(super) async fn folders(
    uploads: &Repository,
    prefixes: &[Prefix],
    go_on: impl Fn() -> bool + Sync,
) -> Result<Option<Compared>, RepositoryError> {
    let permits = Semaphore::new(AT_ONCE);
    let (permits, go_on) = (&permits, &go_on);
    let begin = |prefix: Prefix| {
        let folder = async move {
            match go_on() {
                true => one(uploads, prefix, permits).await.map(Some),
                false => Ok(None),
            }
        };
        folder.boxed()
    };
    let folders: Vec<_> = prefixes.iter().copied().map(begin).collect();
    let mut under_way = stream::iter(folders).buffer_unordered(FOLDERS);
    let mut compared = Compared::default();
    while let Some(folder) = under_way.next().await {
        match folder? {
            Some(folder) => compared += folder,
            None => return Ok(None),
        }
    }
    Ok(Some(compared))
}

/// Compares one folder.
pub(super) async fn folder(
    uploads: &Repository,
    prefix: Prefix,
) -> Result<Compared, RepositoryError> {
    one(uploads, prefix, &Semaphore::new(AT_ONCE)).await
}

/// The same beside other folders, which share `permits`: one for each upload.
async fn one(
    uploads: &Repository,
    prefix: Prefix,
    permits: &Semaphore,
) -> Result<Compared, RepositoryError> {
    let mut compared = Compared::default();
    // In this order: an upload that is in the index now, and not in the store afterwards, is gone.
    let known = uploads.catalog().with_prefix(prefix).await?;
    let stored = uploads.store().scan(prefix).await?;
    let present: HashMap<UploadId, Option<Fingerprint>> = stored
        .iter()
        .map(|found| (found.id, found.fingerprint))
        .collect();
    for id in known.iter().filter(|id| !present.contains_key(id)) {
        if let Indexed::Absent | Indexed::Gone(_) = uploads.index(id, &[]).await? {
            compared.forgotten += 1;
        }
    }
    let mut found = stream::iter(stored)
        .map(|found| async move {
            let _permit = permits.acquire().await.expect("it is never closed");
            compare_upload(uploads, found).await
        })
        .buffer_unordered(AT_ONCE);
    while let Some(upload) = found.next().await {
        compared += upload?;
    }
    recheck(uploads, prefix, present).await?;
    Ok(compared)
}

/// Indexes again what has changed while the folder was compared: a second listing tells it of a
/// thousand uploads by one request, where each would be read again. Should the store's listing be
/// late, an upload that was removed in these moments stays in the index until a caller asks for its
/// name, or the next comparison.
async fn recheck(
    uploads: &Repository,
    prefix: Prefix,
    mut before: HashMap<UploadId, Option<Fingerprint>>,
) -> Result<(), RepositoryError> {
    // The other uploads were read twice.
    before.retain(|_, fingerprint| fingerprint.is_some());
    if before.is_empty() {
        return Ok(());
    }
    for found in uploads.store().scan(prefix).await? {
        let then = before.get(&found.id).copied().flatten();
        if let (Some(then), Some(now)) = (then, found.fingerprint)
            && now.has_key_of(&then)
        {
            before.remove(&found.id);
        }
    }
    for id in before.keys() {
        match uploads.index(id, &[]).await {
            // The next comparison reports it.
            Err(RepositoryError::Store(StoreError::Damaged(_) | StoreError::Io { .. })) => {}
            indexed => drop(indexed?),
        }
    }
    Ok(())
}

async fn compare_upload(
    uploads: &Repository,
    found: ScannedUpload,
) -> Result<Compared, RepositoryError> {
    let ScannedUpload {
        id,
        files,
        fingerprint,
    } = found;
    let mut compared = Compared::default();
    let indexed = match fingerprint {
        Some(_) => uploads.index_once(&id).await,
        None => uploads.index(&id, &[]).await,
    };
    match indexed {
        // The listing has told the size of each file already.
        Ok(Indexed::Live(manifest))
            if fingerprint.is_some_and(|listed| listed.has_files_of(&manifest)) =>
        {
            compared.uploads = 1;
        }
        Ok(Indexed::Live(manifest)) => {
            // A power cut can have removed files that were not yet synced (`durability = relaxed`).
            let manifest = Arc::new(manifest);
            let parts = 0..manifest.parts.len();
            match uploads.store().verify(&manifest, parts).await {
                Ok(()) => compared.uploads = 1,
                Err(error @ StoreError::Unavailable(_)) => return Err(error.into()),
                Err(error) => {
                    // An upload that was removed since is not damaged.
                    if uploads.store().manifest(&id).await?.is_some() {
                        tracing::error!(upload_id = %id, %error, "upload is damaged; its damaged files are not served");
                        compared.found(id, &error);
                    }
                }
            }
        }
        Ok(Indexed::Gone(tombstone)) => compared.tombstones.push(Remains { tombstone, files }),
        Ok(Indexed::Absent) => {}
        Err(RepositoryError::Store(error @ (StoreError::Damaged(_) | StoreError::Io { .. }))) => {
            uploads.report_damage(&id, &error, true);
            compared.found(id, &error);
        }
        Err(error) => return Err(error),
    }
    Ok(compared)
}
