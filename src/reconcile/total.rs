//! What all uploads take together, kept in the store: an index that has lost its data counts at
//! least that, until it was compared with the store.

use std::time::Duration;

use tokio::time::Instant;

use crate::repository::{Repository, RepositoryError};

/// How often it is kept.
const EVERY: Duration = Duration::from_secs(60);

/// Keeps it now and then, where it has changed.
#[derive(Debug, Default)]
pub struct Total {
    kept: Option<u64>,
    at: Option<Instant>,
}

impl Total {
    /// Keeps the total in the store, if that is due and the index knows it exactly.
    pub async fn keep(&mut self, uploads: &Repository) -> Result<(), RepositoryError> {
        if self.at.is_some_and(|at| at.elapsed() < EVERY) {
            return Ok(());
        }
        let total = uploads.catalog().stored_room().await?;
        if let Some(total) = total.filter(|total| self.kept != Some(*total)) {
            uploads.store().keep_total(total).await?;
            self.kept = Some(total);
        }
        self.at = Some(Instant::now());
        Ok(())
    }
}

/// Has the index count at least the total that was kept, until it knows the exact one. Where no
/// total was kept, it is what the index knows so far: a cap may have been set just now.
pub async fn recall(uploads: &Repository) {
    let catalog = uploads.catalog();
    let known = async || -> Result<u64, RepositoryError> {
        match uploads.store().total().await? {
            Some(total) => Ok(total),
            None => Ok(catalog.stats().await?.bytes),
        }
    };
    match known().await {
        Ok(total) => catalog.assume_room(total),
        Err(error) => {
            tracing::warn!(%error, "max_total_size counts what is stored only as the comparison of index and store finds it");
        }
    }
}
