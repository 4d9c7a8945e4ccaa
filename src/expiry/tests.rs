//! The cleaner under a clock that the test moves. Timers pass at once, whenever all tasks wait.

use std::sync::Arc;

use super::*;
use crate::catalog::{EmbeddedCatalog, Verification as _};
use crate::lease::{Lease as _, Solo};
use crate::model::{Manifest, Timestamp, UploadId};
use crate::store::disk::{Durability, Options as DiskOptions};
use crate::store::{DiskStore, Sendfile, conformance};

const HOUR: Duration = Duration::from_secs(3600);
/// How often a condition is checked, each time after some milliseconds that really pass.
const CHECKS: usize = 10_000;

struct Cleaned {
    uploads: Repository,
    clock: Clock,
    stop: CancellationToken,
    cleaner: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Cleaned {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp::from_millis(1_795_396_450_000));
        let store = DiskStore::open(&DiskOptions {
            dir: dir.path().to_owned(),
            durability: Durability::Relaxed,
            min_free: 0,
            descriptors: 100,
            shared: None,
            sendfile: Sendfile::Auto,
        });
        let index = dir.path().join(".wharf/catalog.redb");
        let catalog = EmbeddedCatalog::open(&index, clock.clone()).unwrap();
        let unverified = catalog.unverified().await.unwrap();
        catalog.mark_verified(unverified).await.unwrap();
        let (store, catalog) = (Arc::new(store.unwrap()), Arc::new(catalog));
        let uploads = Repository::new(store, catalog, clock.clone(), false);
        let (stop, metrics) = (CancellationToken::new(), ExpiryMetrics::default());
        let lease = Solo::new("test".to_owned());
        let cleaner = Expiry::new(
            uploads.clone(),
            lease.claims(),
            clock.clone(),
            true,
            metrics,
        );
        let running = stop.clone();
        let cleaner = tokio::spawn(async move {
            // The claim lasts as long as the lease.
            let _lease = lease;
            cleaner.run(running).await;
        });
        Cleaned {
            uploads,
            clock,
            stop,
            cleaner,
            _dir: dir,
        }
    }

    /// Stores an upload that ends so long from now.
    async fn store(&self, lifetime: Duration) -> UploadId {
        let id = UploadId::generate().unwrap();
        let store = &**self.uploads.store();
        let (staged, manifest) = conformance::stage(store, id, &[("a.txt", b"hello")]).await;
        let now = self.clock.now();
        let manifest = Manifest {
            created_at: now,
            expires_at: Some(now.after(lifetime)),
            ..manifest
        };
        let stored = self.uploads.commit(staged, Arc::new(manifest), |_| {});
        stored.await.unwrap();
        id
    }

    async fn exists(&self, id: &UploadId) -> bool {
        self.uploads.store().manifest(id).await.unwrap().is_some()
    }

    async fn wait_for_the_end_of(&self, id: &UploadId) {
        for _ in 0..CHECKS {
            if !self.exists(id).await {
                return;
            }
            // Time of tests stands still meanwhile: threads of the store may need some.
            let pause = || std::thread::sleep(Duration::from_millis(2));
            tokio::task::spawn_blocking(pause).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("{id} is still there");
    }

    async fn end(self) {
        self.stop.cancel();
        self.cleaner.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_goes_when_the_clock_reaches_its_deadline_and_not_before() {
    let cleaned = Cleaned::start().await;
    let [first, second] = [cleaned.store(HOUR).await, cleaned.store(3 * HOUR).await];
    // Timers that pass end no upload.
    tokio::time::sleep(5 * HOUR).await;
    assert!(cleaned.exists(&first).await);
    // Not closer: the cleaner sleeps as long as the clock, which stands still, is before the deadline.
    cleaned.clock.advance(HOUR - MAX_SLEEP);
    tokio::time::sleep(HOUR).await;
    assert!(cleaned.exists(&first).await);
    cleaned.clock.advance(MAX_SLEEP);
    cleaned.wait_for_the_end_of(&first).await;
    assert!(cleaned.exists(&second).await);
    // A clock that is set on by days is noticed as well.
    cleaned.clock.advance(24 * HOUR);
    cleaned.wait_for_the_end_of(&second).await;
    cleaned.end().await;
}
