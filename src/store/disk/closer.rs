//! Closes files on threads of its own. To close the last descriptor of a file that has no name any
//! more takes as long as freeing its blocks: some 50 ms a GiB on ext4. And to close a file that lies
//! on another machine may take as long as that machine does.

use std::cell::Cell;
use std::io;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio_util::task::TaskTracker;

/// How many threads close the files of another machine.
pub const REMOTE_THREADS: usize = 4;

thread_local! {
    static MAY_BLOCK: Cell<bool> = const { Cell::new(false) };
}

/// Does `work` on a thread that may block: files that it closes are closed there.
pub fn may_block<T>(work: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            MAY_BLOCK.set(self.0);
        }
    }
    let _restore = Restore(MAY_BLOCK.replace(true));
    work()
}

type Job = Box<dyn FnOnce() + Send>;

/// Closes files, and does other work that no task waits for, on threads of its own. They end with
/// it.
#[derive(Debug)]
pub struct Closer {
    jobs: Sender<Job>,
    under_way: TaskTracker,
    /// Whether any file may have to wait for another machine.
    pub remote: bool,
}

impl Closer {
    /// Starts its threads.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(remote: bool) -> io::Result<Arc<Self>> {
        let (jobs, received) = mpsc::channel::<Job>();
        let received = Arc::new(Mutex::new(received));
        for _ in 0..if remote { REMOTE_THREADS } else { 1 } {
            let received = Arc::clone(&received);
            let next = move || {
                // A panic cannot leave the channel half changed.
                let received = received.lock().unwrap_or_else(PoisonError::into_inner);
                received.recv()
            };
            let run = move || {
                while let Ok(job) = next() {
                    may_block(job);
                }
            };
            let thread = thread::Builder::new().name("wharf-close".to_owned());
            thread.spawn(run)?;
        }
        Ok(Arc::new(Closer {
            jobs,
            under_way: TaskTracker::new(),
            remote,
        }))
    }

    /// Runs `job` on another thread, or here if this thread may block.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) {
        if MAY_BLOCK.get() {
            return job();
        }
        let under_way = self.under_way.token();
        let tracked = Box::new(move || {
            job();
            drop(under_way);
        });
        if let Err(refused) = self.jobs.send(tracked) {
            refused.0();
        }
    }

    /// Waits until all jobs are done.
    pub async fn idle(&self) {
        self.under_way.close();
        self.under_way.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_may_block_runs_a_job_itself() {
        let closer = Closer::start(false).unwrap();
        let this = thread::current().id();
        let (ran, on) = mpsc::channel();
        may_block(|| closer.run(move || ran.send(thread::current().id()).unwrap()));
        assert_eq!(on.recv().unwrap(), this);
    }
}
