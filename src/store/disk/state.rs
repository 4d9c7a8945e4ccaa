//! The state that the uploads of a store share in memory.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::health::Health;
use super::reading::blocks::Blocks;
use super::slow_path::SlowPath;
use super::staging::limits::Written;
use crate::store::{Sendfile, Ways};

/// How many commits run on blocking threads at once.
const BLOCKING_COMMITS: usize = 128;
/// How many commits run as tasks at once, each with a descriptor that is not counted.
const ASYNC_COMMITS: usize = 1024;
/// A task that takes longer to name the files of its commit has waited for the disk.
const SLOW_COMMIT: Duration = Duration::from_millis(5);
/// A write that takes longer has waited for the disk, and not for the page cache.
const SLOW_WRITE: Duration = Duration::from_millis(5);

/// The part of it that needs no disk to be looked at.
#[derive(Debug)]
pub struct State {
    pub health: Health,
    pub written: Written,
    /// Whether writes go to blocking threads: where the kernel makes writers wait (dirty pages
    /// over their limit), and not as long as the page cache takes the bytes at once.
    pub writing: SlowPath,
    /// Whether commits run on blocking threads.
    pub naming: SlowPath,
    pub blocks: Blocks,
    pub ways: Arc<Ways>,
    pub blocking_commits: Semaphore,
    pub async_commits: Semaphore,
    /// How many uploads are being received or committed.
    pub under_way: AtomicUsize,
}

impl State {
    pub fn new() -> Self {
        State {
            health: Health::default(),
            written: Written::default(),
            writing: SlowPath::new(SLOW_WRITE),
            naming: SlowPath::new(SLOW_COMMIT),
            blocks: Blocks::default(),
            ways: Arc::new(Ways::new(Sendfile::Off)),
            blocking_commits: Semaphore::new(BLOCKING_COMMITS),
            async_commits: Semaphore::new(ASYNC_COMMITS),
            under_way: AtomicUsize::new(0),
        }
    }
}
