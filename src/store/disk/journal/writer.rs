//! The thread that writes records: while one sync runs, the records of the next batch gather.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::home::Home;
use super::queue::{Closed, Queue, Refused, Unnamed, Waiting, Work, may_take_last};
use super::record::{BLOCK, HEAD, Salt};
use super::segment::{FIRST, Segment};

/// The reason in the log where a journal cannot be written.
const FAILED: &str = "the journal cannot be written; a restart stores what it holds";

/// Writes the records of a journal.
#[derive(Debug)]
pub struct Writer {
    queue: Arc<Queue>,
    home: Home,
    active: Option<Active>,
    /// The number of the next record.
    next: u64,
    /// Bytes of a segment.
    segment_len: u64,
}

/// The segment that is being written.
#[derive(Debug)]
struct Active {
    segment: Segment,
    salt: Salt,
    /// Where the next batch begins.
    end: u64,
    unnamed: Arc<Unnamed>,
}

impl Writer {
    /// One whose first record has the number `next`.
    pub fn new(queue: Arc<Queue>, home: Home, next: u64, segment_len: u64) -> Self {
        Writer {
            queue,
            home,
            active: None,
            next,
            segment_len,
        }
    }

    /// Writes until the end.
    pub fn run(mut self) {
        // Any batch fits into a segment that is empty.
        let most = (self.segment_len - FIRST) as usize - BLOCK;
        loop {
            let done = match self.queue.work(most) {
                Work::Write(batch) => self.write(batch),
                Work::CloseSegment => self.close_segment(),
                Work::End => return,
            };
            if let Err(error) = done {
                let why = format!("{FAILED}: {error}");
                tracing::error!("{why}");
                self.queue.fail(&why);
            }
        }
    }

    /// Closes the segment, for a checkpoint.
    fn close_segment(&mut self) -> io::Result<()> {
        let active = self.active.take();
        self.hand_over(active);
        Ok(())
    }

    fn hand_over(&self, active: Option<Active>) {
        let closed = active.map(|active| Closed {
            segment: active.segment,
            unnamed: active.unnamed,
            next: self.next,
        });
        self.queue.segment_closed(closed);
    }

    fn write(&mut self, batch: Vec<Waiting>) -> io::Result<()> {
        let batch = self.admit(batch);
        if batch.is_empty() {
            return Ok(());
        }
        let result = self.write_admitted(&batch);
        let Err(error) = result else {
            let active = self.active.as_ref();
            let unnamed = &active.expect("a batch was written to it").unnamed;
            for record in batch {
                // A caller that does not wait any more drops it.
                let _ = record.answer.send(Ok(unnamed.add()));
            }
            return Ok(());
        };
        for record in batch {
            record.refuse(Refused::Failed(format!("{FAILED}: {error}")));
        }
        Err(error)
    }

    /// Those of a batch for which there is room; the others are told that there is none.
    fn admit(&self, mut batch: Vec<Waiting>) -> Vec<Waiting> {
        let left = self
            .active
            .as_ref()
            .map_or(0, |active| self.segment_len - active.end);
        let free = self.queue.free();
        let bytes = |batch: &[Waiting]| batch.iter().map(Waiting::len).sum::<usize>();
        let fits = |batch: &[Waiting]| span(bytes(batch)) as u64 <= left;
        // The last segment is for changes of what the others hold.
        let none_for_commits = free == 0 || free == 1 && !fits(&batch);
        if none_for_commits {
            batch = self.refuse(batch, |record| !may_take_last(record.body.kind));
        }
        if free == 0 && !fits(&batch) {
            batch = self.refuse(batch, |_| true);
        }
        batch
    }

    fn refuse(&self, batch: Vec<Waiting>, those: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        let (refused, admitted): (Vec<_>, Vec<_>) = batch.into_iter().partition(those);
        let count = refused.len() as u64;
        self.queue
            .counts
            .refused
            .fetch_add(count, Ordering::Relaxed);
        for record in refused {
            record.refuse(Refused::NoRoom);
        }
        admitted
    }

    /// Writes a batch for which there is room; it is on stable storage then.
    fn write_admitted(&mut self, batch: &[Waiting]) -> io::Result<()> {
        let bytes = span(batch.iter().map(Waiting::len).sum());
        self.make_room(bytes as u64)?;
        let active = self.active.as_mut().expect("room was made in a segment");
        let last = batch.len() - 1;
        let mut at = 0;
        let mut heads = Vec::with_capacity(batch.len());
        for (i, record) in batch.iter().enumerate() {
            let len = match i == last {
                true => bytes - at,
                false => record.len(),
            };
            at += len;
            let sequence = self.next + i as u64;
            heads.push(record.body.head(&active.salt, sequence, len as u32));
        }
        let zeros = [0; BLOCK];
        let written: usize = batch.iter().map(Waiting::len).sum();
        let mut pieces: Vec<IoSlice<'_>> = Vec::with_capacity(3 * batch.len() + 1);
        for (head, record) in heads.iter().zip(batch) {
            pieces.push(IoSlice::new(head));
            pieces.push(IoSlice::new(&record.body.start));
            if !record.body.contents.is_empty() {
                pieces.push(IoSlice::new(&record.body.contents));
            }
        }
        pieces.push(IoSlice::new(&zeros[..bytes - written]));
        write_all_at(&active.segment.file, &mut pieces, active.end)?;
        rustix::fs::fdatasync(&active.segment.file)?;
        active.end += bytes as u64;
        self.next += batch.len() as u64;
        self.queue.fill(active.end - FIRST);
        let counts = &self.queue.counts;
        counts
            .records
            .fetch_add(batch.len() as u64, Ordering::Relaxed);
        counts.batches.fetch_add(1, Ordering::Relaxed);
        counts.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Goes on in the next segment where the active one has no room for so many bytes.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let full = |active: &Active| self.segment_len - active.end < bytes;
        if self.active.as_ref().is_some_and(|active| !full(active)) {
            return Ok(());
        }
        let segment = self.queue.take_free();
        let segment = segment.ok_or_else(|| io::Error::other("no segment is free"))?;
        let salt = segment.begin(&self.home, self.next)?;
        let active = self.active.replace(Active {
            segment,
            salt,
            end: FIRST,
            unnamed: Arc::default(),
        });
        if active.is_some() {
            self.hand_over(active);
        }
        Ok(())
    }
}

/// The bytes that a batch takes: all of its blocks.
fn span(bytes: usize) -> usize {
    bytes.next_multiple_of(BLOCK)
}

/// Writes all pieces, one behind the other.
fn write_all_at(file: impl AsFd, mut pieces: &mut [IoSlice<'_>], mut at: u64) -> io::Result<()> {
    while pieces.iter().any(|piece| !piece.is_empty()) {
        match rustix::io::pwritev(&file, pieces, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                at += written as u64;
                IoSlice::advance_slices(&mut pieces, written);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The longest body of a record, in segments of this many bytes.
pub fn longest(segment_len: u64) -> usize {
    (segment_len / 4) as usize - HEAD
}
