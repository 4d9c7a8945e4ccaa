//! For tests of what a change leaves that its caller does not wait for: a store whose every step
//! takes several turns, and futures that are dropped after some polls.

use std::ops::Range;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;

use super::Repository;
use crate::catalog::{EmbeddedCatalog, Index as _, Verification as _};
use crate::model::{Clock, FileName, Manifest, Prefix, Stored, Timestamp, Tombstone, UploadId};
use crate::store::disk::{Durability, Options};
use crate::store::{
    Blob, DiskStore, FileSink, LocalStore, Note, Notes, Orphan, Records, Replaced, ScannedUpload,
    Staged, Store, StoreError, StoreId, Version,
};

/// How many turns of other tasks a step takes before it is done, and again before its answer.
const TURNS: usize = 3;

async fn turns() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

/// Polls `future` no more than `polls` times and drops it then, as hyper drops the handler of a
/// request whose client has gone. Answers what it came to, if it came to its end.
pub async fn cut<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// A repository over a slowed store in a folder of its own.
pub struct Bench {
    /// The repository.
    pub uploads: Repository,
    /// Its index.
    pub catalog: Arc<EmbeddedCatalog>,
    /// The store below the slowed one.
    pub disk: DiskStore,
    /// The folder.
    pub dir: tempfile::TempDir,
}

impl Bench {
    /// An empty one, whose index is complete.
    pub async fn new() -> Self {
        Self::with(Durability::Relaxed).await
    }

    /// The same with this durability.
    pub async fn with(durability: Durability) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = DiskStore::open(&Options {
            dir: dir.path().to_owned(),
            durability,
            min_free: 0,
            descriptors: 100,
            shared: None,
            sendfile: crate::store::Sendfile::Auto,
        });
        let disk = disk.unwrap();
        let path = dir.path().join(".wharf/catalog.redb");
        let clock = Clock::system();
        let catalog = Arc::new(EmbeddedCatalog::open(&path, clock.clone()).unwrap());
        let unverified = catalog.unverified().await.unwrap();
        catalog.mark_verified(unverified).await.unwrap();
        let slowed = Arc::new(Slowed(Arc::new(disk.clone())));
        Bench {
            uploads: Repository::new(slowed, catalog.clone(), clock, false),
            catalog,
            disk,
            dir,
        }
    }

    /// Stores an upload with one file, whose delete token is `t`, and reads it once.
    pub async fn store(&self, max_downloads: Option<u64>) -> Manifest {
        let id = UploadId::generate().unwrap();
        let store = &**self.uploads.store();
        let (staged, mut manifest) =
            crate::store::conformance::stage(store, id, &[("a.txt", b"hello")]).await;
        manifest.max_downloads = max_downloads;
        let stored = Arc::new(manifest.clone());
        self.uploads.commit(staged, stored, |_| {}).await.unwrap();
        assert!(self.uploads.get(&id).await.unwrap().is_some());
        manifest
    }

    /// Waits until no change is under way, and compares all that is known of every upload: what
    /// is stored, what the index has, and what is in memory.
    pub async fn settled(&self) -> Vec<Manifest> {
        self.uploads.0.running.idle().await;
        let mut live = Vec::new();
        for prefix in Prefix::all() {
            let mut indexed = self.catalog.with_prefix(prefix).await.unwrap();
            if indexed.is_empty() && !self.dir.path().join(prefix.as_str()).exists() {
                continue;
            }
            for found in self.disk.scan(prefix).await.unwrap() {
                let stored = self.disk.manifest(&found.id).await.unwrap().unwrap();
                let entry = self.catalog.find(&found.id).await.unwrap();
                let entry = entry.expect("what is stored is in the index");
                assert_eq!(entry.generation, stored.generation);
                assert_eq!(entry.expires_at, stored.expires_at);
                let whole = Arc::new(stored.clone());
                self.disk
                    .verify(&whole, 0..whole.parts.len())
                    .await
                    .unwrap();
                let known = self.uploads.get(&found.id).await.unwrap();
                assert_eq!(known.as_deref(), Some(&stored), "in memory");
                indexed.retain(|id| *id != found.id);
                live.push(stored);
            }
            assert_eq!(indexed, [], "in the index and not in the store");
            let later = Timestamp::from_millis(i64::MAX);
            let orphans = self.disk.orphans(prefix, later).await.unwrap();
            assert_eq!(orphans, [], "files without a manifest");
        }
        assert!(!self.uploads.0.backlog.is_behind());
        let room: u64 = live.iter().map(Manifest::room).sum();
        assert_eq!(self.catalog.stats().await.unwrap().bytes, room);
        live
    }
}

