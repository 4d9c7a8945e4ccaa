//! Which threads the file system of a store is touched on.
//!
//! A local one answers out of memory as a rule, and a trip to another thread would cost more than
//! most calls. One that asks another machine or another program (NFS, SMB, FUSE) may not answer
//! for hours: all that touches it runs on threads that may wait, of which it can keep so many, and
//! the threads that serve connections go on.
//!
//! What touches it is in [`Inner`], and who runs as a task has a [`Disk`] instead: it gives an
//! [`Inner`] to work on a thread that may wait, or [here](Disk::here) if the file system is local.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::closer::{Closer, may_wait};
use super::{Inner, State};
use crate::model::Uptime;
use crate::store::StoreError;

/// How many threads may wait for one that is not local: fewer than the share of a worker, so that
/// other work always finds one.
const WAITING: usize = 128;
/// A look at the file system that takes longer says that it stands still.
const STILL: Duration = Duration::from_secs(5);
/// How often it is looked at while it is used.
const LOOK: Duration = Duration::from_secs(1);
/// What is said of one that stands still.
const NO_ANSWER: &str = "its file system does not answer";

/// The way of tasks to a store's file system.
#[derive(Debug, Clone)]
pub struct Disk {
    inner: Arc<Inner>,
    /// `None` where it is local.
    remote: Option<Arc<Remote>>,
}

/// What is known of a file system that may stand still.
#[derive(Debug)]
struct Remote {
    threads: Arc<Semaphore>,
    /// Guards the look that is under way. A std mutex: held for a look at it.
    look: Mutex<Look>,
}

#[derive(Debug)]
struct Look {
    /// Since when one is under way.
    under_way: Option<Uptime>,
    ended: Option<Uptime>,
    /// What the last one came to.
    found: Result<(), String>,
    /// Whether the log says that it stands still.
    logged: bool,
}

impl Disk {
    /// The way to a file system that is local, or `remote`.
    pub fn new(inner: Inner, remote: bool) -> Self {
        Disk {
            inner: Arc::new(inner),
            remote: remote.then(Remote::new),
        }
    }

    /// What is in memory alone.
    pub fn state(&self) -> &State {
        &self.inner.state
    }

    /// Why nothing can be made durable any more, as far as that is known.
    pub fn healthy(&self) -> Result<(), String> {
        self.inner.syncer.healthy()
    }

    /// Whether the file system is FAT, or no better.
    pub fn is_bare(&self) -> bool {
        self.inner.bare
    }

    /// What closes its files.
    pub fn closer(&self) -> &Closer {
        &self.inner.closer
    }

    /// The file system, for this thread: only if it is local.
    pub fn here(&self) -> Option<&Arc<Inner>> {
        self.remote.is_none().then_some(&self.inner)
    }

    /// Does what takes hardly any time on a local file system: there on this thread.
    pub async fn quick<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Inner>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.here() {
            Some(inner) => work(inner),
            None => self.away(work).await,
        }
    }

    /// Runs `work` on a thread that may wait, to its end, also when the caller no longer waits for it.
    pub async fn away<T: Send + 'static>(
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
            may_wait(|| work(&inner))
        });
        joined(task).await
    }

    /// Begins `work` on a thread that may wait.
    pub fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Inner>) -> Result<T, StoreError> + Send + 'static,
    ) -> JoinHandle<Result<T, StoreError>> {
        let disk = self.clone();
        match self.here() {
            Some(_) => tokio::task::spawn_blocking(move || may_wait(|| work(&disk.inner))),
            None => tokio::spawn(async move { disk.away(work).await }),
        }
    }

    /// Refuses what would begin to wait for a file system that stands still. What has begun waits
    /// for it on.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub fn answers(&self) -> Result<(), StoreError> {
        let Some(remote) = &self.remote else {
            return Ok(());
        };
        match self.look(remote) {
            true => Ok(()),
            false => Err(StoreError::Unavailable(NO_ANSWER.to_owned())),
        }
    }

    /// Whether it answers and has room, as far as that can be said at once.
    pub fn ready(&self) -> Result<(), String> {
        match &self.remote {
            None => self.inner.space.check().map_err(|error| error.to_string()),
            Some(remote) if self.look(remote) => remote.lock().found.clone(),
            Some(_) => Err(NO_ANSWER.to_owned()),
        }
    }

    /// Looks at the file system beside, if it is time; answers whether it answers.
    fn look(&self, remote: &Arc<Remote>) -> bool {
        let mut look = remote.lock();
        if let Some(begun) = look.under_way {
            let answers = begun.elapsed() < STILL;
            if !answers && !std::mem::replace(&mut look.logged, true) {
                tracing::error!("the file system of the store does not answer");
            }
            return answers;
        }
        let due = look.ended.is_none_or(|ended| ended.elapsed() >= LOOK);
        let (true, Ok(runtime)) = (due, Handle::try_current()) else {
            return true;
        };
        look.under_way = Some(Uptime::now());
        drop(look);
        let (inner, looking) = (Arc::clone(&self.inner), Looking(Arc::clone(remote)));
        runtime.spawn(async move {
            // On a thread beyond those that work has: where all of them are busy with a file system
            // that is merely slow, it still answers.
            let found = tokio::task::spawn_blocking(move || may_wait(|| inner.space.check()));
            let found = joined(found).await;
            let mut look = looking.0.lock();
            look.found = found.map_err(|error| error.to_string());
            if std::mem::take(&mut look.logged) {
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

    /// The file system, to be changed before it is used.
    #[cfg(test)]
    pub fn inner_mut(&mut self) -> &mut Inner {
        Arc::get_mut(&mut self.inner).unwrap()
    }

    /// The file system, whatever it is.
    #[cfg(test)]
    pub fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

impl Remote {
    fn new() -> Arc<Self> {
        Arc::new(Remote {
            threads: Arc::new(Semaphore::new(WAITING)),
            look: Mutex::new(Look {
                under_way: None,
                ended: None,
                found: Ok(()),
                logged: false,
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Look> {
        // Nothing between a lock and its release can panic half-way.
        self.look.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A look under way: it ends with its runtime, if not before.
struct Looking(Arc<Remote>);

impl Drop for Looking {
    fn drop(&mut self) {
        let mut look = self.0.lock();
        look.under_way = None;
        look.ended = Some(Uptime::now());
    }
}

/// What a thread has come to.
pub async fn joined<T>(task: JoinHandle<Result<T, StoreError>>) -> Result<T, StoreError> {
    match task.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(StoreError::ended(error)),
        },
    }
}
