//! Syncs to the disk, their cost divided between the commits that wait at the same time.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::Notify;

use super::options::Durability;
use super::slow_path::SlowPath;
use crate::store::StoreError;

/// With so many commits at once a `syncfs` for all is cheaper than an `fsync` for each.
const SHARED_FROM: usize = 3;
/// A `syncfs` longer than this has also written what other programs left on the file system, and
/// the next one will: an `fsync` for each file is quicker then.
const SLOW_ROUND: Duration = Duration::from_millis(20);
/// How often a task checks whether a thread runs the round that it waits for.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// A commit of more files than this takes part in a `syncfs` in any case.
const MAX_FILES_ALONE: usize = 16;

/// Makes commits durable.
///
/// A `syncfs` writes everything of the file system, so one serves all commits that have written
/// before it began. It reports errors only from Linux 5.8 on and only to descriptors that were open
/// before (syncfs(2)), so the store's own is held from the start; on older kernels every file
/// gets its own `fsync`.
#[derive(Debug)]
pub struct Syncer {
    pub root: OwnedFd,
    pub durability: Durability,
    /// Whether the file system keeps a file that was synced before it got its name, and keeps the
    /// order of names: see [`FileSystem::ordered`](super::filesystem::FileSystem::ordered).
    pub ordered: bool,
    /// Whether commits may share a `syncfs`.
    can_share: bool,
    /// Whether they are not to: it took long lately.
    slow_path: SlowPath,
    /// How many commits have a [`Session`](super::session::Session).
    active: AtomicUsize,
    /// Whether a sync failed with an I/O error.
    damaged: AtomicBool,
    /// Guards the rounds of `syncfs`. A std mutex, released during the `syncfs` itself and before
    /// waiters are woken.
    rounds: Mutex<Rounds>,
    /// Wakes the threads that wait for an even round, and those that wait for an odd one: a
    /// round's end wakes all that it has served, and one that waits for the next, to run it.
    thread_wakeups: [Condvar; 2],
    /// The same for tasks, which run no round.
    task_wakeups: [Notify; 2],
}

#[derive(Debug, Default)]
struct Rounds {
    running: bool,
    /// The last round that has begun, from 1.
    begun: u64,
    /// The last round that has ended.
    ended: u64,
    /// The last round that a task dispatched to a thread, which runs it unless another one does.
    dispatched: u64,
    /// The rounds that failed lately.
    failed: BTreeMap<u64, Errno>,
}

impl Syncer {
    pub fn new(root: OwnedFd, durability: Durability, ordered: bool) -> Self {
        Syncer {
            root,
            durability,
            ordered,
            can_share: kernel_reports_syncfs_errors(),
            slow_path: SlowPath::new(SLOW_ROUND),
            active: AtomicUsize::new(0),
            damaged: AtomicBool::new(false),
            rounds: Mutex::default(),
            thread_wakeups: Default::default(),
            task_wakeups: Default::default(),
        }
    }

    /// Counts a commit of `files` files among those that sync; answers whether it is to share its
    /// syncs with others.
    pub fn begin_session(&self, files: usize) -> bool {
        let others = self.active.fetch_add(1, Ordering::Relaxed);
        let several = others + 1 >= SHARED_FROM && !self.slow_path.is_active();
        self.can_share && (several || files > MAX_FILES_ALONE)
    }

    /// Whether a `syncfs` of this kernel tells of failures: a journal needs that.
    pub fn can_share(&self) -> bool {
        self.can_share
    }

    /// Counts one commit less.
    pub fn end_session(&self) {
        self.active.fetch_sub(1, Ordering::Relaxed);
    }

    /// Makes durable what relaxed commits have not waited for: before the end of a process that marks its
    /// index as clean. Blocks.
    pub fn flush(&self) -> Result<(), StoreError> {
        match self.durability {
            Durability::Strict => Ok(()),
            Durability::Relaxed => self.check(self.sync_file_system(&self.root)),
        }
    }

    /// Writes everything of the file system, of which `root` is a descriptor. Blocks.
    pub fn sync_file_system(&self, root: impl AsFd) -> Result<(), Errno> {
        rustix::fs::syncfs(&root)?;
        if !self.ordered {
            // Without a journal the device is not told to write its cache after the last block
            // (ext4_sync_fs tells it before the inodes): an fsync of any file tells it.
            rustix::fs::fsync(&root)?;
        }
        Ok(())
    }

    /// Whether no sync has failed with an I/O error since the start: the kernel has dropped the
    /// pages that it could not write, so only a restart clears it.
    pub fn healthy(&self) -> Result<(), String> {
        if self.damaged.load(Ordering::Relaxed) {
            return Err("the disk failed to write (EIO); repair it, then restart".to_owned());
        }
        Ok(())
    }

