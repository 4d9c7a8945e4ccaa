//! The questions of operators and their tools to a running server, as a use case: whether it can
//! store, what it holds, and a comparison of its index with the store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::lease::Claim;
use crate::model::{Timestamp, UploadId};
use crate::reconcile::{self, Compared};
use crate::repository::{Repository, RepositoryError};

pub use crate::store::JournalFigures;

/// How long an answer waits for the index.
const INDEX_TIMEOUT: Duration = Duration::from_millis(500);

/// Answers the questions of operators.
pub struct Operate {
    uploads: Repository,
    /// Why the server must not store now, as far as neither store nor index say so themselves.
    trouble: watch::Receiver<Option<String>>,
    claims: watch::Receiver<Option<Claim>>,
    draining: AtomicBool,
    /// Why the server could not store at the last look, as the log has it. A std mutex: held to
    /// compare and replace the text.
    logged_trouble: Mutex<Option<String>>,
    /// The last comparison that was begun. A std mutex: held for a read or a replacement.
    comparison: Arc<Mutex<Comparison>>,
}

/// A comparison of the index with the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// Which one it is: no other, of any instance, has this id. `None` where none was begun.
    pub run: Option<UploadId>,
    /// How it stands.
    pub state: ComparisonState,
}

/// How a comparison of the index with the store stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ComparisonState {
    /// None was begun.
    #[default]
    None,
    /// It is under way.
    Running,
    /// It broke off: the log says why.
    Failed,
    /// It has ended.
    Done {
        /// The uploads in the store.
        uploads: u64,
        /// Those that the index had and the store did not.
        forgotten: u64,
        /// Those that cannot be read.
        damaged: u64,
    },
}

/// A comparison under way: one that ends without a result, by a panic or with its thread, has
/// failed.
struct ComparisonEnd(Arc<Mutex<Comparison>>);

impl ComparisonEnd {
    fn note(self, compared: Result<Option<Compared>, RepositoryError>) {
        let state = match compared {
            Ok(Some(compared)) => {
                let Compared {
                    uploads,
                    forgotten,
                    damaged,
                    ..
                } = compared;
                tracing::info!(
                    uploads,
                    forgotten,
                    damaged,
                    "an admin compared the index with the store"
                );
                ComparisonState::Done {
                    uploads,
                    forgotten,
                    damaged,
                }
            }
            Ok(None) => ComparisonState::Failed,
            Err(error) => {
                tracing::error!(%error, "a comparison of the index with the store broke off; it can be asked for again");
                ComparisonState::Failed
            }
        };
        lock(&self.0).state = state;
    }
}

impl Drop for ComparisonEnd {
    fn drop(&mut self) {
        let mut comparison = lock(&self.0);
        if comparison.state == ComparisonState::Running {
            comparison.state = ComparisonState::Failed;
        }
    }
}

fn lock(comparison: &Mutex<Comparison>) -> MutexGuard<'_, Comparison> {
    // Nothing between a lock and its release can panic.
    comparison.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How much is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holdings {
    /// Uploads, expired ones that were not yet removed included; `None` where the index does not
    /// answer in time.
    pub uploads: Option<u64>,
    /// Bytes that their files and manifests take, each rounded up; `None` likewise.
    pub bytes: Option<u64>,
    /// Bytes that can still be written; `None` in a bucket, and where the disk does not answer in
    /// time.
    pub free: Option<u64>,
    /// Folders of the store that the index may lack uploads of; `None` as the uploads.
    pub unverified: Option<u64>,
    /// The next deadline of an upload; `None` also where there is none.
    pub next_expiry: Option<Timestamp>,
}

/// Why the server cannot store now, in words for clients: the exact reason may hold addresses, and
/// is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unready {
    /// It is ending.
    #[error("the server is shutting down")]
    Draining,
    /// Storage and index do not belong together, or one of them is another one than before.
    #[error("the storage and the index are not ready")]
    Both,
    /// The storage.
    #[error("the storage cannot store now")]
    Store,
    /// The index.
    #[error("the index cannot be reached now")]
    Index,
}

/// Why no comparison was begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotBegun {
    /// The server is ending.
    #[error("the server is shutting down")]
    Draining,
    /// The system gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(String),
}

/// The state of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// How many uploads are stored; `None` where the index does not answer.
    pub uploads: Option<u64>,
    /// The next deadline of an upload; `None` also where the index does not answer.
    pub next_expiry: Option<Timestamp>,
    /// The epoch of the lease, where this instance holds it.
    pub epoch: Option<u64>,
    /// The promise that the store cannot keep.
    pub warning: Option<&'static str>,
}

impl Operate {
    /// Answers for `uploads`; `trouble` says what else keeps the server from storing, and `claims`
    /// whether this instance holds the lease.
    pub fn new(
        uploads: Repository,
        trouble: watch::Receiver<Option<String>>,
        claims: watch::Receiver<Option<Claim>>,
    ) -> Self {
        Operate {
            uploads,
            trouble,
            claims,
            draining: AtomicBool::new(false),
            logged_trouble: Mutex::new(None),
            comparison: Arc::default(),
        }
    }

