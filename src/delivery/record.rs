//! The manifest of an upload while its record goes out, as slowly as its reader takes it.

use std::sync::Arc;

use super::cursor::recall;
use super::memory::{HeldManifest, ManifestBudget};
use super::{Delivery, DeliveryError};
use crate::model::{Manifest, UploadId};
use crate::repository::Repository;

/// One version of what a manifest shows: held where there is room for it, else asked for each time.
pub struct ManifestReader {
    uploads: Repository,
    budget: ManifestBudget,
    id: UploadId,
    revision: u64,
    held: Option<HeldManifest>,
}

/// Why a manifest that was read before cannot be read again.
#[derive(Debug, thiserror::Error)]
pub enum ReadAgainError {
    /// There is another version of it, of which the rest of a record would not fit the beginning.
    #[error("the upload {0} was changed while its record was read")]
    Changed(UploadId),
    /// It is not there any more, or the store fails.
    #[error(transparent)]
    Lost(#[from] DeliveryError),
}

impl Delivery {
    /// The source that gives this version of a manifest as often as it is asked.
    pub fn reader(&self, manifest: &Arc<Manifest>) -> ManifestReader {
        ManifestReader {
            uploads: self.uploads.clone(),
            budget: self.manifests.clone(),
            id: manifest.id,
            revision: manifest.revision(),
            held: self.manifests.hold(manifest),
        }
    }
}

impl ManifestReader {
    /// The manifest, to be let go before the reader of the record is waited for.
    ///
    /// # Errors
    /// It was not held, and has changed or is gone; or the store fails.
    pub async fn get(&mut self) -> Result<Arc<Manifest>, ReadAgainError> {
        if let Some(held) = &self.held {
            return Ok(Arc::clone(&held.manifest));
        }
        let manifest = recall(&self.uploads, &self.id).await?;
        if manifest.revision() != self.revision {
            return Err(ReadAgainError::Changed(self.id));
        }
        self.held = self.budget.hold(&manifest);
        Ok(manifest)
    }
}
