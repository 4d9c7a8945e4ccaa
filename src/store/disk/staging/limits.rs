//! Limits that all uploads share: open files, and the space that stays free.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::store::StoreError;

/// How many bytes all uploads together write between two checks of the free space.
const CHECK_INTERVAL: u64 = 4 * 1024 * 1024;

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

    /// A permit, if one is left. An upload does not wait for one: a file without it gets a name in
    /// the stage.
    pub fn take(&self) -> Option<Permit> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(Permit { _permit: permit })
    }
}

/// How many bytes all uploads together have written.
#[derive(Debug, Default)]
pub struct Written(AtomicU64);

impl Written {
    /// Counts the bytes that an upload is about to write; answers whether the upload checks the free
    /// space again before it does.
    pub fn count(&self, bytes: u64) -> bool {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        before / CHECK_INTERVAL != before.wrapping_add(bytes) / CHECK_INTERVAL
    }
}

/// The free space of the store's file system.
#[derive(Debug)]
pub struct Space {
    root: OwnedFd,
    min_free: u64,
    /// Whether the file system is asked in any case: to see that it answers.
    remote: bool,
}

impl Space {
    /// Keeps `min_free` bytes of the file system of `root` free.
    pub fn new(root: OwnedFd, min_free: u64, remote: bool) -> Self {
        Space {
            root,
            min_free,
            remote,
        }
    }

    /// Asks the file system for its free space. Blocks where that is not local.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`] when fewer bytes are free than `min_free`.
    pub fn check(&self) -> Result<(), StoreError> {
        if self.min_free == 0 && !self.remote {
            return Ok(());
        }
        let free = self.free()?;
        if free < self.min_free {
            let min_free = self.min_free;
            return Err(StoreError::NoSpace(format!(
                "{free} bytes are free, and min_free keeps {min_free}"
            )));
        }
        Ok(())
    }

    /// Says so when the file system is not as large as what is to be kept free of it: then nothing
    /// can ever be stored.
    pub fn warn_if_too_small(&self) {
        let Ok(stat) = rustix::fs::fstatvfs(&self.root) else {
            return;
        };
        let all = stat.f_blocks.saturating_mul(stat.f_frsize);
        // One that does not know its size says 0.
        if all > 0 && all <= self.min_free {
            tracing::warn!(
                "nothing can be stored: min_free keeps {} bytes free, and the file system has {all} in all",
                self.min_free
            );
        }
    }

    /// The bytes that are free above what is to stay free. Blocks where the file system is not local.
    pub fn room(&self) -> Result<u64, StoreError> {
        Ok(self.free()?.saturating_sub(self.min_free))
    }

    /// The bytes that can still be written. Blocks where the file system is not local.
    pub fn free(&self) -> Result<u64, StoreError> {
        let stat = rustix::fs::fstatvfs(&self.root)
            .map_err(|error| StoreError::io("asking for the free space", error))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}