/// A store whose every step takes its turns.
pub struct Slowed(pub Arc<dyn Store>);

/// An upload into it.
struct SlowedStaged(Box<dyn Staged>);

macro_rules! slowly {
    ($step:expr) => {{
        turns().await;
        let done = $step.await;
        turns().await;
        done
    }};
}

#[async_trait]
impl Staged for SlowedStaged {
    async fn file<'a>(
        &'a mut self,
        name: FileName,
        hash: bool,
    ) -> Result<Box<dyn FileSink + 'a>, StoreError> {
        self.0.file(name, hash).await
    }

    async fn commit(self: Box<Self>, manifest: &Manifest) -> Result<(), StoreError> {
        slowly!(self.0.commit(manifest))
    }
}

#[async_trait]
impl Store for Slowed {
    async fn stage(&self, id: UploadId) -> Result<Box<dyn Staged>, StoreError> {
        let staged = slowly!(self.0.stage(id))?;
        Ok(Box::new(SlowedStaged(staged)))
    }

    async fn read(&self, id: &UploadId) -> Result<Option<Stored>, StoreError> {
        slowly!(self.0.read(id))
    }

    async fn version(&self, id: &UploadId) -> Result<Option<Version>, StoreError> {
        slowly!(self.0.version(id))
    }

    async fn replace(&self, manifest: &Manifest) -> Result<Replaced, StoreError> {
        slowly!(self.0.replace(manifest))
    }

    async fn advance(&self, manifest: &Manifest) -> Result<Replaced, StoreError> {
        slowly!(self.0.advance(manifest))
    }

    async fn remove(&self, tombstone: &Tombstone) -> Result<Replaced, StoreError> {
        slowly!(self.0.remove(tombstone))
    }

    async fn remove_damaged(
        &self,
        id: &UploadId,
        gone_at: Timestamp,
    ) -> Result<Replaced, StoreError> {
        slowly!(self.0.remove_damaged(id, gone_at))
    }

    async fn remove_files(&self, tombstone: &Tombstone) -> Result<u64, StoreError> {
        slowly!(self.0.remove_files(tombstone))
    }

    async fn remove_tombstone(&self, tombstone: &Tombstone) -> Result<(), StoreError> {
        slowly!(self.0.remove_tombstone(tombstone))
    }

    async fn open(
        &self,
        id: &UploadId,
        name: &FileName,
        size: u64,
        range: Range<u64>,
    ) -> Result<Box<dyn Blob>, StoreError> {
        slowly!(self.0.open(id, name, size, range))
    }

    async fn verify(
        &self,
        manifest: &Arc<Manifest>,
        parts: Range<usize>,
    ) -> Result<(), StoreError> {
        slowly!(self.0.verify(manifest, parts))
    }

    async fn scan(&self, prefix: Prefix) -> Result<Vec<ScannedUpload>, StoreError> {
        self.0.scan(prefix).await
    }

    async fn orphans(&self, prefix: Prefix, before: Timestamp) -> Result<Vec<Orphan>, StoreError> {
        self.0.orphans(prefix, before).await
    }

    fn ready(&self) -> Result<(), String> {
        self.0.ready()
    }

    fn answers(&self) -> Result<(), StoreError> {
        self.0.answers()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.0.close().await
    }

    fn local(&self) -> Option<&dyn LocalStore> {
        self.0.local()
    }
}

#[async_trait]
impl Notes for Slowed {
    async fn add_note(&self, note: Note, id: &UploadId) -> Result<(), StoreError> {
        slowly!(self.0.add_note(note, id))
    }

    async fn notes(&self, note: Note) -> Result<Vec<(UploadId, Timestamp)>, StoreError> {
        slowly!(self.0.notes(note))
    }

    async fn remove_note(&self, note: Note, id: &UploadId) -> Result<(), StoreError> {
        slowly!(self.0.remove_note(note, id))
    }
}

#[async_trait]
impl Records for Slowed {
    async fn identity(&self) -> Result<Option<StoreId>, StoreError> {
        self.0.identity().await
    }

    async fn set_identity(&self, id: StoreId) -> Result<(), StoreError> {
        self.0.set_identity(id).await
    }

    async fn total(&self) -> Result<Option<u64>, StoreError> {
        self.0.total().await
    }

    async fn keep_total(&self, bytes: u64) -> Result<(), StoreError> {
        self.0.keep_total(bytes).await
    }
}
