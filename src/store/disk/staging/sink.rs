//! A file that is being received.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;

use super::file::{FileState, StagedFile};
use super::upload::StagedUpload;
use crate::hashing::TaskHasher;
use crate::model::{FileName, Uptime};
use crate::store::disk::inner::Inner;
use crate::store::disk::open_file::OpenFile;
use crate::store::{FileSink, FileSummary, StoreError};

/// Takes one file: into the upload's buffer as long as it is small, then into a file.
pub struct DiskSink<'a> {
    upload: &'a mut StagedUpload,
    name: FileName,
    hasher: TaskHasher,
    size: u64,
    /// Where the file's bytes begin in the upload's buffer.
    start: usize,
    /// The file on the disk, once the buffer was too small.
    spilled: Option<(OpenFile, FileState)>,
}

impl<'a> DiskSink<'a> {
    pub fn new(upload: &'a mut StagedUpload, name: FileName, hash: bool) -> Self {
        let start = upload.buffer.len();
        DiskSink {
            upload,
            name,
            hasher: TaskHasher::new(hash),
            size: 0,
            start,
            spilled: None,
        }
    }

    async fn take(&mut self, data: Bytes) -> Result<(), StoreError> {
        let len = data.len() as u64;
        let disk = &self.upload.disk;
        if disk.state().written.count(len) {
            disk.run_quick(|inner| inner.space.check()).await?;
        }
        self.upload.touched = Uptime::now();
        self.hasher.update(&data).await.map_err(StoreError::ended)?;
        if self.spilled.is_none() && self.upload.buffer.len() + data.len() <= self.upload.room() {
            self.upload.buffer.extend_from_slice(&data);
            self.size += len;
            return Ok(());
        }
        let file = match &self.spilled {
            Some((file, _)) => file.clone(),
            None => self.spill().await?,
        };
        self.write_at(&file, data, self.size).await?;
        self.size += len;
        Ok(())
    }

    /// Moves the file from the buffer to the disk, where the rest of it goes as well.
    async fn spill(&mut self) -> Result<OpenFile, StoreError> {
        let id = self.upload.id;
        let create = move |inner: &Arc<Inner>| FileState::create(inner, &id);
        let (file, state) = self.upload.disk.run_quick(create).await?;
        let buffered = match self.start {
            // Otherwise the memory would stay with the upload.
            0 => std::mem::take(&mut self.upload.buffer),
            start => self.upload.buffer.split_off(start),
        };
        self.spilled = Some((file.clone(), state));
        self.write_at(&file, buffered.into(), 0).await?;
        Ok(file)
    }

    /// Writes `data` at `offset`: inline as long as the page cache takes the bytes at once, which
    /// is cheaper than another thread; on a blocking thread where writes were slow lately.
    async fn write_at(&self, file: &OpenFile, data: Bytes, offset: u64) -> Result<(), StoreError> {
        let disk = &self.upload.disk;
        let file = file.clone();
        let write = move |inner: &Arc<Inner>| {
            let start = Instant::now();
            let result = file.write_at(inner, &data, offset);
            Ok((result, start.elapsed()))
        };
        let slow_path = &disk.state().writing;
        let (result, took) = match disk.local() {
            Some(inner) if !slow_path.is_active() => write(inner)?,
            _ => disk.run_blocking(write).await?,
        };
        slow_path.record(took);
        result
    }
}

#[async_trait]
impl FileSink for DiskSink<'_> {
    async fn write(&mut self, data: Bytes) -> Result<(), StoreError> {
        let taken = self.take(data).await;
        self.upload.disk.record(&self.upload.id, taken).await
    }

    async fn finish(mut self: Box<Self>) -> Result<FileSummary, StoreError> {
        let state = match self.spilled.take() {
            Some((_, state)) => state,
            None => FileState::Buffered(self.start..self.upload.buffer.len()),
        };
        let name = self.name.clone();
        self.upload.files.push(StagedFile { name, state });
        let checksums = self.hasher.finish().await.map_err(StoreError::ended)?;
        Ok(FileSummary {
            size: self.size,
            checksums,
        })
    }
}
