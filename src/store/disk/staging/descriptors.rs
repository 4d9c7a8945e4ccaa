//! The budget of open files.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many unnamed files of uploads under way may be open at once.
#[derive(Debug)]
pub struct Descriptors {
    free: Arc<Semaphore>,
    unnamed: bool,
}

/// The right to keep one unnamed file open.
#[derive(Debug)]
pub struct Permit {
    _permit: OwnedSemaphorePermit,
}

impl Descriptors {
    /// A budget of `limit` files; none where the file system has no `unnamed` files.
    pub fn new(limit: usize, unnamed: bool) -> Self {
        let limit = if unnamed {
            limit.min(Semaphore::MAX_PERMITS)
        } else {
            0
        };
        let free = Arc::new(Semaphore::new(limit));
        Descriptors { free, unnamed }
    }

    /// Whether the file system has unnamed files.
    pub fn unnamed(&self) -> bool {
        self.unnamed
    }

    /// A permit, if one is left. Nobody waits for one: a file without it gets a name.
    pub fn take(&self) -> Option<Permit> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(Permit { _permit: permit })
    }
}
