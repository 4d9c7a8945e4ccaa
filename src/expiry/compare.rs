//! The comparison of the index with the keys in the store, which are the truth.

use std::collections::HashSet;
use std::ops::AddAssign;
use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::ExpiryError;
use crate::model::{Prefix, Tombstone, UploadId};
use crate::repository::{Indexed, Repository, RepositoryError};
use crate::store::{Found, StoreError};

/// How many uploads are looked at at once.
const AT_ONCE: usize = 32;

/// How many damaged uploads a comparison names in its answer; the log has all of them.
const REPORTS: usize = 1000;

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compared {
    /// Whole uploads in the store.
    pub uploads: u64,
    /// Entries of the index without an upload, which were removed.
    pub forgotten: u64,
    /// Manifests that cannot be understood, or whose files are not there with their sizes; each
    /// is logged.
    pub damaged: u64,
    /// What is wrong with the first of them.
    pub reports: Vec<(UploadId, String)>,
    /// What is left of uploads that are gone.
    pub(super) tombstones: Vec<Remains>,
}

/// What is left of an upload that is gone.
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
        let room = REPORTS.saturating_sub(self.reports.len());
        self.reports.extend(other.reports.into_iter().take(room));
        self.tombstones.extend(other.tombstones);
    }
}

/// Brings the whole index up to what the store holds. Uploads may come and go meanwhile. Answers
/// `None` when it was stopped.
///
/// # Errors
/// The index fails, or a folder of the store cannot be listed. An upload that cannot be read is
/// logged, and the rest goes on.
pub async fn compare(
    uploads: &Repository,
    stop: &CancellationToken,
) -> Result<Option<Compared>, ExpiryError> {
    let mut gaps = uploads.catalog().gaps().await?;
    gaps.prefixes = Prefix::all().collect();
    let mut compared = Compared::default();
    for prefix in &gaps.prefixes {
        if stop.is_cancelled() {
            return Ok(None);
        }
        compared += folder(uploads, *prefix).await?;
    }
    if !uploads.catalog().mended(gaps).await? {
        tracing::warn!(
            "the index lost something while it was compared; the leader compares it again"
        );
    }
    Ok(Some(compared))
}

/// Brings what the index says of one folder up to what the store holds.
pub(super) async fn folder(uploads: &Repository, prefix: Prefix) -> Result<Compared, ExpiryError> {
    let mut compared = Compared::default();
    // In this order: what was in the index before the look, and is not in the store, is gone.
    let known = uploads.catalog().with_prefix(prefix).await?;
    let stored = uploads.store().scan(prefix).await?;
    let present: HashSet<UploadId> = stored.iter().map(|found| found.id).collect();
    for id in known.iter().filter(|id| !present.contains(id)) {
        if let Indexed::Absent | Indexed::Gone(_) = uploads.index(id, &[]).await? {
            compared.forgotten += 1;
        }
    }
    let mut found = futures_util::stream::iter(stored)
        .map(|found| look(uploads, found))
        .buffer_unordered(AT_ONCE);
    while let Some(upload) = found.next().await {
        compared += upload?;
    }
    Ok(compared)
}

async fn look(uploads: &Repository, found: Found) -> Result<Compared, ExpiryError> {
    let Found { id, files } = found;
    let mut compared = Compared::default();
    match uploads.index(&id, &[]).await {
        Ok(Indexed::Live(manifest)) => {
            // A power cut can have taken what was not yet synced (`durability = relaxed`).
            let manifest = Arc::new(manifest);
            let parts = 0..manifest.parts.len();
            match uploads.store().verify(&manifest, parts).await {
                Ok(()) => compared.uploads = 1,
                Err(error @ StoreError::Unavailable(_)) => return Err(error.into()),
                Err(error) => {
                    // One that was removed since is no damage.
                    if uploads.store().manifest(&id).await?.is_some() {
                        tracing::error!(%id, %error, "an upload is damaged; its damaged files are not served");
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
        Err(error) => return Err(error.into()),
    }
    Ok(compared)
}
