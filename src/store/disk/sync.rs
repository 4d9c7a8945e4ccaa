//! Durability, its cost divided between the commits that wait at the same time.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::Advice;
use rustix::io::Errno;
use serde::Deserialize;
use tokio::sync::Notify;

use super::detour::Detour;
use super::layout::Folder;
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
/// A file that the kernel has hardly begun to write by itself, in bytes.
const SMALL: u64 = 1024 * 1024;
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
    root: OwnedFd,
    durability: Durability,
    shares: bool,
    detour: Detour,
    active: AtomicUsize,
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

/// One commit that syncs; while it lives it counts among those at work.
pub struct Session {
    syncer: Arc<Syncer>,
    shared: bool,
    /// Files whose content is to be made durable by an `fsync` of their own.
    unsynced: Vec<Arc<File>>,
}

impl Syncer {
    pub fn new(root: OwnedFd, durability: Durability) -> Self {
        Syncer {
            root,
            durability,
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
        Session {
            syncer: Arc::clone(self),
            shared,
            unsynced: Vec::new(),
        }
    }

    /// Whether no sync has failed with an I/O error since the start: what the kernel could not
    /// write it has dropped, so only a restart clears it.
    pub fn healthy(&self) -> Result<(), String> {
        if self.damaged.load(Ordering::Relaxed) {
            return Err("the disk failed to write (EIO); restart when it is well".to_owned());
        }
        Ok(())
    }

    fn check(&self, result: Result<(), Errno>) -> Result<(), StoreError> {
        if result == Err(Errno::IO) {
            self.damaged.store(true, Ordering::Relaxed);
        }
        result.map_err(|error| StoreError::io("syncing to the disk", error))
    }

    /// Waits for a `syncfs` that begins after this call, and runs it if nobody else does. Blocks.
    fn shared(&self) -> Result<(), Errno> {
        let next = self.lock().begun + 1;
        self.round(next)
    }

    /// Waits for a `syncfs` that begins after this call.
    async fn shared_by_tasks(self: &Arc<Self>) -> Result<(), Errno> {
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
            let result = self.detour.trip().go(|| rustix::fs::syncfs(&self.root));
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

impl Session {
    /// Whether tasks can wait for it: it syncs nothing, or with others.
    pub fn is_for_tasks(&self) -> bool {
        self.shared || self.syncer.durability == Durability::Relaxed
    }

    /// What [`contents`](Self::contents) does, for tasks.
    pub async fn contents_by_tasks(&self) -> Result<(), StoreError> {
        if self.syncer.durability == Durability::Relaxed {
            return Ok(());
        }
        self.syncer.check(self.syncer.shared_by_tasks().await)
    }

    /// What [`names`](Self::names) does, for tasks.
    pub async fn names_by_tasks(&self, folder: &Folder) -> Result<(), StoreError> {
        if self.syncer.durability == Durability::Relaxed {
            return Ok(());
        }
        self.syncer.check(self.syncer.shared_by_tasks().await)?;
        folder.set_durable();
        Ok(())
    }

    /// Has the content of a file made durable by the next [`contents`](Self::contents).
    pub fn add(&mut self, file: Arc<File>) {
        if self.syncer.durability == Durability::Strict && !self.shared {
            self.unsynced.push(file);
        }
    }

    /// Makes the content of all files durable that were added.
    pub fn contents(&mut self) -> Result<(), StoreError> {
        if self.syncer.durability == Durability::Relaxed {
            return Ok(());
        }
        if self.shared {
            return self.syncer.check(self.syncer.shared());
        }
        let files = std::mem::take(&mut self.unsynced);
        if files.len() > 1 {
            // All on their way before the first is waited for: the journal takes them in one go.
            files.iter().for_each(|file| begin_writing_small(file));
        }
        files
            .iter()
            .try_for_each(|file| self.syncer.check(rustix::fs::fsync(file)))
    }

    /// Makes the content of a file durable now, before it takes another's place.
    pub fn content(&self, file: &File) -> Result<(), StoreError> {
        match self.syncer.durability {
            Durability::Relaxed => Ok(()),
            Durability::Strict => self.syncer.check(rustix::fs::fsync(file)),
        }
    }

    /// Makes durable the names given in `folder` before, and the folder's own.
    pub fn names(&self, folder: &Folder) -> Result<(), StoreError> {
        if self.syncer.durability == Durability::Relaxed {
            return Ok(());
        }
        if self.shared {
            self.syncer.check(self.syncer.shared())?;
        } else {
            self.syncer.check(rustix::fs::fsync(folder))?;
            if !folder.is_durable() {
                self.syncer.check(rustix::fs::fsync(&self.syncer.root))?;
            }
        }
        folder.set_durable();
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.syncer.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Has the content of a small file that was just written go to the disk, and does not wait for it.
/// The advice says that the pages are not needed, and begins to write those that are dirty
/// (posix_fadvise(2)). It drops what is written already, which of a large file may be much, and
/// soon be asked for.
fn begin_writing_small(file: &File) {
    if file.metadata().is_ok_and(|file| file.len() <= SMALL) {
        // Nothing but speed depends on it.
        let _ = rustix::fs::fadvise(file, 0, None, Advice::DontNeed);
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
        let root = File::open(dir.path()).unwrap().into();
        (dir, Arc::new(Syncer::new(root, durability)))
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
    fn what_is_in_the_page_cache_stays_there() {
        const SIZE: usize = 8 << 20;
        let (dir, syncer) = syncer(Durability::Strict);
        let file = |name: &str, size| {
            let path = dir.path().join(name);
            std::fs::write(&path, vec![7; size]).unwrap();
            Arc::new(File::open(path).unwrap())
        };
        let (large, small) = (file("large", SIZE), file("small", 100));
        let cached = || super::super::blob::read_cached(&large, &mut vec![0; SIZE], 0);
        // The kernel has written it by itself while it came.
        rustix::fs::fsync(&large).unwrap();
        let before = cached();
        let mut session = syncer.session(2);
        session.add(Arc::clone(&large));
        session.add(small);
        session.contents().unwrap();
        assert_eq!(cached(), before);
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
