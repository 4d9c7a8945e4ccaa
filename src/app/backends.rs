//! The backends of the server: a store, an index, a lease.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::error::StartError;
use super::options::{AppOptions, Sharing};
use crate::catalog::{self, Catalog, EmbeddedCatalog, RedisCatalog};
use crate::coordination::{Events, Link};
use crate::lease::{self, Lease, RedisLease, Solo};
use crate::model::{Clock, Doubt, Timestamp};
use crate::repository::{StorePairing, store_watch};
use crate::store::{BucketStore, DiskStore, LocalStore, Store, StoreError, disk, object};

/// The name of the embedded index in the store's private folder.
const CATALOG: &str = "catalog.redb";

/// The purpose of opening the backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To serve.
    Serve,
    /// To make the index anew; with `adopt`, store and Redis are taken to belong together.
    Reindex { adopt: bool },
}

/// Work beside the requests, until it is told to stop.
pub type Task = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, io::Result<()>> + Send>;

/// The backends of the server.
pub struct Backends {
    pub store: Arc<dyn Store>,
    pub catalog: Arc<dyn Catalog>,
    pub lease: Arc<dyn Lease>,
    /// Why the server must not store now, as far as neither store nor index say so themselves.
    pub trouble: watch::Receiver<Option<String>>,
    pub tasks: Vec<Task>,
    /// The uploads that a power cut may have damaged.
    pub doubt: Doubt,
    /// Whether other processes have all this too.
    pub shared: bool,
    /// Keeps other processes from the index, where the store does not: to be held for as long.
    pub lock: Option<File>,
}

impl Backends {
    /// Opens them; `descriptors` files of the store may be open.
    pub async fn open(
        options: &AppOptions,
        clock: &Clock,
        descriptors: usize,
        purpose: Purpose,
    ) -> Result<Self, StartError> {
        let disk = disk::Options {
            dir: options.dir.clone(),
            durability: options.durability,
            min_free: options.min_free,
            descriptors,
            shared: options.sharing.as_ref().map(|_| options.stale_after),
            sendfile: options.sendfile,
        };
        match (&options.sharing, &options.bucket) {
            (Some(sharing), _) => Self::shared(options, sharing, &disk, purpose).await,
            (None, Some(bucket)) => Self::with_bucket(options, bucket, clock, purpose).await,
            (None, None) => Self::alone(options, clock, &disk, purpose).await,
        }
    }

    async fn alone(
        options: &AppOptions,
        clock: &Clock,
        disk: &disk::Options,
        purpose: Purpose,
    ) -> Result<Self, StartError> {
        // The store first: its lock keeps others from the index as well.
        let store = DiskStore::open(disk)?;
        let path = DiskStore::private_dir(&disk.dir).join(CATALOG);
        store.recover(|| EmbeddedCatalog::is_left_by_older(&path))?;
        if purpose == Purpose::Serve {
            store.start_journal(options.journal)?;
        }
        let journal_died = store.journal_died();
        let catalog = embedded(&path, clock, purpose)?;
        let doubt = doubt(&store, &catalog, disk.durability).await?;
        let store: Arc<dyn Store> = Arc::new(store);
        let (trouble, watched) = watch::channel(None);
        let watching = Arc::clone(&store);
        Ok(Backends {
            store,
            catalog: Arc::new(catalog),
            lease: Arc::new(Solo::new(options.http.instance.clone())),
            trouble: watched,
            tasks: vec![
                task(move |stop| store_watch::watch_folder(watching, trouble, stop)),
                Box::new(|stop| Box::pin(watch_journal(journal_died, stop))),
            ],
            doubt,
            shared: false,
            lock: None,
        })
    }

    /// A bucket and an index on this machine. A bucket has no lock that would keep others away:
    /// it is treated as one that they have too.
    async fn with_bucket(
        options: &AppOptions,
        bucket: &object::BucketOptions,
        clock: &Clock,
        purpose: Purpose,
    ) -> Result<Self, StartError> {
        let store: Arc<dyn Store> = Arc::new(BucketStore::open(bucket).await?);
        let id = store_watch::identify(&*store).await?;
        // Named after the store: the index of another says nothing of this one.
        let private = DiskStore::private_dir(&options.dir);
        std::fs::create_dir_all(&private).map_err(catalog::IndexOpenError::Io)?;
        let path = private.join(format!("catalog-{id}.redb"));
        // One of the index itself would go with its file, when that is made anew.
        let lock =
            File::create(path.with_extension("lock")).map_err(catalog::IndexOpenError::Io)?;
        lock.try_lock()
            .map_err(|_| catalog::IndexOpenError::Locked)?;
        let (trouble, watched) = watch::channel(None);
        let watching = Arc::clone(&store);
        Ok(Backends {
            store,
            catalog: Arc::new(embedded(&path, clock, purpose)?),
            lease: Arc::new(Solo::new(options.http.instance.clone())),
            trouble: watched,
            tasks: vec![task(move |stop| {
                store_watch::watch_bucket(watching, id, trouble, stop)
            })],
            doubt: Doubt::default(),
            shared: true,
            lock: Some(lock),
        })
    }

