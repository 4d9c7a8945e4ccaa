//! Durability, its cost divided between the commits that wait at the same time.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use serde::Deserialize;
use tokio::sync::Notify;

use super::session::Session;
use super::slow_path::Detour;
use crate::store::StoreError;

/// What an answer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Everything is on stable storage.
    Strict,
    /// Everything is with the operating system: a killed process loses nothing, a power cut may.
    Relaxed,
}

/// With so many commits at once a `syncfs` for all is cheaper than an `fsync` for each.
const SHARED_FROM: usize = 3;
/// A `syncfs` longer than this has written what others have left on the file system, and goes on
/// doing so: an `fsync` for each is quicker then.
const SLOW: Duration = Duration::from_millis(20);
/// After so long a task looks whether anyone runs the round that it waits for.
const PATIENCE: Duration = Duration::from_secs(1);
/// A commit of more files than this takes part in a `syncfs` in any case.
const FILES_ALONE: usize = 16;

/// Makes commits durable.
///
/// A `syncfs` writes everything of the file system, so one serves all who have written before it
/// began. It reports errors only from Linux 5.8 on and only to descriptors that were open
/// before (syncfs(2)), so the store's own is held from the start; on older kernels every file
/// gets its `fsync`.
#[derive(Debug)]
pub struct Syncer {
    pub(super) root: OwnedFd,
    pub(super) durability: Durability,
    /// Whether the file system keeps what was synced before it got its name, and gives names in
    /// their order: see [`FileSystem::ordered`](super::filesystem::FileSystem::ordered).
    pub(super) ordered: bool,
    shares: bool,
    detour: Detour,
    pub(super) active: AtomicUsize,
    damaged: AtomicBool,
    /// Guards the rounds of `syncfs`. A std mutex, let go of during the `syncfs` itself and
    /// before anyone is woken.
    rounds: Mutex<Rounds>,
    /// The threads that wait for an even round, and those for an odd one: a round's end wakes
    /// those it has served, and of those that wait for the next the one that runs it.
    ended: [Condvar; 2],
    /// The same for the tasks, which run none.
    told: [Notify; 2],
}

#[derive(Debug, Default)]
struct Rounds {
    running: bool,
    /// The last round that has begun, from 1.
    begun: u64,
    /// The last round that has ended.
    ended: u64,
    /// The last round that a thread was sent for by a task, which runs it if nobody else does.
    sent_for: u64,
    /// The rounds that failed lately.
    failed: BTreeMap<u64, Errno>,
}

impl Syncer {
    pub fn new(root: OwnedFd, durability: Durability, ordered: bool) -> Self {
        Syncer {
            root,
            durability,
            ordered,
            shares: kernel_reports_syncfs_errors(),
            detour: Detour::new(SLOW),
            active: AtomicUsize::new(0),
            damaged: AtomicBool::new(false),
            rounds: Mutex::default(),
            ended: Default::default(),
            told: Default::default(),
        }
    }

    /// Begins the syncs of a commit of `files` files.
    pub fn session(self: &Arc<Self>, files: usize) -> Session {
        let others = self.active.fetch_add(1, Ordering::Relaxed);
        let several = others + 1 >= SHARED_FROM && !self.detour.is_on();
        let shared = self.shares && (several || files > FILES_ALONE);
        Session::new(Arc::clone(self), shared)
    }

    /// Makes durable what commits have not waited for: before the end of a process that calls
    /// its index clean. Blocks.
    pub fn last(&self) -> Result<(), StoreError> {
        match self.durability {
            Durability::Strict => Ok(()),
            Durability::Relaxed => self.check(self.everything()),
        }
    }

    /// Writes everything of the file system.
    fn everything(&self) -> Result<(), Errno> {
        rustix::fs::syncfs(&self.root)?;
        if !self.ordered {
            // Without a journal nothing has the device write its cache after the last block
            // (ext4_sync_fs does so before the inodes): an fsync does, of whatever file.
            rustix::fs::fsync(&self.root)?;
        }
        Ok(())
    }

    /// Whether no sync has failed with an I/O error since the start: what the kernel could not
    /// write it has dropped, so only a restart clears it.
    pub fn healthy(&self) -> Result<(), String> {
        if self.damaged.load(Ordering::Relaxed) {
            return Err("the disk failed to write (EIO); restart when it is well".to_owned());
        }
        Ok(())
    }

    pub(super) fn check(&self, result: Result<(), Errno>) -> Result<(), StoreError> {
        if result == Err(Errno::IO) {
            self.damaged.store(true, Ordering::Relaxed);
        }
        // A sync that failed may have written anything: the error must not be taken for a moment's
        // trouble.
        let sort = match result {
            Err(Errno::IO) => StoreError::io,
            _ => StoreError::change,
        };
        result.map_err(|error| sort("syncing to the disk", error))
    }

    /// Waits for a `syncfs` that begins after this call, and runs it if nobody else does. Blocks.
    pub(super) fn shared(&self) -> Result<(), Errno> {
        let next = self.lock().begun + 1;
        self.round(next)
    }

