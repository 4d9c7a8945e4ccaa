//! An upload that is being received.

pub mod batch;
pub mod commit;
pub mod descriptors;
pub mod placement;
pub mod prepared;
pub mod sink;
pub mod space;
pub mod waiting;
pub mod writer;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;

use crate::model::{FileName, Manifest, UploadId, Uptime};
use crate::store::disk::closer::OpenFile;
use crate::store::disk::threads::Disk;
use crate::store::disk::{Inner, layout};
use crate::store::{FileSink, Staged, StoreError};
use batch::Batch;
use commit::Commit;
use sink::DiskSink;
use waiting::Waiting;

/// How many bytes of small files one upload gathers, at most, before they are written.
const GATHER: usize = 128 * 1024;
/// How many bytes all uploads together gather, as long as each may gather its least.
const GATHER_ALL: usize = 4 * 1024 * 1024;
const GATHER_LEAST: usize = 16 * 1024;

/// A commit of so few files takes less than a trip to another thread, unless the file system makes
/// it wait; syncs are waited for elsewhere.
const INLINE: usize = 4;

/// An upload on its way to the disk.
#[derive(Debug)]
pub struct DiskStaged {
    pub disk: Disk,
    pub id: UploadId,
    pub files: Vec<StagedFile>,
    /// Small files, one behind the other.
    pub gathered: Vec<u8>,
    /// Those that were gathered before.
    leaving: Option<Batch>,
    /// Of how many files none is gathered any more.
    flushed: usize,
    /// When the last byte came.
    pub touched: Uptime,
}

/// A file of an upload under way.
#[derive(Debug)]
pub struct StagedFile {
    pub name: FileName,
    pub content: Content,
}

/// Where the bytes of a file under way are.
#[derive(Debug)]
pub enum Content {
    /// In the upload's memory.
    Gathered(Range<usize>),
    /// On their way from there to a file.
    Leaving,
    /// In a file without a name.
    Unnamed(OpenFile),
    /// In a file of the stage, closed.
    Named(Waiting),
}

impl DiskStaged {
    pub fn new(disk: Disk, id: UploadId) -> Self {
        disk.state().under_way.fetch_add(1, Ordering::Relaxed);
        DiskStaged {
            disk,
            id,
            files: Vec::new(),
            gathered: Vec::new(),
            leaving: None,
            flushed: 0,
            touched: Uptime::now(),
        }
    }

    /// How many bytes it may hold now.
    pub fn room(&self) -> usize {
        let uploads = self.disk.state().under_way.load(Ordering::Relaxed);
        let uploads = uploads.max(1);
        (GATHER_ALL / uploads).clamp(GATHER_LEAST, GATHER)
    }

    /// Whether naming takes hardly any time. Where others have the directory too, it may wait for
    /// another machine, or for a key that they have locked.
    fn is_quick(&self, inner: &Inner) -> bool {
        let alone = !inner.is_shared();
        alone && self.files.len() <= INLINE && !inner.state.naming.is_on()
    }

    /// Has the files gathered so far written, to make room for others. Those before them must
    /// have been written: an upload holds no more than twice its room.
    async fn flush(&mut self) -> Result<(), StoreError> {
        self.settle().await?;
        let memory = std::mem::take(&mut self.gathered);
        let among = self.flushed..self.files.len();
        self.flushed = among.end;
        let mut ranges = Vec::new();
        for file in &mut self.files[among.clone()] {
            if let Content::Gathered(range) = &file.content {
                ranges.push(range.clone());
                file.content = Content::Leaving;
            }
        }
        let batch = Batch::begin(&self.disk, self.id, memory, ranges, among);
        self.leaving = Some(batch);
        Ok(())
    }

    /// Waits for the files that are leaving.
    async fn settle(&mut self) -> Result<(), StoreError> {
        let Some(batch) = self.leaving.take() else {
            return Ok(());
        };
        let among = batch.among.clone();
        let written = batch.written().await?;
        let files = self.files[among].iter_mut();
        let left = files.filter(|file| matches!(file.content, Content::Leaving));
        for (file, content) in left.zip(written.contents) {
            file.content = content;
        }
        if self.gathered.capacity() == 0 {
            self.gathered = written.memory;
        }
        Ok(())
    }
}

impl Inner {
    /// A new file of an upload: without a name where the budget allows it, else in the stage.
    pub fn create(self: &Arc<Self>, id: &UploadId) -> Result<(OpenFile, Content), StoreError> {
        let failed = |error| StoreError::change("creating a file", error);
        let Some(permit) = self.descriptors.take() else {
            let (file, waiting) = Waiting::create(self, id).map_err(failed)?;
            return Ok((OpenFile::new(self, file, 0), Content::Named(waiting)));
        };
        let dir = self.layout.make_prefix(id.prefix()).map_err(failed)?;
        let file = layout::create_unnamed(&dir).inspect_err(|_| {
            self.layout.forget_prefix(id.prefix());
        });
        let file = OpenFile::counted(self, file.map_err(failed)?, permit);
        Ok((file.clone(), Content::Unnamed(file)))
    }
}

impl Drop for DiskStaged {
    fn drop(&mut self) {
        self.disk.state().under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Staged for DiskStaged {
    async fn file<'a>(
        &'a mut self,
        name: FileName,
        hash: bool,
    ) -> Result<Box<dyn FileSink + 'a>, StoreError> {
        if self.gathered.len() >= self.room() {
            let flushed = self.flush().await;
            self.disk.learn(&self.id, flushed).await?;
        }
        Ok(Box::new(DiskSink::new(self, name, hash)))
    }

    async fn commit(self: Box<Self>, manifest: &Manifest) -> Result<(), StoreError> {
        let disk = self.disk.clone();
        let committed = self.commit_now(manifest).await;
        disk.learn_all(&manifest.id, committed).await
    }
}

impl DiskStaged {
    async fn commit_now(mut self: Box<Self>, manifest: &Manifest) -> Result<(), StoreError> {
        self.settle().await?;
        let disk = self.disk.clone();
        disk.quick(|inner| inner.space.check()).await?;
        if let Some(inner) = disk.here()
            && self.is_quick(inner)
            && let Ok(_permit) = disk.state().by_task.try_acquire()
        {
            let session = inner.syncer.session(self.files.len());
            if session.is_for_tasks() {
                let commit = Commit::new(inner, *self, manifest, session);
                return commit.by_task(&disk).await;
            }
        }
        let _permit = disk.state().by_thread.acquire().await;
        let manifest = manifest.clone();
        let commit = move |inner: &Arc<Inner>| {
            let session = inner.syncer.session(self.files.len());
            Commit::new(inner, *self, &manifest, session).by_thread()
        };
        disk.away(commit).await
    }
}
