//! The uses of limited downloads: reserved while a download is under way, then spent or released.

use std::time::Duration;

use async_trait::async_trait;

use super::CatalogError;
use crate::model::{Manifest, UploadId};

/// The limit of an upload whose downloads are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The upload.
    pub id: UploadId,
    /// How many downloads it allows.
    pub max: u64,
    /// How many of them its manifest has recorded.
    pub used: u64,
}

impl Limit {
    /// The limit in a manifest; `None` where downloads are not counted.
    pub fn of(manifest: &Manifest) -> Option<Self> {
        manifest.max_downloads.map(|max| Limit {
            id: manifest.id,
            max,
            used: manifest.used,
        })
    }
}

/// The answer to a download that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// A use is reserved under this number, until it is committed or released.
    Use(u64),
    /// Downloads under way have reserved all uses that are left.
    Busy,
    /// All uses are spent.
    Spent,
}

/// The part of an index that knows which uses of limited downloads are reserved.
#[async_trait]
pub trait Reservations: Send + Sync {
    /// Reserves one use of a limited upload. A use that is neither committed nor released comes
    /// back after `ttl`, or when the process that has reserved it has ended.
    async fn reserve(&self, limit: &Limit, ttl: Duration) -> Result<Reserved, CatalogError>;

    /// Turns the use reserved under `number` into a spent one, which the manifest has recorded:
    /// `used` is the count in the manifest now.
    async fn commit(&self, id: &UploadId, number: u64, used: u64) -> Result<(), CatalogError>;

    /// Releases the use reserved under `number`.
    async fn release(&self, id: &UploadId, number: u64) -> Result<(), CatalogError>;
}