    /// Waits for a `syncfs` that begins after this call.
    pub(super) async fn shared_by_tasks(self: &Arc<Self>) -> Result<(), Errno> {
        let (mine, mut unsent) = {
            let mut rounds = self.lock();
            let mine = rounds.begun + 1;
            (mine, std::mem::replace(&mut rounds.sent_for, mine) < mine)
        };
        loop {
            if unsent {
                let syncer = Arc::clone(self);
                // What it finds is remembered for all who wait.
                drop(tokio::task::spawn_blocking(move || syncer.round(mine)));
            }
            let mut told = pin!(self.told[parity(mine)].notified());
            // From here on it misses nothing.
            told.as_mut().enable();
            if let Some(result) = self.lock().result(mine) {
                return result;
            }
            // A thread sent for may not have come: its runtime was full, or has ended.
            unsent = tokio::time::timeout(PATIENCE, told).await.is_err() && {
                let rounds = self.lock();
                !rounds.running && rounds.begun < mine
            };
        }
    }

    /// Waits for this round, and runs it if nobody else does. Blocks.
    fn round(&self, mine: u64) -> Result<(), Errno> {
        let mut rounds = self.lock();
        loop {
            if let Some(result) = rounds.result(mine) {
                return result;
            }
            if rounds.running {
                rounds = self.ended[parity(mine)]
                    .wait(rounds)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            rounds.running = true;
            rounds.begun += 1;
            let round = rounds.begun;
            drop(rounds);
            let result = self.detour.trip().go(|| self.everything());
            self.lock().end(result);
            self.told[parity(round)].notify_waiters();
            self.ended[parity(round)].notify_all();
            self.ended[parity(round + 1)].notify_one();
            rounds = self.lock();
        }
    }

    /// Has a round to come fail as on a broken disk.
    #[cfg(test)]
    pub fn break_round(&self, round: u64) {
        self.lock().failed.insert(round, Errno::IO);
    }

    fn lock(&self) -> MutexGuard<'_, Rounds> {
        // Nothing between a lock and its release can panic.
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which of a pair a round has.
fn parity(round: u64) -> usize {
    usize::from(round % 2 == 1)
}

impl Rounds {
    /// How many failed rounds are remembered: their waiters are woken at once.
    const REMEMBERED: usize = 1024;

    /// How a round ended; `None` if it has not.
    fn result(&self, round: u64) -> Option<Result<(), Errno>> {
        let failed = || self.failed.get(&round).map_or(Ok(()), |error| Err(*error));
        (self.ended >= round).then(failed)
    }

    fn end(&mut self, result: Result<(), Errno>) {
        self.running = false;
        self.ended = self.begun;
        if let Err(error) = result {
            self.failed.insert(self.begun, error);
            if self.failed.len() > Self::REMEMBERED {
                self.failed.pop_first();
            }
        }
    }
}

fn kernel_reports_syncfs_errors() -> bool {
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    (next(), next()) >= (5, 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syncer(durability: Durability) -> (tempfile::TempDir, Arc<Syncer>) {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::File::open(dir.path()).unwrap().into();
        (dir, Arc::new(Syncer::new(root, durability, true)))
    }

    #[test]
    fn all_who_wait_are_served_by_few_rounds() {
        let (_dir, syncer) = syncer(Durability::Strict);
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| syncer.shared().unwrap());
            }
        });
        let rounds = syncer.lock();
        assert!(!rounds.running && rounds.ended == rounds.begun);
        assert!((1..=64).contains(&rounds.ended));
    }

    #[test]
    fn tasks_and_threads_are_served_by_the_same_rounds() {
        let (_dir, syncer) = syncer(Durability::Strict);
        let runtimes = [(); 2].map(|()| {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_time().build().unwrap()
        });
        std::thread::scope(|scope| {
            for runtime in &runtimes {
                scope.spawn(|| {
                    let waits = (0..50).map(|_| async {
                        for _ in 0..10 {
                            syncer.shared_by_tasks().await.unwrap();
                        }
                    });
                    runtime.block_on(futures_util::future::join_all(waits));
                });
            }
            for _ in 0..8 {
                scope.spawn(|| (0..10).for_each(|_| syncer.shared().unwrap()));
            }
        });
        let rounds = syncer.lock();
        assert!(rounds.begun >= 10, "{rounds:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_does_not_wait_for_a_thread_that_never_came() {
        let (_dir, syncer) = syncer(Durability::Strict);
        syncer.lock().sent_for = 1;
        syncer.shared_by_tasks().await.unwrap();
        assert_eq!(syncer.lock().ended, 1);
    }

    #[test]
    fn a_failed_round_fails_those_who_waited_for_it_and_no_others() {
        let mut rounds = Rounds {
            begun: 3,
            running: true,
            ended: 2,
            ..Rounds::default()
        };
        rounds.end(Err(Errno::IO));
        assert_eq!(rounds.failed.get(&3), Some(&Errno::IO));
        rounds.begun = 4;
        rounds.end(Ok(()));
        assert_eq!((rounds.failed.get(&4), rounds.ended), (None, 4));
    }

    #[test]
    fn an_io_error_is_remembered() {
        let (_dir, syncer) = syncer(Durability::Strict);
        assert!(syncer.check(Err(Errno::NOSPC)).is_err());
        assert!(syncer.healthy().is_ok());
        assert!(syncer.check(Err(Errno::IO)).is_err());
        assert!(syncer.healthy().is_err());
    }
}
