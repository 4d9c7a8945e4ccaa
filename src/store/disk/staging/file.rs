//! The life of a staged file: where the bytes of one file of an upload are, from the first that
//! comes until the file has its name.
//!
//! ```text
//! received ──► Buffered ─┬─ commit ──► PendingLink ────────────────┐
//!                 │      └─ flush ───► Flushing ─┐                 │
//!                 └─ too large ──────────────────┴─► Unlinked ─────┼─ link ──► its name
//!                                                    or Staged ────┘
//! ```
//!
//! - [`Buffered`](FileState::Buffered): in the memory of its upload, behind the files before it.
//! - [`Flushing`](FileState::Flushing): on the way from there to the disk, as part of a [`Flush`].
//! - [`Unlinked`](FileState::Unlinked): in a file without a name, which is held open. It is gone
//!   with its descriptor.
//! - [`Staged`](FileState::Staged): in a closed file that has a name in the stage: where the file
//!   system has no unnamed files, or too many are open. Its [`StageEntry`] removes it.
//! - [`PendingLink`]: written whole at the commit, and named a moment later; manifests, tombstones
//!   and probes begin here.
//!
//! A file that is dropped before it has its name is removed.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::model::{FileName, UploadId};
use crate::store::StoreError;
use crate::store::disk::inner::Inner;
use crate::store::disk::layout::{self, Folder};
use crate::store::disk::open_file::{DirectFile, OpenFile, write_at};
use crate::store::disk::threads::{Disk, joined};

/// A file of an upload under way, all of it received.
#[derive(Debug)]
pub struct StagedFile {
    pub name: FileName,
    pub state: FileState,
}

/// Where the bytes of a file under way are.
#[derive(Debug)]
pub enum FileState {
    /// In the upload's buffer.
    Buffered(Range<usize>),
    /// On the way from there to a file, which a thread creates and writes.
    Flushing,
    /// In a file without a name, open.
    Unlinked(OpenFile),
    /// In a file of the stage, closed.
    Staged(StageEntry),
}

impl FileState {
    /// A new, empty file of an upload: without a name where the budget of open files allows it,
    /// else in the stage.
    pub fn create(inner: &Arc<Inner>, id: &UploadId) -> Result<(OpenFile, Self), StoreError> {
        let failed = |error| StoreError::change("creating a file", error);
        let Some(permit) = inner.descriptors.take() else {
            let (file, entry) = StageEntry::create(inner, id).map_err(failed)?;
            return Ok((OpenFile::new(inner, file, 0), FileState::Staged(entry)));
        };
        let dir = inner.layout.make_prefix(id.prefix()).map_err(failed)?;
        let file = layout::create_unnamed(&dir).inspect_err(|_| {
            inner.layout.forget_prefix(id.prefix());
        });
        let file = OpenFile::counted(inner, file.map_err(failed)?, permit);
        Ok((file.clone(), FileState::Unlinked(file)))
    }

    /// Gives the file of the upload `id` its `name` in `dir`, the end of this life; `buffer` is
    /// the upload's. It must not be flushing.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is taken. The file has not got it, and is removed.
    pub fn link(
        self,
        inner: &Inner,
        buffer: &[u8],
        id: &UploadId,
        dir: &Folder,
        name: &str,
    ) -> Result<DirectFile, StoreError> {
        match self {
            FileState::Buffered(range) => {
                PendingLink::write(inner, dir, id, &buffer[range], name)?.link(dir, name)
            }
            FileState::Unlinked(file) => {
                layout::link_unnamed(file.get(inner), dir, name)
                    .map_err(|error| naming(name, error))?;
                Ok(file.into_direct(inner))
            }
            FileState::Staged(entry) => {
                let file = entry.link(dir, name).map_err(|error| naming(name, error))?;
                Ok(OpenFile::new(inner, file, u64::MAX).into_direct(inner))
            }
            FileState::Flushing => unreachable!("a commit waits for the flush before it links"),
        }
    }
}

/// Buffered files on their way to the disk: a thread creates and writes them, while the upload
/// receives others.
#[derive(Debug)]
pub struct Flush {
    /// Which of the upload's files they are among.
    among: Range<usize>,
    task: JoinHandle<Result<Flushed, StoreError>>,
}

/// The outcome of a flush.
#[derive(Debug)]
struct Flushed {
    /// The buffer that the files were in, empty.
    buffer: Vec<u8>,
    /// Where they are now, in their order.
    states: Vec<FileState>,
}

