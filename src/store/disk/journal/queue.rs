//! The state that both threads of a journal and all appends share: the records that wait, the
//! segments, and whether the journal works.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::record::{BLOCK, Body, HEAD, Kind};
use super::segment::Segment;
use crate::store::JournalFigures;

/// The most bytes that are written before one sync.
const MOST_BYTES: usize = 8 << 20;
/// The most pieces that one system call writes (`IOV_MAX`); a record has three.
const MOST_RECORDS: usize = 1024 / 3 - 1;
/// After so many bytes a checkpoint is made before its time.
const CHECKPOINT_BYTES: u64 = 32 << 20;
/// How often a wait looks whether the process is ending.
const LOOK: Duration = Duration::from_millis(100);

/// Why a record was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Every segment holds records that are still needed.
    NoRoom,
    /// The journal has failed, and takes nothing more.
    Failed(String),
}

/// A change whose record is on stable storage, and whose names are not given or removed yet: no
/// checkpoint passes its record before this is dropped.
#[derive(Debug)]
pub struct Recorded(Arc<Unnamed>);

/// How many changes of one use of a segment are not done.
#[derive(Debug, Default)]
pub struct Unnamed {
    count: Mutex<u64>,
    none: Condvar,
}

impl Unnamed {
    /// Counts one change more.
    pub fn add(self: &Arc<Self>) -> Recorded {
        *self.lock() += 1;
        Recorded(Arc::clone(self))
    }

    /// Waits until all are done; `false` when `over` says first that the wait is.
    pub fn wait(&self, over: impl Fn() -> bool) -> bool {
        let mut count = self.lock();
        while *count > 0 {
            if over() {
                return false;
            }
            let woken = self.none.wait_timeout(count, LOOK);
            count = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        // Nothing between a lock and its release can panic.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        let mut count = self.0.lock();
        *count -= 1;
        if *count == 0 {
            self.0.none.notify_all();
        }
    }
}

/// A record that waits to be written.
#[derive(Debug)]
pub struct Waiting {
    pub body: Body,
    pub answer: oneshot::Sender<Result<Recorded, Refused>>,
}

impl Waiting {
    /// The bytes that it takes.
    pub fn len(&self) -> usize {
        HEAD + self.body.len()
    }

    /// Tells the caller that it is not written.
    pub fn refuse(self, why: Refused) {
        // A caller that does not wait any more does nothing with the record.
        let _ = self.answer.send(Err(why));
    }
}

/// A segment to which no more records come.
#[derive(Debug)]
pub struct Closed {
    pub segment: Segment,
    pub unnamed: Arc<Unnamed>,
    /// The number of the first record behind it.
    pub next: u64,
}

/// The next task of the writer.
#[derive(Debug)]
pub enum Work {
    /// Write these records.
    Write(Vec<Waiting>),
    /// Close the segment.
    CloseSegment,
    /// Nothing any more.
    End,
}

/// The state that the threads share.
#[derive(Debug)]
pub struct Queue {
    /// A std mutex, released before any thread is woken and over every call of the system.
    state: Mutex<State>,
    /// Wakes the writer.
    work: Condvar,
    /// Wakes the thread of the checkpoints.
    progress: Condvar,
    /// Set when one of the threads has ended and should not have.
    pub died: CancellationToken,
    pub counts: Counts,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    free: Vec<Segment>,
    closed: Vec<Closed>,
    /// Bytes of the segments that a checkpoint is about to free.
    passing: u64,
    /// Whether the writer has a batch.
    writing: bool,
    /// Bytes of records in the segment that is being written.
    filled: u64,
    /// Whether the writer is to close that segment.
    close_segment: bool,
    /// Whether a last checkpoint is to be made.
    ending: bool,
    /// Whether the threads are to end.
    over: bool,
    failed: Option<String>,
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Records written.
    pub records: AtomicU64,
    /// Syncs that made them durable.
    pub batches: AtomicU64,
    /// Bytes written.
    pub bytes: AtomicU64,
    /// Records that found no room.
    pub refused: AtomicU64,
}

impl Queue {
    /// With these segments, none of which is needed.
    pub fn new(free: Vec<Segment>, died: CancellationToken) -> Self {
        Queue {
            state: Mutex::new(State {
                free,
                ..State::default()
            }),
            work: Condvar::new(),
            progress: Condvar::new(),
            died,
            counts: Counts::default(),
        }
    }

    /// Queues a record.
    pub fn append(
        &self,
        body: Body,
    ) -> Result<oneshot::Receiver<Result<Recorded, Refused>>, Refused> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.lock();
        if let Some(why) = &state.failed {
            return Err(Refused::Failed(why.clone()));
        }
        if state.ending || state.over {
            return Err(Refused::Failed("the server is ending".to_owned()));
        }
        state.waiting.push_back(Waiting { body, answer });
        let first = state.waiting.len() == 1;
        drop(state);
        if first {
            self.work.notify_one();
        }
        Ok(answered)
    }

