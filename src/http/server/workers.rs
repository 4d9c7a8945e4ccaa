//! The threads that serve the connections.

use std::io;
use std::num::NonZero;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// How many threads may block for the connections: commits that wait for the disk, reads of cold
/// files, hashing. Every worker has its share.
const BLOCKING_THREADS: usize = 512;
/// How long the drop waits for their end.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// How often their end is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// The least share: more than the threads on which a store commits at once, so that nothing else
/// waits behind them.
const BLOCKING_SHARE: usize = 192;

/// A thread for each processor, each with a runtime of its own: a connection stays on the thread
/// it was given to. Where all threads share one runtime, a connection is taken over by whichever
/// looks first each time bytes come, and the hopping costs more than it evens out.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    end: CancellationToken,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    thread: JoinHandle<()>,
}

impl Workers {
    /// Starts them.
    ///
    /// # Errors
    /// The system has no thread or no descriptor left.
    pub fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        let blocking = (BLOCKING_THREADS / count).max(BLOCKING_SHARE);
        let end = CancellationToken::new();
        let mut workers = Workers {
            workers: Vec::with_capacity(count),
            end,
        };
        for _ in 0..count {
            let worker = Worker::start(blocking, workers.end.clone())?;
            workers.workers.push(worker);
        }
        Ok(workers)
    }

    /// Gives a task to the one that has the fewest.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let tasks = |worker: &&Worker| worker.runtime.metrics().num_alive_tasks();
        if let Some(worker) = self.workers.iter().min_by_key(tasks) {
            worker.runtime.spawn(task);
        }
    }

    /// Returns when each has run a task.
    pub async fn answer(&self) {
        let tasks = self
            .workers
            .iter()
            .map(|worker| worker.runtime.spawn(async {}));
        let tasks: Vec<_> = tasks.collect();
        for task in tasks {
            // It fails only where the runtime has ended, and there is nothing to be waited for.
            let _ = task.await;
        }
    }
}

impl Drop for Workers {
    /// Waits for calls that still block on the threads of the runtimes, but no longer than a store
    /// that hangs may keep them.
    fn drop(&mut self) {
        self.end.cancel();
        let start = Instant::now();
        let ended = || self.workers.iter().all(|it| it.thread.is_finished());
        while !ended() && start.elapsed() < END_TIMEOUT {
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Worker {
    fn start(blocking: usize, end: CancellationToken) -> io::Result<Self> {
        // The thread makes its runtime: one that has no thread would have to be dropped by a task.
        let (built, started) = mpsc::sync_channel(1);
        let run = move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(blocking)
                .build();
            let handle = runtime.as_ref().map(|runtime| runtime.handle().clone());
            let failed = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
            // It is received below.
            let _ = built.send(handle.map_err(failed));
            if let Ok(runtime) = runtime {
                runtime.block_on(end.cancelled());
            }
        };
        let thread = thread::Builder::new().name("wharf-worker".to_owned());
        let thread = thread.spawn(run)?;
        let runtime = started.recv().map_err(io::Error::other)??;
        Ok(Worker { runtime, thread })
    }
}
