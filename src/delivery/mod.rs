//! The download as a use case: the upload or file of a name, its representation, and the stream of
//! that.

mod archive;
mod archive_cursor;
mod body;
mod checks;
mod crcs;
mod cursor;
mod error;
mod listing;
mod memory;
mod outline;
mod record;
mod representation;
mod resolve;
mod selected;
#[cfg(test)]
mod tests;
mod uses;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::model::Clock;
use crate::repository::Repository;
use crate::store::PresignRequest;

use crcs::Crcs;
use memory::ManifestBudget;

pub use crate::catalog::{ListFilter, Listed};
pub use crate::store::{FileSpan, MAX_SPAN, Way, Ways};
#[cfg(test)]
pub use crate::store::{Sendfile, Sent};
pub use body::{Block, Blocks, BodyContent};
pub use error::{DeliveryError, Missing};
pub use listing::{ListQuery, Listing, ListingCursor, Summary};
pub use record::{ManifestReader, ReadAgainError};
#[cfg(test)]
pub use representation::FormBuilder;
pub use representation::{DeliveryPiece, Representation, RepresentationKind};
pub use resolve::Lookup;
pub use selected::Selected;

/// Gives out stored uploads and files.
#[derive(Clone)]
pub struct Delivery {
    uploads: Repository,
    clock: Clock,
    manifests: ManifestBudget,
    crcs: Crcs,
}

impl Delivery {
    /// Gives out `uploads`.
    pub fn new(uploads: Repository, clock: Clock) -> Self {
        Delivery {
            uploads,
            clock,
            manifests: ManifestBudget::default(),
            crcs: Crcs::default(),
        }
    }

    /// Reads files that archives need to have read, until `stop`.
    pub async fn read_for_archives(&self, stop: CancellationToken) {
        self.crcs.run(&self.uploads, stop).await;
    }

    /// The ways of stored files to their readers; `None` where the kernel cannot send them.
    pub fn ways(&self) -> Option<Arc<Ways>> {
        Some(self.uploads.store().local()?.ways())
    }

    /// A URL at which a client can fetch a raw file from the store by itself, to be shown with this
    /// `Content-Disposition`; `None` where it cannot, or where downloads are counted.
    ///
    /// # Errors
    /// The store fails.
    pub async fn presigned_url(
        &self,
        representation: &Representation,
        disposition: &str,
    ) -> Result<Option<String>, DeliveryError> {
        let store = self.uploads.store();
        let (Some(presigner), Some((id, file))) = (store.presigner(), representation.file()) else {
            return Ok(None);
        };
        let now = self.clock.now();
        let expires_at = representation.expires_at;
        let lives = expires_at.map_or(Duration::MAX, |deadline| deadline.since(now));
        // An address is good for whole seconds.
        if representation.is_limited() || lives < Duration::from_secs(1) {
            return Ok(None);
        }
        let request = PresignRequest {
            id,
            name: &file.name,
            media_type: file.served_type(),
            disposition,
            size: file.size,
            lives,
        };
        Ok(Some(presigner.presigned_url(&request).await?))
    }
}
