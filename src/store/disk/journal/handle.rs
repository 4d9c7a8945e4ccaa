//! A journal in use: appends, and the end.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::checkpoint::Checkpoints;
use super::position::Position;
use super::queue::{Queue, Recorded, Refused};
use super::record::Body;
use super::segment::{self, MOST, Segment};
use super::writer::{Writer, longest};
use crate::store::JournalFigures;
use crate::store::disk::sync::Syncer;

/// The most bytes of a segment.
const LONGEST_SEGMENT: u64 = 64 << 20;
/// The fewest segments.
const FEWEST: u64 = 4;

/// A journal in use. Dropped, it takes nothing more, and leaves what it holds to the next start.
#[derive(Debug)]
pub struct Journal {
    queue: Arc<Queue>,
    /// The longest body of a record.
    longest: usize,
    /// Its threads. The last one answers whether nothing is left in the journal.
    threads: Mutex<Option<(JoinHandle<()>, JoinHandle<bool>)>>,
}

/// How many segments a journal of `size` bytes has, and of how many bytes each.
pub fn segments(size: u64) -> (u64, u64) {
    let len = (size / FEWEST).min(LONGEST_SEGMENT);
    let len = len - len % super::record::BLOCK as u64;
    (size.div_euclid(len).clamp(FEWEST, MOST), len)
}

/// The segments of a journal of `size` bytes in `folder`, all of which may be written over; those
/// that are missing are made. Their names are on stable storage then. Blocks.
///
/// # Errors
/// There is no room for them, or they cannot be made.
pub fn prepare(folder: impl AsFd, size: u64) -> io::Result<Vec<Segment>> {
    let (count, len) = segments(size);
    let prepared = (0..count).map(|number| Segment::prepare(&folder, number, len));
    let prepared = prepared.collect::<io::Result<Vec<_>>>()?;
    for number in count..MOST {
        let flags = rustix::fs::AtFlags::empty();
        match rustix::fs::unlinkat(&folder, segment::name(number), flags) {
            Ok(()) => {}
            Err(rustix::io::Errno::NOENT) => break,
            Err(error) => return Err(error.into()),
        }
    }
    rustix::fs::fsync(&folder)?;
    Ok(prepared)
}

impl Journal {
    /// Starts its threads. `root` is a descriptor of the store's folder that was opened for this;
    /// `died` is cancelled when one of the threads ends and should not. A checkpoint is made every
    /// `interval` while records come.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(
        segments: Vec<Segment>,
        position: Position,
        root: OwnedFd,
        syncer: Arc<Syncer>,
        died: CancellationToken,
        interval: Duration,
    ) -> io::Result<Self> {
        let len = segments.first().map_or(0, |segment| segment.len);
        let queue = Arc::new(Queue::new(segments, died));
        let writer = Writer::new(Arc::clone(&queue), position.home, position.next, len);
        let checkpoints = Checkpoints {
            queue: Arc::clone(&queue),
            position,
            root,
            syncer,
            interval,
        };
        let (written, passed) = (Arc::clone(&queue), Arc::clone(&queue));
        let writing = thread::Builder::new().name("wharf-journal".to_owned());
        let writing = writing.spawn(move || watched(&written, || writer.run(), ()))?;
        let passing = thread::Builder::new().name("wharf-passing".to_owned());
        let passing = passing.spawn(move || watched(&passed, || checkpoints.run(), false));
        let passing = passing.inspect_err(|_| queue.stop())?;
        Ok(Journal {
            queue,
            longest: longest(len),
            threads: Mutex::new(Some((writing, passing))),
        })
    }

    /// Whether a record with a body of so many bytes is short enough.
    pub fn takes(&self, len: usize) -> bool {
        len <= self.longest
    }

    /// Appends a record, and waits until it is on stable storage.
    ///
    /// # Errors
    /// It is not written; or, when the journal has failed, may be.
    pub async fn append(&self, body: Body) -> Result<Recorded, Refused> {
        let answered = self.queue.append(body)?.await;
        answered.unwrap_or_else(|_| Err(self.ended()))
    }

    /// The same for a thread that may block.
    pub fn append_blocking(&self, body: Body) -> Result<Recorded, Refused> {
        let answered = self.queue.append(body)?.blocking_recv();
        answered.unwrap_or_else(|_| Err(self.ended()))
    }

    fn ended(&self) -> Refused {
        let why = self.queue.failed();
        Refused::Failed(why.unwrap_or_else(|| "the journal has ended".to_owned()))
    }

    /// Why it takes nothing more until a restart, if that is so.
    pub fn failed(&self) -> Option<String> {
        self.queue.failed()
    }

    /// Has it fail, as by a disk that cannot be written.
    #[cfg(test)]
    pub fn fail(&self, why: &str) {
        self.queue.fail(why);
    }

    /// Takes nothing more, has all that it holds brought to the disk, and ends. Answers whether
    /// nothing is left in it. Blocks.
    pub fn close(&self) -> bool {
        self.queue.end();
        self.join(false)
    }

    /// Its counts since the start.
    pub fn figures(&self) -> JournalFigures {
        self.queue.figures()
    }

    fn join(&self, at_once: bool) -> bool {
        let threads = self.threads.lock();
        let threads = threads.unwrap_or_else(PoisonError::into_inner).take();
        let Some((writing, passing)) = threads else {
            return false;
        };
        if at_once {
            self.queue.stop();
        }
        let passed = passing.join().unwrap_or(false);
        self.queue.stop();
        writing.join().is_ok() && passed
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.join(true);
    }
}

/// Runs a thread; one that panics takes the journal with it.
fn watched<T>(queue: &Queue, run: impl FnOnce() -> T, otherwise: T) -> T {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        queue.fail("a thread of the journal has ended; a restart stores what it holds");
        queue.died.cancel();
        otherwise
    })
}