impl Flush {
    /// Begins to write those files of the upload `id` that are buffered in `buffer`: they are
    /// found `among` its `files`.
    pub fn begin(
        disk: &Disk,
        id: UploadId,
        files: &mut [StagedFile],
        among: Range<usize>,
        mut buffer: Vec<u8>,
    ) -> Self {
        let mut ranges = Vec::new();
        for file in &mut files[among.clone()] {
            if let FileState::Buffered(range) = &file.state {
                ranges.push(range.clone());
                file.state = FileState::Flushing;
            }
        }
        let task = disk.spawn_blocking(move |inner: &Arc<Inner>| {
            let write = |range| {
                let (file, state) = FileState::create(inner, &id)?;
                file.write_at(inner, &buffer[range], 0)?;
                Ok(state)
            };
            let states = ranges.into_iter().map(write);
            let states = states.collect::<Result<_, StoreError>>()?;
            buffer.clear();
            Ok(Flushed { buffer, states })
        });
        Flush { among, task }
    }

    /// Waits until they are written; answers the buffer, empty. `files` are the upload's.
    pub async fn finish(self, files: &mut [StagedFile]) -> Result<Vec<u8>, StoreError> {
        let flushed = joined(self.task).await?;
        let files = files[self.among].iter_mut();
        let flushing = files.filter(|file| matches!(file.state, FileState::Flushing));
        for (file, state) in flushing.zip(flushed.states) {
            file.state = state;
        }
        Ok(flushed.buffer)
    }
}

/// The name of a file in the stage. If the file gets no other, it is removed.
#[derive(Debug)]
pub struct StageEntry {
    inner: Arc<Inner>,
    /// `None` once it is moved.
    name: Option<String>,
}

impl StageEntry {
    /// Makes a file of an upload in the stage.
    fn create(inner: &Arc<Inner>, id: &UploadId) -> io::Result<(File, Self)> {
        let (file, name) = inner.layout.create_staged(id)?;
        let entry = StageEntry {
            inner: Arc::clone(inner),
            name: Some(name),
        };
        Ok((file, entry))
    }

    /// Moves the file to `name` in `dir`, unless that is taken; answers it, open.
    fn link(mut self, dir: &Folder, name: &str) -> io::Result<File> {
        let stage = self.inner.layout.stage();
        let staged = self.name.as_deref().unwrap_or_default();
        let (file, _) = layout::open_regular(stage, staged)?
            .ok_or_else(|| io::Error::other(format!("{staged} is missing in the stage")))?;
        self.inner.placement.move_to(stage, staged, dir, name)?;
        self.name = None;
        Ok(file)
    }
}

impl Drop for StageEntry {
    fn drop(&mut self) {
        let Some(name) = self.name.take() else { return };
        let inner = Arc::clone(&self.inner);
        self.inner.closer.run(move || {
            if let Err(error) = layout::unlink(inner.layout.stage(), name.as_str()) {
                tracing::warn!(name, %error, "cannot remove a file of an aborted upload from the stage; it is removed later");
            }
        });
    }
}

/// A small file that has its content and waits for its name. Without one it is removed.
pub struct PendingLink<'a> {
    inner: &'a Inner,
    pub file: DirectFile,
    /// Its name in the stage, where the file system has no unnamed files.
    staged: Option<String>,
}

impl<'a> PendingLink<'a> {
    /// Writes the content of a small file of the upload `id`, which [`link`](Self::link) gives its
    /// name; errors say `name`. Blocks.
    pub fn write(
        inner: &'a Inner,
        dir: &Folder,
        id: &UploadId,
        content: &[u8],
        name: &str,
    ) -> Result<Self, StoreError> {
        let failed = |error| naming(name, error);
        let (file, staged) = if inner.descriptors.unnamed() {
            (layout::create_unnamed(dir).map_err(failed)?, None)
        } else {
            let (file, staged) = inner.layout.create_staged(id).map_err(failed)?;
            (file, Some(staged))
        };
        let pending = PendingLink {
            inner,
            file: OpenFile::new(inner, file, content.len() as u64).into_direct(inner),
            staged,
        };
        write_at(&pending.file, content, 0)?;
        Ok(pending)
    }

    /// Gives it its name, unless that is taken; answers the file.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is taken.
    pub fn link(mut self, dir: &Folder, name: &str) -> Result<DirectFile, StoreError> {
        let named = match &self.staged {
            None => layout::link_unnamed(&self.file, dir, name),
            Some(staged) => {
                let stage = self.inner.layout.stage();
                self.inner.placement.move_to(stage, staged, dir, name)
            }
        };
        named.map_err(|error| naming(name, error))?;
        self.staged = None;
        Ok(self.file.clone())
    }
}

impl Drop for PendingLink<'_> {
    fn drop(&mut self) {
        if let Some(staged) = &self.staged {
            // Best effort: the stage is cleared later.
            let _ = layout::unlink(self.inner.layout.stage(), staged.as_str());
        }
    }
}

/// The meaning of a failure to name a file.
fn naming(name: &str, error: io::Error) -> StoreError {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return StoreError::Exists;
    }
    StoreError::change(format!("naming {name}"), error)
}
