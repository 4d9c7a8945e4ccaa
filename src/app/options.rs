//! The settings of all parts.

use std::path::PathBuf;
use std::time::Duration;

use crate::coordination::{Address, Keys};
use crate::http::HttpOptions;
use crate::ingest::IngestOptions;
use crate::store::{Sendfile, disk, object};

/// The settings of all parts.
#[derive(Debug, Clone)]
pub struct AppOptions {
    /// The store's directory; with a bucket, the index of an instance that has no Redis.
    pub dir: PathBuf,
    /// The store's bucket, if it has one.
    pub bucket: Option<object::BucketOptions>,
    /// The durability that a commit waits for.
    pub durability: disk::Durability,
    /// Bytes of the store's journal; `None` where there is to be none.
    pub journal: Option<u64>,
    /// Bytes of the file system that are not to be used.
    pub min_free: u64,
    /// Whether the kernel sends stored files by itself.
    pub sendfile: Sendfile,
    /// How long unfinished uploads of other instances are left alone.
    pub stale_after: Duration,
    /// How the store is shared with other instances; `None` when it is not.
    pub sharing: Option<Sharing>,
    /// Uploads.
    pub ingest: IngestOptions,
    /// The resources.
    pub http: HttpOptions,
    /// The most connections at once.
    pub max_connections: usize,
    /// How long transfers may go on after the first signal.
    pub shutdown_grace: Duration,
}

/// How several instances share one store.
#[derive(Debug, Clone)]
pub struct Sharing {
    /// Where their Redis is.
    pub redis: Address,
    /// The names of things there.
    pub keys: Keys,
    /// The lock that elects the one that cleans up, where it is not one of `keys`.
    pub lease_key: Option<String>,
    /// How long that lasts when its holder has died.
    pub lease_ttl: Duration,
}

impl AppOptions {
    /// These options with all that can change while a server runs as `new` has it.
    #[must_use]
    pub fn renewed(&self, new: &AppOptions) -> AppOptions {
        AppOptions {
            ingest: IngestOptions {
                // Room for it is counted from the start on.
                max_total_size: self.ingest.max_total_size,
                ..new.ingest.clone()
            },
            http: HttpOptions {
                // Other instances know this one by it.
                instance: self.http.instance.clone(),
                tls: self.http.tls.clone(),
                ..new.http.clone()
            },
            shutdown_grace: new.shutdown_grace,
            ..self.clone()
        }
    }

    /// Where uploads are stored, for people.
    pub fn place(&self) -> String {
        match &self.bucket {
            Some(bucket) => bucket.to_string(),
            None => self.dir.display().to_string(),
        }
    }
}
