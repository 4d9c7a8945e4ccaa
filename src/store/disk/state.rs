//! What the uploads of a store share in memory.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::health::Health;
use super::reading::blocks::Blocks;
use super::slow_path::Detour;
use super::staging::space::Written;
use super::staging::writer::Writer;

/// How many commits run at once on threads of their own.
const BY_THREAD: usize = 128;
/// How many wait as tasks at once, each with a descriptor that is not counted.
const BY_TASK: usize = 1024;
/// A task that takes longer to name the files of its commit has waited for the disk.
const SLOW_COMMIT: Duration = Duration::from_millis(5);

/// What they share in memory alone: to look at it needs no disk.
#[derive(Debug)]
pub struct State {
    pub health: Health,
    pub writer: Writer,
    pub written: Written,
    /// Whether commits leave the async threads.
    pub naming: Detour,
    pub blocks: Arc<Blocks>,
    pub by_thread: Semaphore,
    pub by_task: Semaphore,
    /// How many uploads are being received or committed.
    pub under_way: AtomicUsize,
}

impl State {
    pub fn new() -> Self {
        State {
            health: Health::default(),
            writer: Writer::default(),
            written: Written::default(),
            naming: Detour::new(SLOW_COMMIT),
            blocks: Arc::default(),
            by_thread: Semaphore::new(BY_THREAD),
            by_task: Semaphore::new(BY_TASK),
            under_way: AtomicUsize::new(0),
        }
    }
}
