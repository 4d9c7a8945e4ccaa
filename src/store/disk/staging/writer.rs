//! The way of a frame to the page cache.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::store::StoreError;
use crate::store::disk::Inner;
use crate::store::disk::closer::OpenFile;
use crate::store::disk::slow_path::Detour;
use crate::store::disk::threads::Disk;

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

impl Disk {
    /// Writes `data` at `offset`.
    pub async fn write(&self, file: &OpenFile, data: Bytes, offset: u64) -> Result<(), StoreError> {
        let file = file.clone();
        let write = move |inner: &Arc<Inner>| {
            let start = Instant::now();
            let result = file.write_at(inner, &data, offset);
            Ok((result, start.elapsed()))
        };
        let detour = &self.state().writer.0;
        let (result, took) = match self.here() {
            Some(inner) if !detour.is_on() => write(inner)?,
            _ => self.away(write).await?,
        };
        detour.judge(took);
        result
    }
}

/// Writes all of `data` at `offset`.
pub fn write_at(file: &File, data: &[u8], offset: u64) -> Result<(), StoreError> {
    file.write_all_at(data, offset)
        .map_err(|error| StoreError::change("writing an upload", error))
}