    /// Waits for what the writer is to do next.
    pub fn work(&self, most: usize) -> Work {
        let mut state = self.lock();
        state.writing = false;
        loop {
            if state.over {
                return Work::End;
            }
            if state.close_segment {
                return Work::CloseSegment;
            }
            if !state.waiting.is_empty() {
                state.writing = true;
                return Work::Write(state.take_batch(most));
            }
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many segments are free.
    pub fn free(&self) -> usize {
        self.lock().free.len()
    }

    /// A segment that is free.
    pub fn take_free(&self) -> Option<Segment> {
        self.lock().free.pop()
    }

    /// Notes that so many bytes stand in the segment that is being written.
    pub fn fill(&self, bytes: u64) {
        let mut state = self.lock();
        let due = state.filled < CHECKPOINT_BYTES && bytes >= CHECKPOINT_BYTES;
        state.filled = bytes;
        drop(state);
        if due {
            self.progress.notify_all();
        }
    }

    /// Hands over a segment to which no more records come, if there is one, and says that the writer
    /// has done with closing.
    pub fn segment_closed(&self, closed: Option<Closed>) {
        let mut state = self.lock();
        state.close_segment = false;
        if closed.is_some() {
            state.filled = 0;
        }
        state.closed.extend(closed);
        drop(state);
        self.progress.notify_all();
    }

    /// Waits until a checkpoint is due, `interval` after the `last` one at the latest; answers the segments that it is to free, in their order.
    /// `None` when there are none any more, or the journal has failed.
    pub fn checkpoint(&self, last: Instant, interval: Duration) -> Option<Vec<Closed>> {
        let mut state = self.lock();
        loop {
            if state.over || state.failed.is_some() {
                return None;
            }
            let written = state.filled > 0;
            let since = last.elapsed();
            let due = state.ending
                || !state.closed.is_empty()
                || state.filled >= CHECKPOINT_BYTES
                || written && since >= interval;
            if due && written && !state.close_segment && !state.free.is_empty() {
                state.close_segment = true;
                self.work.notify_one();
            }
            if !state.close_segment && !state.closed.is_empty() {
                let closed = std::mem::take(&mut state.closed);
                state.passing = closed.iter().map(|closed| closed.segment.len).sum();
                return Some(closed);
            }
            if state.ending && !written && !state.writing && state.waiting.is_empty() {
                return None;
            }
            let left = match written || state.ending {
                true if due => LOOK,
                true => interval.saturating_sub(since).max(LOOK),
                false => interval,
            };
            let woken = self.progress.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes back the segments that a checkpoint has freed.
    pub fn freed(&self, segments: impl Iterator<Item = Segment>) {
        let mut state = self.lock();
        state.free.extend(segments);
        state.passing = 0;
        drop(state);
        self.progress.notify_all();
    }

    /// Has a last checkpoint made, and nothing more taken.
    pub fn end(&self) {
        self.lock().ending = true;
        self.progress.notify_all();
    }

    /// Has the threads end.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.over = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for record in waiting {
            record.refuse(Refused::Failed("the server is ending".to_owned()));
        }
        self.work.notify_all();
        self.progress.notify_all();
    }

    /// Whether the threads are to end.
    pub fn is_over(&self) -> bool {
        self.lock().over
    }

    /// Takes nothing more, for this reason; the first one counts.
    pub fn fail(&self, why: &str) {
        let mut state = self.lock();
        let why = state.failed.get_or_insert_with(|| why.to_owned()).clone();
        state.close_segment = false;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for record in waiting {
            record.refuse(Refused::Failed(why.clone()));
        }
        self.progress.notify_all();
    }

    /// Why it takes nothing more, if it does not.
    pub fn failed(&self) -> Option<String> {
        self.lock().failed.clone()
    }

    /// The counts since the start.
    pub fn figures(&self) -> JournalFigures {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let state = self.lock();
        let whole = state.closed.iter().map(|closed| closed.segment.len);
        JournalFigures {
            records: count(&self.counts.records),
            batches: count(&self.counts.batches),
            bytes: count(&self.counts.bytes),
            refused: count(&self.counts.refused),
            unpassed: whole.sum::<u64>() + state.passing + state.filled,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between a lock and its release can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The records that one sync is to make durable: no more than `most` bytes, and one at least.
    fn take_batch(&mut self, most: usize) -> Vec<Waiting> {
        let (mut batch, mut bytes) = (Vec::new(), BLOCK);
        while let Some(next) = self.waiting.front() {
            bytes += next.len();
            let full = bytes > most.min(MOST_BYTES) || batch.len() == MOST_RECORDS;
            if full && !batch.is_empty() {
                break;
            }
            batch.extend(self.waiting.pop_front());
        }
        batch
    }
}

/// Whether a record may take the last room, which commits leave to changes of what they have stored.
pub fn may_take_last(kind: Kind) -> bool {
    kind != Kind::Commit
}
