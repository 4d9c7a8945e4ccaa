//! An upload that is being received.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::commit::Commit;
use super::descriptors::Permit;
use super::sink::DiskSink;
use super::writer::write_at;
use super::{Inner, layout, run_blocking};
use crate::model::{FileName, Manifest, UploadId, Uptime};
use crate::store::{FileSink, Staged, StoreError};

/// How many bytes of small files one upload holds until its commit, at most.
const GATHER: usize = 256 * 1024;
/// How many bytes all uploads together hold, as long as each may hold its least.
const GATHER_ALL: usize = 4 * 1024 * 1024;
const GATHER_LEAST: usize = 16 * 1024;

/// A commit of so few files takes less than a trip to another thread, unless the file system makes
/// it wait; syncs are waited for elsewhere.
const INLINE: usize = 4;

/// An upload on its way to the disk.
#[derive(Debug)]
pub struct DiskStaged {
    pub inner: Arc<Inner>,
    pub id: UploadId,
    pub files: Vec<StagedFile>,
    /// Small files, one behind the other.
    pub gathered: Vec<u8>,
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
    /// In a file without a name.
    Unnamed(Arc<File>, Permit),
    /// In a file of the stage, closed.
    Named(String),
}

impl DiskStaged {
    pub fn new(inner: Arc<Inner>, id: UploadId) -> Self {
        inner.under_way.fetch_add(1, Ordering::Relaxed);
        DiskStaged {
            inner,
            id,
            files: Vec::new(),
            gathered: Vec::new(),
            touched: Uptime::now(),
        }
    }

    /// How many bytes it may hold now.
    pub fn room(&self) -> usize {
        let uploads = self.inner.under_way.load(Ordering::Relaxed).max(1);
        (GATHER_ALL / uploads).clamp(GATHER_LEAST, GATHER)
    }

    /// Whether naming takes hardly any time. Where others have the directory too, it may wait for
    /// another machine, or for a key that they have locked.
    fn is_quick(&self) -> bool {
        let alone = !self.inner.is_shared();
        alone && self.files.len() <= INLINE && !self.inner.naming.is_on()
    }

    /// A new file: without a name where the budget allows it, else in the stage.
    pub fn create(&mut self) -> Result<(Arc<File>, Content), StoreError> {
        let failed = |error| StoreError::io("creating a file", error);
        if let Some(permit) = self.inner.descriptors.take() {
            let dir = self
                .inner
                .layout
                .make_prefix(self.id.prefix())
                .map_err(failed)?;
            let file = layout::create_unnamed(&dir).inspect_err(|_| {
                self.inner.layout.forget_prefix(self.id.prefix());
            });
            let file = Arc::new(file.map_err(failed)?);
            return Ok((Arc::clone(&file), Content::Unnamed(file, permit)));
        }
        let (file, name) = self.inner.layout.create_staged(&self.id).map_err(failed)?;
        Ok((Arc::new(file), Content::Named(name)))
    }

    /// Writes the files gathered so far, to make room for others.
    pub async fn flush(&mut self) -> Result<(), StoreError> {
        let gathered = std::mem::take(&mut self.gathered);
        let mut writes = Vec::new();
        for i in 0..self.files.len() {
            let Content::Gathered(range) = &self.files[i].content else {
                continue;
            };
            let range = range.clone();
            let (file, content) = self.create()?;
            self.files[i].content = content;
            writes.push((file, range));
        }
        self.gathered = run_blocking(move || {
            for (file, range) in writes {
                write_at(&file, &gathered[range], 0)?;
            }
            Ok(gathered)
        })
        .await?;
        self.gathered.clear();
        Ok(())
    }
}

impl Drop for DiskStaged {
    /// Unnamed files end with their descriptors; what waits in the stage is removed.
    fn drop(&mut self) {
        self.inner.under_way.fetch_sub(1, Ordering::Relaxed);
        let named = self.files.iter().filter_map(|file| match &file.content {
            Content::Named(name) => Some(name.clone()),
            _ => None,
        });
        let named: Vec<String> = named.collect();
        if named.is_empty() {
            return;
        }
        let inner = Arc::clone(&self.inner);
        let clear = move || {
            for name in named {
                if let Err(error) = layout::unlink(inner.layout.stage(), name.as_str()) {
                    tracing::warn!(name, %error, "an aborted upload stays in the stage until the next start");
                }
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(clear)),
            Err(_) => clear(),
        }
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
            self.flush().await?;
        }
        Ok(Box::new(DiskSink::new(self, name, hash)))
    }

    async fn commit(self: Box<Self>, manifest: &Manifest) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        inner.space.check()?;
        if self.is_quick()
            && let Ok(_permit) = inner.by_task.try_acquire()
        {
            let session = inner.syncer.session(self.files.len());
            if session.is_for_tasks() {
                return Commit::new(*self, manifest, session).by_task().await;
            }
        }
        let _permit = inner.by_thread.acquire().await;
        let manifest = manifest.clone();
        let commit = move || {
            let session = self.inner.syncer.session(self.files.len());
            Commit::new(*self, &manifest, session).by_thread()
        };
        run_blocking(commit).await
    }
}
