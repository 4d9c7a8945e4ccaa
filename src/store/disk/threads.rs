//! On which threads the file system of a store is touched.
//!
//! A local one answers from memory as a rule, and to move work to another thread would cost more
//! than most calls. One that asks another machine or another program (NFS, SMB, FUSE) may not
//! answer for hours: all work on it runs on blocking threads, of which it can occupy so many, and
//! the threads that serve connections go on.
//!
//! All work on the file system needs an [`Inner`]. A task has a [`Disk`] instead, which gives the
//! [`Inner`] to work on a blocking thread, or to the task if the file system is
//! [local](Disk::local).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::closer::{Closer, may_block};
use super::inner::Inner;
use super::state::State;
use crate::model::Uptime;
use crate::store::StoreError;

/// How many threads may work on a file system that is not local at once: fewer than the share of a
/// worker, so that other work always finds one.
const MAX_THREADS: usize = 128;
/// A check of the file system that takes longer says that it does not answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is checked while it is used.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The reason given while it does not answer.
const NO_ANSWER: &str = "its file system does not answer";

/// A store's file system, as tasks have it.
#[derive(Debug, Clone)]
pub struct Disk {
    inner: Arc<Inner>,
    /// `None` where it is local.
    remote: Option<Arc<Remote>>,
}

/// The state of a file system that may not answer.
#[derive(Debug)]
struct Remote {
    threads: Arc<Semaphore>,
    /// Guards the check. A std mutex: held to read or change it, over no await.
    check: Mutex<Check>,
}

#[derive(Debug)]
struct Check {
    /// Since when one is under way.
    under_way: Option<Uptime>,
    /// When the last one ended.
    ended: Option<Uptime>,
    /// The result of the last one.
    result: Result<(), String>,
    /// Whether the log says that the file system does not answer.
    logged: bool,
}

impl Disk {
    /// For a file system that is local, or `remote`.
    pub fn new(inner: Inner, remote: bool) -> Self {
        Disk {
            inner: Arc::new(inner),
            remote: remote.then(Remote::new),
        }
    }

    /// The state that the uploads share in memory alone.
    pub fn state(&self) -> &State {
        &self.inner.state
    }

    /// Whether uploads can still be made durable, as far as that is known.
    pub fn healthy(&self) -> Result<(), String> {
        self.inner.syncer.healthy()?;
        self.inner.journal_works()
    }

    /// Whether the journal takes records, where there is one.
    pub fn journal_works(&self) -> Result<(), String> {
        self.inner.journal_works()
    }

    /// The file system, for the start of the store, when no task waits for it yet.
    pub fn direct(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Whether the file system is FAT, or no better.
    pub fn is_bare(&self) -> bool {
        self.inner.bare
    }

    /// The threads that close its files.
    pub fn closer(&self) -> &Closer {
        &self.inner.closer
    }

    /// Does `work` that no task waits for, on a thread that may block.
    pub fn afterwards(&self, work: impl FnOnce(&Inner) + Send + 'static) {
        let inner = Arc::clone(&self.inner);
        self.closer().run(move || work(&inner));
    }

    /// The file system, for this thread; `None` unless it is local.
    pub fn local(&self) -> Option<&Arc<Inner>> {
        self.remote.is_none().then_some(&self.inner)
    }

    /// Runs `work` that takes hardly any time on a local file system: there on this thread.
    pub async fn run_quick<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Inner>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.local() {
            Some(inner) => work(inner),
            None => self.run_blocking(work).await,
        }
    }

