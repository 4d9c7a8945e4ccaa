//! An upload under way: its files, and the buffer in which small ones wait.

use std::sync::atomic::Ordering;

use super::file::{FileState, Flush, StagedFile};
use crate::model::{Manifest, UploadId, Uptime};
use crate::store::StoreError;
use crate::store::disk::threads::Disk;

/// How many bytes of small files one upload buffers, at most, before they are written.
const MAX_BUFFER: usize = 128 * 1024;
/// How many bytes each upload may buffer however many there are.
const MIN_BUFFER: usize = 16 * 1024;
/// How many bytes all uploads together buffer, as long as each may buffer its least.
const ALL_BUFFERS: usize = 4 * 1024 * 1024;

/// An upload on its way to the disk.
#[derive(Debug)]
pub struct StagedUpload {
    pub disk: Disk,
    pub id: UploadId,
    /// The files that were received whole.
    pub files: Vec<StagedFile>,
    /// Small files, one behind the other, and the beginning of the next.
    pub buffer: Vec<u8>,
    /// The files that were buffered before, on their way to the disk.
    flush: Option<Flush>,
    /// How many files are not in the buffer any more, from the first.
    flushed: usize,
    /// When the last byte came.
    pub touched: Uptime,
}

impl StagedUpload {
    pub fn new(disk: Disk, id: UploadId) -> Self {
        disk.state().under_way.fetch_add(1, Ordering::Relaxed);
        StagedUpload {
            disk,
            id,
            files: Vec::new(),
            buffer: Vec::new(),
            flush: None,
            flushed: 0,
            touched: Uptime::now(),
        }
    }

    /// How many bytes it may buffer now.
    pub fn room(&self) -> usize {
        let uploads = self.disk.state().under_way.load(Ordering::Relaxed);
        let uploads = uploads.max(1);
        (ALL_BUFFERS / uploads).clamp(MIN_BUFFER, MAX_BUFFER)
    }

    /// Whether its buffer has all the files of `manifest`, in their order, and nothing else.
    pub fn is_buffered(&self, manifest: &Manifest) -> bool {
        let mut at = 0;
        let mut files = self.files.iter();
        let buffered = manifest.files().all(|(_, file)| {
            let staged = files.next().filter(|staged| staged.name == file.name);
            match staged.map(|staged| &staged.state) {
                Some(FileState::Buffered(range)) if range.start == at => {
                    at = range.end;
                    true
                }
                _ => false,
            }
        });
        buffered && files.next().is_none() && at == self.buffer.len()
    }

    /// Begins to write the buffered files, to make room for others. Waits until those before them
    /// are written: an upload holds no more than twice its room.
    pub async fn flush(&mut self) -> Result<(), StoreError> {
        self.finish_flush().await?;
        let buffer = std::mem::take(&mut self.buffer);
        let among = self.flushed..self.files.len();
        self.flushed = among.end;
        let flush = Flush::begin(&self.disk, self.id, &mut self.files, among, buffer);
        self.flush = Some(flush);
        Ok(())
    }

    /// Waits until the files that are flushing are written.
    pub async fn finish_flush(&mut self) -> Result<(), StoreError> {
        let Some(flush) = self.flush.take() else {
            return Ok(());
        };
        let buffer = flush.finish(&mut self.files).await?;
        if self.buffer.capacity() == 0 {
            self.buffer = buffer;
        }
        Ok(())
    }
}

impl Drop for StagedUpload {
    fn drop(&mut self) {
        self.disk.state().under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
