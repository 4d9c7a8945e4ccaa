//! The room that is to be kept free.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::StoreError;

/// How many bytes all uploads together write between two looks.
const INTERVAL: u64 = 4 * 1024 * 1024;

/// Watches the free space of the store's file system.
#[derive(Debug)]
pub struct Space {
    root: OwnedFd,
    min_free: u64,
    written: AtomicU64,
}

impl Space {
    pub fn new(root: OwnedFd, min_free: u64) -> Self {
        let written = AtomicU64::new(0);
        Space {
            root,
            min_free,
            written,
        }
    }

    /// Counts bytes to be written, and looks at the file system now and then.
    pub fn take(&self, bytes: u64) -> Result<(), StoreError> {
        let before = self.written.fetch_add(bytes, Ordering::Relaxed);
        if before / INTERVAL == before.wrapping_add(bytes) / INTERVAL {
            return Ok(());
        }
        self.check()
    }

    /// Looks at the file system now.
    pub fn check(&self) -> Result<(), StoreError> {
        if self.min_free == 0 {
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
