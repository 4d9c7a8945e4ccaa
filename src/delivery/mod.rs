//! The download as a use case: what a name means, what goes out for it, and the stream of it.

mod body;
mod cursor;
mod error;
mod memory;
mod outline;
mod representation;
mod resolve;
#[cfg(test)]
mod tests;
mod uses;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use crate::catalog::Cursor;
use crate::model::{Clock, Manifest};
use crate::repository::Repository;
use crate::store::{Elsewhere, StoreError};

use memory::ManifestBudget;

pub use body::Content;
pub use error::DeliveryError;
pub use representation::{FormBuilder, Kind, Piece, Representation};
pub use resolve::Selected;

/// How many manifests of a listing are read at once.
const AT_ONCE: usize = 16;

/// What may be asked for.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether a file can be asked for by its name alone, by everybody.
    pub shared_names: bool,
}

/// Gives out what is stored.
#[derive(Clone)]
pub struct Delivery {
    uploads: Repository,
    clock: Clock,
    options: Options,
    manifests: ManifestBudget,
}

/// One page of the listing.
#[derive(Debug)]
pub struct Page {
    /// The uploads, newest first.
    pub uploads: Vec<Arc<Manifest>>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

impl Delivery {
    /// Gives out `uploads`.
    pub fn new(uploads: Repository, clock: Clock, options: Options) -> Self {
        Delivery {
            uploads,
            clock,
            options,
            manifests: ManifestBudget::default(),
        }
    }

    /// Whether a file can be asked for by its name alone, by everybody.
    pub fn shared_names(&self) -> bool {
        self.options.shared_names
    }

    /// Where a client can fetch a raw file by itself, to be shown with this
    /// `Content-Disposition`; `None` where it cannot, or where downloads are counted.
    ///
    /// # Errors
    /// The store fails.
    pub async fn elsewhere(
        &self,
        representation: &Representation,
        disposition: &str,
    ) -> Result<Option<String>, DeliveryError> {
        let Some((id, file)) = representation.file() else {
            return Ok(None);
        };
        let now = self.clock.now();
        let expires_at = representation.expires_at;
        let lives = expires_at.map_or(Duration::MAX, |deadline| deadline.since(now));
        // An address is good for whole seconds.
        if representation.is_limited() || lives < Duration::from_secs(1) {
            return Ok(None);
        }
        let file = Elsewhere {
            id,
            name: &file.name,
            media_type: file.served_type(),
            disposition,
            size: file.size,
            lives,
        };
        Ok(self.uploads.store().elsewhere(&file).await?)
    }

    /// Up to `limit` uploads, newest first, behind `after`.
    ///
    /// # Errors
    /// The index is being rebuilt, or the store fails.
    pub async fn list(&self, after: Option<Cursor>, limit: usize) -> Result<Page, DeliveryError> {
        let now = self.clock.now();
        let mut entries = self.uploads.list(after, limit + 1, now).await?;
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries.last().filter(|_| more).map(|entry| Cursor {
            created_at: entry.created_at,
            id: entry.id,
        });
        let mut uploads = Vec::with_capacity(entries.len());
        let mut manifests = stream::iter(entries)
            .map(async |entry| (self.uploads.get(&entry.id).await, entry))
            .buffered(AT_ONCE);
        while let Some((manifest, entry)) = manifests.next().await {
            // One that is over by now is left out; one that is damaged hides no other.
            match manifest {
                Err(error @ StoreError::Unavailable(_)) => return Err(error.into()),
                Ok(Some(manifest)) if !manifest.is_over(now) => uploads.push(manifest),
                Ok(Some(_)) => {}
                // Removed behind the index's back.
                Ok(None) => drop(self.uploads.index(&entry.id, &[]).await?),
                Err(error) => self.uploads.report_damage(&entry.id, &error, false),
            }
        }
        Ok(Page { uploads, next })
    }
}