    /// Drops readiness: the server is ending.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Why the server cannot store now, if so. The exact reason goes to the log, once.
    pub fn unready(&self) -> Option<Unready> {
        if self.draining.load(Ordering::Relaxed) {
            return Some(Unready::Draining);
        }
        let trouble = self.trouble.borrow().clone();
        let store = || self.uploads.store().ready().err();
        let index = || self.uploads.catalog().ready().err();
        let found = trouble
            .map(|reason| (Unready::Both, reason))
            .or_else(|| Some((Unready::Store, store()?)))
            .or_else(|| Some((Unready::Index, index()?)));
        let (unready, reason) = found.unzip();
        // Nothing between the lock and its release can panic half-way.
        let logged = self.logged_trouble.lock();
        let mut logged = logged.unwrap_or_else(PoisonError::into_inner);
        if *logged != reason {
            if let Some(reason) = &reason {
                tracing::error!(reason, "not ready");
            }
            *logged = reason;
        }
        unready
    }

    /// Why an upload cannot begin now, if so. Trouble of the store itself, such as a full disk, is
    /// no reason: the upload fails with the store's own error, which says more.
    pub fn refuses_uploads(&self) -> Option<Unready> {
        self.unready()
            .filter(|_| self.uploads.store().ready().is_ok())
    }

    /// What the journal of the store has done, where there is one.
    pub fn journal(&self) -> Option<JournalFigures> {
        self.uploads.store().local()?.journal()
    }

    /// How much is stored.
    pub async fn holdings(&self) -> Holdings {
        let catalog = self.uploads.catalog();
        let index =
            async { tokio::join!(catalog.stats(), catalog.unverified(), catalog.next_due()) };
        let index = tokio::time::timeout(INDEX_TIMEOUT, index);
        let free = async {
            let free = self.uploads.store().local()?.free_bytes();
            tokio::time::timeout(INDEX_TIMEOUT, free).await.ok()?.ok()
        };
        let (index, free) = tokio::join!(index, free);
        let Ok((stats, unverified, next)) = index else {
            return Holdings {
                free,
                ..Holdings::default()
            };
        };
        let stats = stats.ok();
        Holdings {
            uploads: stats.map(|stats| stats.uploads),
            bytes: stats.map(|stats| stats.bytes),
            free,
            unverified: unverified.ok().map(|folders| folders.prefixes.len() as u64),
            next_expiry: next.ok().flatten(),
        }
    }

    /// Since when this instance holds the lease, if it does.
    pub fn leading_since(&self) -> Option<Timestamp> {
        self.claims.borrow().as_ref().map(|claim| claim.acquired_at)
    }

    /// The epoch of the lease, where this instance holds it.
    pub fn epoch(&self) -> Option<u64> {
        self.claims.borrow().as_ref().map(|claim| claim.epoch)
    }

    /// The state of this instance. An index that does not answer delays it by half a second.
    pub async fn status(&self) -> Status {
        let catalog = self.uploads.catalog();
        let both = async { tokio::join!(catalog.stats(), catalog.next_due()) };
        let (stats, next) = match tokio::time::timeout(INDEX_TIMEOUT, both).await {
            Ok((stats, next)) => (stats.ok(), next.ok().flatten()),
            Err(_) => (None, None),
        };
        let store = self.uploads.store().local();
        Status {
            uploads: stats.map(|stats| stats.uploads),
            next_expiry: next,
            epoch: self.epoch(),
            warning: store.and_then(|store| store.warning()),
        }
    }

    /// Begins to compare the whole index with the store, unless that is under way: it goes on when
    /// the caller has gone, and ends with `stop`. Answers with the one under way.
    ///
    /// # Errors
    /// The server is ending, or the system gives no random bytes.
    pub fn begin_comparison(&self, stop: &CancellationToken) -> Result<Comparison, NotBegun> {
        if stop.is_cancelled() || self.draining.load(Ordering::Relaxed) {
            return Err(NotBegun::Draining);
        }
        let run = UploadId::generate().map_err(|error| NotBegun::Random(error.to_string()))?;
        let begun = {
            let mut comparison = lock(&self.comparison);
            if comparison.state == ComparisonState::Running {
                return Ok(comparison.clone());
            }
            *comparison = Comparison {
                run: Some(run),
                state: ComparisonState::Running,
            };
            comparison.clone()
        };
        let ended = ComparisonEnd(Arc::clone(&self.comparison));
        let (uploads, stop) = (self.uploads.clone(), stop.clone());
        tokio::spawn(async move {
            let compared = reconcile::compare(&uploads, &stop).await;
            ended.note(compared);
        });
        Ok(begun)
    }

    /// The last comparison that was begun.
    pub fn comparison(&self) -> Comparison {
        lock(&self.comparison).clone()
    }
}
