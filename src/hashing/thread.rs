//! Hashing on a thread of its own.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::WORTH_A_THREAD;
use crate::model::Digest;

/// How many blocks wait for the thread. The memory of each cannot be received into meanwhile.
const QUEUE: usize = 1;
/// Far more than all blocks under way take together, in bytes.
const HEAP: usize = 8 << 20;

/// Hashes one file after another. Large blocks go to a thread, which takes about as long for them
/// as all else that a download does; it is started for the first of them.
#[derive(Default)]
pub struct ThreadHasher {
    /// The state of the hash, unless `away`.
    here: Sha256,
    /// Whether the thread has the state.
    away: bool,
    worker: Option<HashThread>,
}

struct HashThread {
    jobs: SyncSender<Job>,
    states: Receiver<Sha256>,
}

enum Job {
    /// Go on from this state.
    Take(Sha256),
    Hash(Bytes),
    /// Give the state back.
    Give,
}

/// The thread ends when its channels are dropped, and not before.
const ALIVE: &str = "the thread lasts as long as its channels";

impl ThreadHasher {
    /// Begins another file.
    pub fn begin(&mut self) {
        self.bring_back();
        self.here = Sha256::new();
    }

    /// Hashes the next block of the file, or queues it for the thread; waits while the queue is full.
    pub fn update(&mut self, data: &Bytes) {
        if data.len() < WORTH_A_THREAD {
            self.bring_back();
            self.here.update(data);
            return;
        }
        if self.worker.is_none() {
            self.worker = HashThread::start().ok();
        }
        match &self.worker {
            Some(worker) => {
                if !self.away {
                    worker.send(Job::Take(std::mem::take(&mut self.here)));
                    self.away = true;
                }
                worker.send(Job::Hash(data.clone()));
            }
            // The system has no thread left: it takes longer.
            None => self.here.update(data),
        }
    }

    /// The digest of the file.
    pub fn finish(&mut self) -> Digest {
        self.bring_back();
        super::finish(&mut self.here)
    }

    fn bring_back(&mut self) {
        if let (Some(worker), true) = (&self.worker, self.away) {
            worker.send(Job::Give);
            self.here = worker.states.recv().expect(ALIVE);
            self.away = false;
        }
    }
}

impl HashThread {
    fn start() -> io::Result<Self> {
        // Blocks are let go by turns, at the end of the heap, which glibc cuts off there: to have it
        // back costs half of what hashing does. Once so much at a time was let go, it waits for more
        // (mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD).
        drop(std::hint::black_box(Vec::<u8>::with_capacity(HEAP)));
        let (jobs, todo) = sync_channel(QUEUE);
        let (given, states) = sync_channel(1);
        let work = move || {
            let mut state = Sha256::new();
            for job in todo {
                match job {
                    Job::Take(begun) => state = begun,
                    Job::Hash(data) => state.update(&data),
                    Job::Give => {
                        if given.send(std::mem::take(&mut state)).is_err() {
                            return;
                        }
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("wharf-hash".to_owned());
        thread.spawn(work)?;
        Ok(HashThread { jobs, states })
    }

    fn send(&self, job: Job) {
        self.jobs.send(job).expect(ALIVE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_all_sizes_are_hashed_in_their_order() {
        let mut hasher = ThreadHasher::default();
        let content = Bytes::from(
            (0..3_000_000u32)
                .map(|i| i.wrapping_mul(i) as u8)
                .collect::<Vec<_>>(),
        );
        let sizes = [
            1,
            WORTH_A_THREAD,
            500_000,
            3,
            17,
            900_000,
            WORTH_A_THREAD - 1,
        ];
        for file in 0..3 {
            hasher.begin();
            let mut rest = content.slice(file..);
            for size in sizes.iter().cycle().take(12) {
                let block = rest.split_to(rest.len().min(*size));
                hasher.update(&block);
            }
            hasher.update(&rest);
            let expected: [u8; 32] = Sha256::digest(&content[file..]).into();
            assert_eq!(hasher.finish(), Digest::from(expected));
        }
        // A file that was given up leaves nothing for the next.
        hasher.begin();
        hasher.update(&content);
        hasher.begin();
        let empty: [u8; 32] = Sha256::digest(b"").into();
        assert_eq!(hasher.finish(), Digest::from(empty));
    }
}