    /// The result of a sync; an I/O error is remembered.
    pub fn check(&self, result: Result<(), Errno>) -> Result<(), StoreError> {
        if result == Err(Errno::IO) {
            self.damaged.store(true, Ordering::Relaxed);
        }
        // A sync that failed may have written anything: the error must not be taken for a
        // transient one.
        let classify = match result {
            Err(Errno::IO) => StoreError::io,
            _ => StoreError::change,
        };
        result.map_err(|error| classify("syncing to the disk", error))
    }

    /// Waits for a `syncfs` that begins after this call, and runs it unless another thread does.
    /// Blocks.
    pub fn sync_shared(&self) -> Result<(), Errno> {
        let next = self.lock().begun + 1;
        self.run_round(next)
    }

    /// Waits for a `syncfs` that begins after this call.
    pub async fn sync_shared_async(self: &Arc<Self>) -> Result<(), Errno> {
        let (mine, mut dispatch) = {
            let mut rounds = self.lock();
            let mine = rounds.begun + 1;
            (mine, std::mem::replace(&mut rounds.dispatched, mine) < mine)
        };
        loop {
            if dispatch {
                let syncer = Arc::clone(self);
                // Its result is kept for all that wait.
                drop(tokio::task::spawn_blocking(move || syncer.run_round(mine)));
            }
            let mut woken = pin!(self.task_wakeups[parity(mine)].notified());
            // From here on no wake-up is missed.
            woken.as_mut().enable();
            if let Some(result) = self.lock().result(mine) {
                return result;
            }
            // The dispatched thread may not run: its runtime is full, or has ended.
            dispatch = tokio::time::timeout(CHECK_INTERVAL, woken).await.is_err() && {
                let rounds = self.lock();
                !rounds.running && rounds.begun < mine
            };
        }
    }

    /// Waits for the round `mine`, and runs it unless another thread does. Blocks.
    fn run_round(&self, mine: u64) -> Result<(), Errno> {
        let mut rounds = self.lock();
        loop {
            if let Some(result) = rounds.result(mine) {
                return result;
            }
            if rounds.running {
                rounds = self.thread_wakeups[parity(mine)]
                    .wait(rounds)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            rounds.running = true;
            rounds.begun += 1;
            let round = rounds.begun;
            drop(rounds);
            let result = self
                .slow_path
                .timed()
                .run(|| self.sync_file_system(&self.root));
            self.lock().end(result);
            self.task_wakeups[parity(round)].notify_waiters();
            self.thread_wakeups[parity(round)].notify_all();
            self.thread_wakeups[parity(round + 1)].notify_one();
            rounds = self.lock();
        }
    }

    /// Makes a later round fail as on a broken disk.
    #[cfg(test)]
    pub fn break_round(&self, round: u64) {
        self.lock().failed.insert(round, Errno::IO);
    }

    fn lock(&self) -> MutexGuard<'_, Rounds> {
        // Nothing between a lock and its release can panic.
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which element of a pair belongs to a round.
fn parity(round: u64) -> usize {
    usize::from(round % 2 == 1)
}

impl Rounds {
    /// How many failed rounds are kept: their waiters are woken at once, and ask soon.
    const MAX_FAILED: usize = 1024;

    /// How a round ended; `None` if it has not.
    fn result(&self, round: u64) -> Option<Result<(), Errno>> {
        let failed = || self.failed.get(&round).map_or(Ok(()), |error| Err(*error));
        (self.ended >= round).then(failed)
    }

    /// Ends the running round.
    fn end(&mut self, result: Result<(), Errno>) {
        self.running = false;
        self.ended = self.begun;
        if let Err(error) = result {
            self.failed.insert(self.begun, error);
            if self.failed.len() > Self::MAX_FAILED {
                self.failed.pop_first();
            }
        }
    }
}

/// Whether `syncfs` reports errors: from Linux 5.8 on.
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
    fn many_waiters_are_served_by_few_rounds() {
        let (_dir, syncer) = syncer(Durability::Strict);
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| syncer.sync_shared().unwrap());
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
                            syncer.sync_shared_async().await.unwrap();
                        }
                    });
                    runtime.block_on(futures_util::future::join_all(waits));
                });
            }
            for _ in 0..8 {
                scope.spawn(|| (0..10).for_each(|_| syncer.sync_shared().unwrap()));
            }
        });
        let rounds = syncer.lock();
        assert!(rounds.begun >= 10, "{rounds:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_does_not_wait_for_a_thread_that_never_runs() {
        let (_dir, syncer) = syncer(Durability::Strict);
        syncer.lock().dispatched = 1;
        syncer.sync_shared_async().await.unwrap();
        assert_eq!(syncer.lock().ended, 1);
    }

    #[test]
    fn a_failed_round_fails_its_waiters_and_no_others() {
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
