//! The bytes that all uploads take together, kept in the store: an index that has lost its data
//! counts at least that many, until it was compared with the store.

use std::time::Duration;

use tokio::time::Instant;

use crate::repository::{Repository, RepositoryError};

/// How often the total is kept.
const INTERVAL: Duration = Duration::from_secs(60);

/// Keeps the total now and then, where it has changed.
#[derive(Debug, Default)]
pub struct TotalKeeper {
    kept: Option<u64>,
    at: Option<Instant>,
}

impl TotalKeeper {
    /// Keeps the total in the store, if that is due and the index knows it exactly.
    pub async fn keep(&mut self, uploads: &Repository) -> Result<(), RepositoryError> {
        if self.at.is_some_and(|at| at.elapsed() < INTERVAL) {
            return Ok(());
        }
        let total = match uploads.catalog().capacity() {
            Some(capacity) => capacity.stored_room().await?,
            None => None,
        };
        if let Some(total) = total.filter(|total| self.kept != Some(*total)) {
            uploads.store().keep_total(total).await?;
            self.kept = Some(total);
        }
        self.at = Some(Instant::now());
        Ok(())
    }
}

/// Has the index count at least the total that was kept, until it knows the exact one. Where no
/// total was kept, because a cap was set just now, that is what the index knows so far.
pub async fn recall_total(uploads: &Repository) {
    let catalog = uploads.catalog();
    let Some(capacity) = catalog.capacity() else {
        return;
    };
    let known = async || -> Result<u64, RepositoryError> {
        match uploads.store().total().await? {
            Some(total) => Ok(total),
            None => Ok(catalog.stats().await?.bytes),
        }
    };
    match known().await {
        Ok(total) => capacity.assume_room(total),
        Err(error) => {
            tracing::warn!(%error, "cannot read how many bytes are stored: max_total_size counts uploads only as the comparison of index and store finds them");
        }
    }
}
