//! A file that is being received.

use async_trait::async_trait;
use bytes::Bytes;

use super::{Content, DiskStaged, StagedFile};
use crate::model::{FileName, Uptime};
use crate::store::disk::closer::OpenFile;
use crate::store::hashing::Hashing;
use crate::store::{FileSink, FileSummary, StoreError};

/// Takes one file: into the upload's memory as long as it is small, then into a file.
pub struct DiskSink<'a> {
    staged: &'a mut DiskStaged,
    name: FileName,
    hashing: Hashing,
    size: u64,
    /// Where the file's bytes begin in the upload's memory.
    start: usize,
    spilled: Option<(OpenFile, Content)>,
}

impl<'a> DiskSink<'a> {
    pub fn new(staged: &'a mut DiskStaged, name: FileName, hash: bool) -> Self {
        let start = staged.gathered.len();
        DiskSink {
            staged,
            name,
            hashing: Hashing::new(hash),
            size: 0,
            start,
            spilled: None,
        }
    }

    /// Moves the file from memory to the disk, where the rest of it goes as well.
    async fn spill(&mut self) -> Result<OpenFile, StoreError> {
        let id = self.staged.id;
        let (file, content) = self
            .staged
            .disk
            .quick(move |inner| inner.create(&id))
            .await?;
        let held = match self.start {
            // Else the memory stayed with the upload.
            0 => std::mem::take(&mut self.staged.gathered),
            start => self.staged.gathered.split_off(start),
        };
        self.spilled = Some((file.clone(), content));
        self.staged.disk.write(&file, held.into(), 0).await?;
        Ok(file)
    }
}

#[async_trait]
impl FileSink for DiskSink<'_> {
    async fn write(&mut self, data: Bytes) -> Result<(), StoreError> {
        let taken = self.take(data).await;
        self.staged.disk.learn(&self.staged.id, taken).await
    }

    async fn finish(mut self: Box<Self>) -> Result<FileSummary, StoreError> {
        let content = match self.spilled.take() {
            Some((_, content)) => content,
            None => Content::Gathered(self.start..self.staged.gathered.len()),
        };
        let name = self.name.clone();
        self.staged.files.push(StagedFile { name, content });
        Ok(FileSummary {
            size: self.size,
            sha256: self.hashing.finish().await?,
        })
    }
}

impl DiskSink<'_> {
    async fn take(&mut self, data: Bytes) -> Result<(), StoreError> {
        let len = data.len() as u64;
        let disk = &self.staged.disk;
        if disk.state().written.count(len) {
            disk.quick(|inner| inner.space.check()).await?;
        }
        self.staged.touched = Uptime::now();
        self.hashing.update(&data).await?;
        if self.spilled.is_none() && self.staged.gathered.len() + data.len() <= self.staged.room() {
            self.staged.gathered.extend_from_slice(&data);
            self.size += len;
            return Ok(());
        }
        let file = match &self.spilled {
            Some((file, _)) => file.clone(),
            None => self.spill().await?,
        };
        self.staged.disk.write(&file, data, self.size).await?;
        self.size += len;
        Ok(())
    }
}