    /// Runs `work` on a blocking thread: to its end, also when the caller no longer waits for it.
    pub async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Inner>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let thread = match &self.remote {
            Some(remote) => Arc::clone(&remote.threads).acquire_owned().await.ok(),
            None => None,
        };
        let inner = Arc::clone(&self.inner);
        let task = tokio::task::spawn_blocking(move || {
            let _thread = thread;
            may_block(|| work(&inner))
        });
        joined(task).await
    }

    /// Begins `work` on a blocking thread.
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Inner>) -> Result<T, StoreError> + Send + 'static,
    ) -> JoinHandle<Result<T, StoreError>> {
        let disk = self.clone();
        match self.local() {
            Some(_) => tokio::task::spawn_blocking(move || may_block(|| work(&disk.inner))),
            None => tokio::spawn(async move { disk.run_blocking(work).await }),
        }
    }

    /// Refuses new work on a file system that does not answer. Work that has begun goes on waiting.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not answer.
    pub fn require_answering(&self) -> Result<(), StoreError> {
        let Some(remote) = &self.remote else {
            return Ok(());
        };
        match self.is_answering(remote) {
            true => Ok(()),
            false => Err(StoreError::Unavailable(NO_ANSWER.to_owned())),
        }
    }

    /// Whether it answers and has room, as far as that can be said at once.
    pub fn ready(&self) -> Result<(), String> {
        match &self.remote {
            None => self.inner.space.check().map_err(|error| error.to_string()),
            Some(remote) if self.is_answering(remote) => remote.lock().result.clone(),
            Some(_) => Err(NO_ANSWER.to_owned()),
        }
    }

    /// Whether the file system answers; starts the next check of it in the background, if it is
    /// time.
    fn is_answering(&self, remote: &Arc<Remote>) -> bool {
        let mut check = remote.lock();
        if let Some(begun) = check.under_way {
            let answers = begun.elapsed() < ANSWER_TIMEOUT;
            if !answers && !std::mem::replace(&mut check.logged, true) {
                tracing::error!(
                    "the file system of the store does not answer; new requests are refused until it does"
                );
            }
            return answers;
        }
        let due = check
            .ended
            .is_none_or(|ended| ended.elapsed() >= CHECK_INTERVAL);
        let (true, Ok(runtime)) = (due, Handle::try_current()) else {
            return true;
        };
        check.under_way = Some(Uptime::now());
        drop(check);
        let (inner, checking) = (Arc::clone(&self.inner), Checking(Arc::clone(remote)));
        runtime.spawn(async move {
            // On a thread beyond those for work: where all of those are busy with a file system that
            // is merely slow, it still answers.
            let result = tokio::task::spawn_blocking(move || may_block(|| inner.space.check()));
            let result = joined(result).await;
            let mut check = checking.0.lock();
            check.result = result.map_err(|error| error.to_string());
            if std::mem::take(&mut check.logged) {
                tracing::info!("the file system of the store answers again");
            }
        });
        true
    }

    /// The same, treated as one that is not local.
    #[cfg(test)]
    pub fn made_remote(self) -> Self {
        Disk {
            remote: Some(Remote::new()),
            ..self
        }
    }

    /// The file system, for a test to change before it is used.
    #[cfg(test)]
    pub fn inner_mut(&mut self) -> &mut Inner {
        Arc::get_mut(&mut self.inner).unwrap()
    }

    /// The file system, local or not.
    #[cfg(test)]
    pub fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

impl Remote {
    fn new() -> Arc<Self> {
        Arc::new(Remote {
            threads: Arc::new(Semaphore::new(MAX_THREADS)),
            check: Mutex::new(Check {
                under_way: None,
                ended: None,
                result: Ok(()),
                logged: false,
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Check> {
        // A panic cannot leave it half changed.
        self.check.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A check under way: it ends with its runtime, if not before.
struct Checking(Arc<Remote>);

impl Drop for Checking {
    fn drop(&mut self) {
        let mut check = self.0.lock();
        check.under_way = None;
        check.ended = Some(Uptime::now());
    }
}

/// The result of work on a blocking thread; its panic goes on here.
pub async fn joined<T>(task: JoinHandle<Result<T, StoreError>>) -> Result<T, StoreError> {
    match task.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(StoreError::ended(error)),
        },
    }
}
