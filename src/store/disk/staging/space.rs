//! The room that is to be kept free.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::StoreError;

/// How many bytes all uploads together write between two looks.
const INTERVAL: u64 = 4 * 1024 * 1024;

/// What all uploads together have written.
#[derive(Debug, Default)]
pub struct Written(AtomicU64);

impl Written {
    /// Counts bytes to be written; answers whether the file system is to be looked at again.
    pub fn count(&self, bytes: u64) -> bool {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        before / INTERVAL != before.wrapping_add(bytes) / INTERVAL
    }
}

/// Watches the free space of the store's file system.
#[derive(Debug)]
pub struct Space {
    root: OwnedFd,
    min_free: u64,
    /// Whether it is looked at in any case: to see that it answers.
    remote: bool,
}

impl Space {
    pub fn new(root: OwnedFd, min_free: u64, remote: bool) -> Self {
        Space {
            root,
            min_free,
            remote,
        }
    }

    /// Looks at the file system now. Blocks where that is not local.
    pub fn check(&self) -> Result<(), StoreError> {
        if self.min_free == 0 && !self.remote {
            return Ok(());
        }
        let stat = rustix::fs::fstatvfs(&self.root)
            .map_err(|error| StoreError::io("asking for the free space", error))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < self.min_free {
            let min_free = self.min_free;
            return Err(StoreError::NoSpace(format!(
                "{free} bytes are free, and min_free keeps {min_free}"
            )));
        }
        Ok(())
    }
}
