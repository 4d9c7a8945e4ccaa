//! An upload on its way to the disk, from its first byte to its commit: [`mod@file`] tells the life
//! of one of its files.

mod commit;
pub mod file;
pub mod limits;
pub mod placement;
mod sink;
mod upload;

use std::sync::Arc;

use async_trait::async_trait;

use crate::model::{FileName, Manifest, UploadId};
use crate::store::disk::inner::Inner;
use crate::store::disk::session::Session;
use crate::store::disk::threads::Disk;
use crate::store::{FileSink, Staged, StoreError};
use commit::{Commit, Syncs};
use sink::DiskSink;
use upload::StagedUpload;

/// A commit of so few files takes less time than another thread would, unless the file system
/// makes it wait; it waits for its syncs as a task.
const MAX_INLINE_FILES: usize = 4;

/// An upload that is being received.
#[derive(Debug)]
pub struct DiskStaged(StagedUpload);

impl DiskStaged {
    pub fn new(disk: Disk, id: UploadId) -> Self {
        DiskStaged(StagedUpload::new(disk, id))
    }

    /// Whether naming takes hardly any time. Where others have the directory too, it may wait for
    /// another machine, or for a key that they have locked.
    fn is_quick(&self, inner: &Inner) -> bool {
        let alone = !inner.is_shared();
        alone && self.0.files.len() <= MAX_INLINE_FILES && !inner.state.naming.is_active()
    }

    /// What makes it durable: a record in the journal, if all of its files wait in its buffer.
    fn syncs(&self, inner: &Inner, manifest: &Manifest) -> Syncs {
        match inner.journal() {
            Some(journal) if self.0.is_buffered(manifest) => Syncs::Journal(Arc::clone(journal)),
            _ => Syncs::Own(Session::begin(&inner.syncer, self.0.files.len())),
        }
    }

    async fn commit_now(mut self: Box<Self>, manifest: &Manifest) -> Result<(), StoreError> {
        self.0.finish_flush().await?;
        let disk = self.0.disk.clone();
        disk.run_quick(|inner| inner.space.check()).await?;
        if let Some(inner) = disk.local()
            && self.is_quick(inner)
            && let Ok(_permit) = disk.state().async_commits.try_acquire()
        {
            let syncs = self.syncs(inner, manifest);
            if syncs.is_async() {
                let commit = Commit::new(inner, self.0, manifest, syncs);
                return commit.run_async(&disk).await;
            }
        }
        let _permit = disk.state().blocking_commits.acquire().await;
        let manifest = manifest.clone();
        let commit = move |inner: &Arc<Inner>| {
            let syncs = self.syncs(inner, &manifest);
            Commit::new(inner, self.0, &manifest, syncs).run_blocking()
        };
        disk.run_blocking(commit).await
    }
}

#[async_trait]
impl Staged for DiskStaged {
    async fn file<'a>(
        &'a mut self,
        name: FileName,
        hash: bool,
    ) -> Result<Box<dyn FileSink + 'a>, StoreError> {
        if self.0.buffer.len() >= self.0.room() {
            let flushed = self.0.flush().await;
            self.0.disk.record(&self.0.id, flushed).await?;
        }
        Ok(Box::new(DiskSink::new(&mut self.0, name, hash)))
    }

    async fn commit(self: Box<Self>, manifest: &Manifest) -> Result<(), StoreError> {
        let disk = self.0.disk.clone();
        let committed = self.commit_now(manifest).await;
        disk.record_commit(&manifest.id, committed).await
    }
}
