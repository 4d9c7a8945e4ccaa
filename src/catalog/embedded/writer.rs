//! The one thread that writes to the database.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use redb::Durability;

use super::open::mark_clean;
use super::pending::RecordChange;
use super::shared::SharedIndex;
use super::tables::Tables;
use crate::model::UploadId;

/// How long changes may be in the database without being on stable storage.
const SYNC_EVERY: Duration = Duration::from_secs(10);
/// The pause before the disk, which did not take the index, is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How long changes gather before they are written: a transaction of one costs as much as one of
/// many, and no caller waits for it.
const GATHER_TIME: Duration = Duration::from_millis(10);
/// How many changes may wait to be written before callers wait to make more.
const MAX_PENDING: usize = 64 * 1024;

/// A handle of the writing thread.
pub struct IndexWriter {
    shared: Arc<SharedIndex>,
    /// Holds one wake-up; it ends the thread when it is dropped.
    waker: Mutex<Option<SyncSender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl IndexWriter {
    pub fn start(shared: Arc<SharedIndex>) -> io::Result<Self> {
        let (waker, wakes) = sync_channel(1);
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("catalog".to_owned())
            .spawn(move || {
                let ran = catch_unwind(AssertUnwindSafe(|| run(&worker, &wakes)));
                let error = match ran {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "the writer panicked".to_owned(),
                };
                tracing::error!(error, "the index cannot be written; restart to rebuild it");
                worker.lock().broken = Some(error);
                worker.written.notify_waiters();
            })?;
        Ok(IndexWriter {
            shared,
            waker: Mutex::new(Some(waker)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Tells the thread that there is something to write.
    pub fn wake(&self) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*waker {
            // A wake-up that waits already is enough.
            let _ = waker.try_send(());
        }
    }

    /// Waits while too many changes are to be written.
    pub async fn wait_for_room(&self) {
        loop {
            let written = self.shared.written.notified();
            {
                let state = self.shared.lock();
                if state.pending.len() < MAX_PENDING || state.broken.is_some() {
                    return;
                }
            }
            written.await;
        }
    }

    /// Writes every change, marks the index as clean, and ends the thread.
    pub async fn close(&self) {
        drop(
            self.waker
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // An error of the thread is in the state by now.
            let _ = tokio::task::spawn_blocking(|| thread.join()).await;
        }
    }
}

impl Drop for IndexWriter {
    fn drop(&mut self) {
        drop(
            self.waker
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }
}

fn run(shared: &SharedIndex, wakes: &Receiver<()>) -> Result<(), redb::Error> {
    let mut unsynced: Option<Instant> = None;
    let mut tried = Instant::now();
    loop {
        let mut wait = unsynced.map_or(SYNC_EVERY, |since| {
            SYNC_EVERY.saturating_sub(since.elapsed())
        });
        if shared.file.is_troubled() {
            wait = wait.min(RETRY_DELAY);
        }
        let woken = wakes.recv_timeout(wait);
        if shared.file.is_troubled() && tried.elapsed() >= RETRY_DELAY {
            shared.file.rewrite();
            tried = Instant::now();
        }
        if woken.is_ok() {
            std::thread::sleep(GATHER_TIME);
        }
        let changes = shared.lock().pending.take();
        let overdue = unsynced.is_some_and(|since| since.elapsed() >= SYNC_EVERY);
        if !changes.is_empty() || overdue {
            write(shared, &changes, overdue)?;
            unsynced = if overdue {
                None
            } else {
                unsynced.or_else(|| Some(Instant::now()))
            };
        }
        if woken == Err(RecvTimeoutError::Disconnected) {
            let (stats, whole) = {
                let state = shared.lock();
                (state.stats, state.broken.is_none())
            };
            if whole && shared.complete.load(Ordering::Acquire) {
                mark_clean(&shared.database, &shared.file, stats)?;
            }
            return Ok(());
        }
    }
}

fn write(
    shared: &SharedIndex,
    changes: &[(UploadId, RecordChange)],
    durable: bool,
) -> Result<(), redb::Error> {
    let mut transaction = shared.database.begin_write()?;
    transaction.set_durability(if durable {
        Durability::Immediate
    } else {
        Durability::None
    })?;
    // Without it a start after a crash reads the whole file.
    transaction.set_quick_repair(durable);
    {
        let mut tables = Tables::open(&transaction)?;
        for (id, change) in changes {
            tables.apply(id, change)?;
        }
    }
    transaction.commit()?;
    shared.in_memory.measure();
    shared.lock().pending.settle(changes);
    shared.written.notify_waiters();
    Ok(())
}