    async fn shared(
        options: &AppOptions,
        sharing: &Sharing,
        disk: &disk::Options,
        purpose: Purpose,
    ) -> Result<Self, StartError> {
        let link = Link::connect(sharing.redis.clone()).await?;
        let store: Arc<dyn Store> = match &options.bucket {
            Some(bucket) => Arc::new(BucketStore::open(bucket).await?),
            None => {
                let store = DiskStore::open(disk)?;
                let path = DiskStore::private_dir(&disk.dir).join(CATALOG);
                store.recover(|| EmbeddedCatalog::is_left_by_older(&path))?;
                Arc::new(store)
            }
        };
        let keys = &sharing.keys;
        let adopt = purpose == Purpose::Reindex { adopt: true };
        let pairing = StorePairing::agree(Arc::clone(&store), link.clone(), keys, adopt).await?;
        let handover = keys.lead("handover");
        let events = Events::listen(&link, vec![handover.clone()]);
        let catalog = RedisCatalog::new(
            link.clone(),
            events.clone(),
            keys.clone(),
            options.stale_after,
        );
        let catalog = match options.ingest.max_total_size {
            Some(_) => catalog.counting_room()?,
            None => catalog,
        };
        let lease = lease::LeaseOptions {
            key: sharing
                .lease_key
                .clone()
                .unwrap_or_else(|| keys.lead("lock")),
            ttl: sharing.lease_ttl,
            instance: options.http.instance.clone(),
        };
        let own = link.another().await?;
        let lease = Arc::new(RedisLease::new(own, &events, handover, lease)?);
        let keeper = Arc::clone(&lease);
        let (trouble, watched) = watch::channel(None);
        Ok(Backends {
            store,
            catalog: Arc::new(catalog),
            lease,
            trouble: watched,
            tasks: vec![
                task(move |_| async move { keeper.keep().await }),
                task(move |stop| pairing.watch(trouble, stop)),
            ],
            doubt: Doubt::default(),
            shared: true,
            lock: None,
        })
    }
}

/// Ends with an error when a thread of the journal has ended that should not have.
async fn watch_journal(died: CancellationToken, stop: CancellationToken) -> io::Result<()> {
    match stop.run_until_cancelled(died.cancelled()).await {
        Some(()) => Err(io::Error::other("a thread of the journal has ended")),
        None => Ok(()),
    }
}

/// A task that ends well whenever it ends.
fn task<F: Future<Output = ()> + Send + 'static>(
    run: impl FnOnce(CancellationToken) -> F + Send + 'static,
) -> Task {
    Box::new(|stop| {
        let run = run(stop);
        Box::pin(async {
            run.await;
            Ok(())
        })
    })
}

/// The index in this file, created anew for a reindex.
fn embedded(path: &Path, clock: &Clock, purpose: Purpose) -> Result<EmbeddedCatalog, StartError> {
    Ok(match purpose {
        Purpose::Serve => EmbeddedCatalog::open(path, clock.clone())?,
        Purpose::Reindex { .. } => EmbeddedCatalog::create(path, clock.clone())?,
    })
}

/// The uploads that a power cut may have damaged: those found before, and, where answers do not
/// wait for the disk, those that came shortly before an unclean end. They are kept before anything
/// else is done, for the index does not remember how it was left.
async fn doubt(
    store: &dyn LocalStore,
    catalog: &EmbeddedCatalog,
    durability: disk::Durability,
) -> Result<Doubt, StoreError> {
    let mut doubt = match store.doubt().await {
        Err(StoreError::Damaged(why)) => {
            tracing::warn!(
                why,
                "the record of doubted uploads is damaged; every upload is compared with its digest"
            );
            Doubt {
                since: Some(Timestamp::from_millis(0)),
                ..Doubt::default()
            }
        }
        doubt => doubt?,
    };
    let before = doubt.clone();
    if durability == disk::Durability::Relaxed
        && let Some(last) = catalog.left_unclean()
    {
        doubt.add(last);
    }
    if doubt != before {
        match store.keep_doubt(&doubt).await {
            Err(StoreError::NoSpace(why)) => tracing::error!(
                why,
                "cannot keep in the store which uploads a power cut may have damaged; they are                  compared now, and no later start knows them"
            ),
            kept => kept?,
        }
    }
    Ok(doubt)
}
