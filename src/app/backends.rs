//! What the server stands on: a store, an index, a lease.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::{Options, StartError, Task};
use crate::catalog::{self, Catalog, EmbeddedCatalog};
use crate::lease::{Lease, Solo};
use crate::model::Clock;
use crate::store::{DiskStore, Store, disk};

/// The name of the embedded index in the store's private folder.
const CATALOG: &str = "catalog.redb";

/// What the server stands on.
pub struct Backends {
    pub store: Arc<dyn Store>,
    pub catalog: Arc<dyn Catalog>,
    pub lease: Arc<dyn Lease>,
    /// Why the server must not store now, as far as neither store nor index say so themselves.
    pub trouble: watch::Receiver<Option<String>>,
    pub tasks: Vec<Task>,
    /// Whether other processes have all this too.
    pub shared: bool,
}

impl Backends {
    /// Opens them; `descriptors` may be open for uploads under way. An index that is to be made
    /// `anew` holds nothing then.
    pub async fn open(
        options: &Options,
        clock: &Clock,
        descriptors: usize,
        anew: bool,
    ) -> Result<Self, StartError> {
        let disk = disk::Options {
            dir: options.dir.clone(),
            durability: options.durability,
            min_free: options.min_free,
            descriptors,
            shared: None,
        };
        Self::alone(options, clock, &disk, anew)
    }

    fn alone(
        options: &Options,
        clock: &Clock,
        disk: &disk::Options,
        anew: bool,
    ) -> Result<Self, StartError> {
        // The store first: its lock keeps others from the index as well.
        let store = DiskStore::open(disk)?;
        let path = DiskStore::private_dir(&disk.dir).join(CATALOG);
        if anew {
            remove(&path).map_err(catalog::OpenError::Io)?;
        }
        let catalog = EmbeddedCatalog::open(&path, clock.clone())?;
        Ok(Backends {
            store: Arc::new(store),
            catalog: Arc::new(catalog),
            lease: Arc::new(Solo::new(options.http.instance.clone())),
            trouble: watch::Sender::new(None).subscribe(),
            tasks: Vec::new(),
            shared: false,
        })
    }
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
