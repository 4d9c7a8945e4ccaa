//! The thread that makes checkpoints: what the records of a segment tell is brought to stable
//! storage by itself, and then the segment may be written over.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::position::Position;
use super::queue::{Closed, Queue};
use crate::store::StoreError;
use crate::store::disk::sync::Syncer;

/// Makes the checkpoints of a journal.
#[derive(Debug)]
pub struct Checkpoints {
    pub queue: Arc<Queue>,
    pub position: Position,
    /// A descriptor of the file system that is this thread's own: a failure of writing is told once
    /// to each (syncfs(2)), and must not be told to another alone.
    pub root: OwnedFd,
    pub syncer: Arc<Syncer>,
    /// How often they are made while records come.
    pub interval: Duration,
}

impl Checkpoints {
    /// Makes them until the end. Answers whether all that was written is passed.
    pub fn run(mut self) -> bool {
        let mut last = Instant::now();
        while let Some(closed) = self.queue.checkpoint(last, self.interval) {
            match self.pass(&closed) {
                Ok(true) => {}
                // The process is ending: the next start reads the records.
                Ok(false) => return false,
                Err(error) => {
                    let why = format!(
                        "the journal cannot be shortened; a restart stores what it holds: {error}"
                    );
                    tracing::error!("{why}");
                    self.queue.fail(&why);
                    return false;
                }
            }
            last = Instant::now();
            let segments = closed.into_iter().map(|closed| closed.segment);
            self.queue.freed(segments);
        }
        self.queue.failed().is_none() && !self.queue.is_over()
    }

    /// Passes the records of these segments; `false` when the process ends before all of their names
    /// are given and removed.
    fn pass(&mut self, closed: &[Closed]) -> Result<bool, StoreError> {
        let over = || self.queue.is_over();
        if !closed.iter().all(|closed| closed.unnamed.wait(over)) {
            return Ok(false);
        }
        self.syncer
            .check(self.syncer.sync_file_system(&self.root))?;
        if let Some(last) = closed.last() {
            let advanced = self.position.advance(last.next);
            advanced.map_err(|error| StoreError::change("writing the position", error))?;
        }
        Ok(true)
    }
}
