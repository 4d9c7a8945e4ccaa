//! The way of a frame to the page cache.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::detour::Detour;
use super::run_blocking;
use crate::store::StoreError;

/// A write longer than this has waited for the disk, and not for the page cache.
const SLOW: Duration = Duration::from_millis(5);

/// Writes inline as long as the page cache takes the bytes at once, which is cheaper than a trip
/// to another thread; where the kernel makes writers wait (dirty pages over their limit), writes
/// go to blocking threads for a while.
#[derive(Debug)]
pub struct Writer(Detour);

impl Default for Writer {
    fn default() -> Self {
        Writer(Detour::new(SLOW))
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
        let file = Arc::clone(file);
        let write = move || {
            let start = Instant::now();
            (write_at(&file, &data, offset), start.elapsed())
        };
        let (result, took) = if self.0.is_on() {
            run_blocking(move || Ok(write())).await?
        } else {
            write()
        };
        self.0.judge(took);
        result
    }
}

/// Writes all of `data` at `offset`.
pub fn write_at(file: &File, data: &[u8], offset: u64) -> Result<(), StoreError> {
    file.write_all_at(data, offset)
        .map_err(|error| StoreError::change("writing an upload", error))
}
