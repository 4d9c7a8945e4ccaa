//! The tasks of the repository. Nothing interrupts one between its steps: no client that leaves, no
//! stream that is reset, and no end of the server.

use super::Repository;
use super::change::Change;
use crate::model::UploadId;
use crate::store::StoreError;

impl Repository {
    /// Runs `work` on an upload as a task, which goes on to its end when the caller does not wait.
    ///
    /// # Errors
    /// Those of `work`; it panicked; or the server is ending.
    pub(super) async fn change<T, E, F>(
        &self,
        what: &'static str,
        id: &UploadId,
        work: impl FnOnce(Change) -> F,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let change = Change::begin(&self.0, what, *id);
        self.track(work(change), || format!("a {what} of {id}"))
            .await?
    }

    /// Runs a task that the end of the server waits for.
    pub(super) async fn track<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        what: impl FnOnce() -> String,
    ) -> Result<T, StoreError> {
        let tracker = &self.0.running.tracker;
        // Tracked before the check: if the tracker is closed after it, its closing waits for this
        // task.
        let work = tracker.track_future(work);
        if tracker.is_closed() {
            return Err(StoreError::Unavailable("the server is ending".to_owned()));
        }
        tokio::spawn(work).await.map_err(|error| {
            let what = what();
            match error.try_into_panic() {
                Ok(panic) => StoreError::panicked(what, &*panic),
                Err(error) => StoreError::io(what, std::io::Error::other(error)),
            }
        })
    }

    /// Begins a task that the end of the server waits for; no caller waits for it.
    pub(super) fn begin(&self, work: impl Future<Output = ()> + Send + 'static) {
        let tracker = &self.0.running.tracker;
        let work = tracker.track_future(work);
        if tracker.is_closed() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(work);
        }
    }
}
