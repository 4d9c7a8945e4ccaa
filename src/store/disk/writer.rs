//! The way of a frame to the page cache.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::run_blocking;
use crate::store::StoreError;

/// A write longer than this has waited for the disk, and not for the page cache.
const SLOW: Duration = Duration::from_millis(5);
/// How long writes leave the async threads after a slow one.
const AVOID: Duration = Duration::from_secs(1);

/// Writes inline as long as the page cache takes the bytes at once, which is cheaper than a trip
/// to another thread; where the kernel makes writers wait (dirty pages over their limit), writes
/// go to blocking threads for a while.
#[derive(Debug)]
pub struct Writer {
    start: Instant,
    /// Until when writes leave the async threads, in milliseconds since `start`.
    avoid_until: AtomicU64,
}

impl Default for Writer {
    fn default() -> Self {
        Writer {
            start: Instant::now(),
            avoid_until: AtomicU64::new(0),
        }
    }
}

impl Writer {
    /// Writes `data` at `offset`.
    pub async fn write(
        &self,
        file: &Arc<File>,
        data: Bytes,
        offset: u64,
    ) -> Result<(), StoreError> {
        let start = Instant::now();
        let result = if self.millis(start) < self.avoid_until.load(Ordering::Relaxed) {
            let file = Arc::clone(file);
            run_blocking(move || write_at(&file, &data, offset)).await
        } else {
            write_at(file, &data, offset)
        };
        let end = Instant::now();
        if end - start > SLOW {
            self.avoid_until
                .store(self.millis(end + AVOID), Ordering::Relaxed);
        }
        result
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from((at - self.start).as_millis()).unwrap_or(u64::MAX)
    }
}

/// Writes all of `data` at `offset`.
pub fn write_at(file: &File, data: &[u8], offset: u64) -> Result<(), StoreError> {
    file.write_all_at(data, offset)
        .map_err(|error| StoreError::io("writing an upload", error))
}
