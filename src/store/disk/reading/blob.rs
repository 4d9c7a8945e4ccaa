//! A range of a stored file, read in blocks.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;

use super::cached::{became_shorter, read_cached};
use super::span::DiskSpan;
use crate::model::{FileName, Manifest, UploadId};
use crate::store::disk::inner::Inner;
use crate::store::disk::layout::{self, Folder};
use crate::store::disk::open_file::OpenFile;
use crate::store::disk::threads::Disk;
use crate::store::local::MAX_CACHED_READ;
use crate::store::{Blob, FileSpan, MAX_SPAN, StoreError, Way, names};

/// A range of a file to be read.
#[derive(Debug, Clone)]
pub struct BlobRequest {
    pub id: UploadId,
    pub name: FileName,
    /// Bytes that the whole file has.
    pub size: u64,
    pub range: Range<u64>,
}

/// The file of a request, open.
#[derive(Debug)]
pub struct BlobFile {
    file: OpenFile,
    name: Arc<str>,
}

impl Inner {
    /// The content of a small file that the kernel has in memory; `None` where it has not, or
    /// cannot tell, and on any error: [`open`](Self::open) says which.
    pub fn try_read_cached(&self, id: &UploadId, name: &FileName, size: u64) -> Option<Bytes> {
        if size > MAX_CACHED_READ || self.is_shared() {
            return None;
        }
        if let Some(file) = self.file_cache.get(id, name, size) {
            return read_whole(&file, size);
        }
        let dir = self.layout.known_prefix(id.prefix())?;
        let (file, found) = layout::open_cached(&dir, &names::file_name(id, name)).ok()?;
        let content = (found == size).then(|| read_whole(&file, size))??;
        self.file_cache.insert(id, name, size, file);
        Some(content)
    }

    /// Opens a file that the kernel can find without waiting for the disk; `None` where it
    /// cannot, or cannot tell.
    pub fn open_cached(&self, request: &BlobRequest) -> Option<Result<BlobFile, StoreError>> {
        // A file system that others share may ask another machine.
        if self.is_shared() {
            return None;
        }
        let dir = self.layout.known_prefix(request.id.prefix())?;
        let name = names::file_name(&request.id, &request.name);
        let file = layout::open_cached(&dir, &name).ok()?;
        Some(self.check_size(file, name, request))
    }

    /// Opens a file. Blocks.
    pub fn open(&self, request: &BlobRequest) -> Result<BlobFile, StoreError> {
        let name = names::file_name(&request.id, &request.name);
        let opening = |error| StoreError::io(format!("opening {name}"), error);
        let missing = || StoreError::Damaged(format!("{name} is missing"));
        let prefix = self.layout.prefix(request.id.prefix());
        let dir: Arc<Folder> = prefix.map_err(opening)?.ok_or_else(missing)?;
        let file = layout::open_regular(&dir, &name)
            .map_err(opening)?
            .ok_or_else(missing)?;
        self.check_size(file, name, request)
    }

    fn check_size(
        &self,
        (file, found): (File, u64),
        name: String,
        request: &BlobRequest,
    ) -> Result<BlobFile, StoreError> {
        let size = request.size;
        if found != size {
            return Err(StoreError::Damaged(format!(
                "{name} has {found} bytes instead of {size}"
            )));
        }
        let file = OpenFile::new(self, file, size);
        Ok(BlobFile {
            file,
            name: name.into(),
        })
    }

    /// Checks that the files among these parts exist, each with its size. Blocks.
    pub fn verify(&self, manifest: &Manifest, parts: Range<usize>) -> Result<(), StoreError> {
        let id = &manifest.id;
        let checking = |error| StoreError::io(format!("looking at the files of {id}"), error);
        let dir = self.layout.prefix(id.prefix()).map_err(checking)?;
        let dir =
            dir.ok_or_else(|| StoreError::Damaged(format!("the folder of {id} is missing")))?;
        for file in manifest.files_among(parts) {
            let name = names::file_name(id, &file.name);
            match layout::regular_size(&dir, &name).map_err(checking)? {
                Some(size) if size == file.size => {}
                found => {
                    let found = found.map_or_else(|| "no".to_owned(), |size| size.to_string());
                    let size = file.size;
                    return Err(StoreError::Damaged(format!(
                        "{name} has {found} bytes instead of {size}"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// A range of a file that is being read.
#[derive(Debug)]
pub struct DiskBlob {
    disk: Disk,
    file: OpenFile,
    name: Arc<str>,
    /// The bytes that are still to be read.
    range: Range<u64>,
    /// Whether there were more than one block has: a few go with their head in one write.
    large: bool,
}

impl DiskBlob {
    pub fn new(disk: &Disk, file: BlobFile, range: Range<u64>) -> Self {
        DiskBlob {
            disk: disk.clone(),
            file: file.file,
            name: file.name,
            large: range.end - range.start > MAX_SPAN as u64,
            range,
        }
    }
}

#[async_trait]
impl Blob for DiskBlob {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let blocks = &self.disk.state().blocks;
        let len = (self.range.end - self.range.start).min(blocks.size() as u64);
        if len == 0 {
            return Ok(None);
        }
        let offset = self.range.start;
        self.range.start += len;
        let mut block = blocks.take(len as usize);
        let local = self.disk.local();
        let start = Instant::now();
        let cached = local.map_or(0, |inner| {
            read_cached(self.file.get(inner), block.as_mut(), offset)
        });
        let took = (cached as u64 == len).then(|| start.elapsed());
        self.disk.state().ways.read(len as usize, took);
        if took.is_some() {
            return Ok(Some(block.into()));
        }
        let (file, name) = (self.file.clone(), self.name.clone());
        let read = move |inner: &Arc<Inner>| {
            let rest = offset + cached as u64;
            match file
                .get(inner)
                .read_exact_at(&mut block.as_mut()[cached..], rest)
            {
                Ok(()) => Ok(Some(block.into())),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Err(StoreError::Damaged(became_shorter(&name).to_string()))
                }
                Err(error) => Err(StoreError::io(format!("reading {name}"), error)),
            }
        };
        self.disk.run_blocking(read).await
    }

    fn span(&mut self) -> Option<Box<dyn FileSpan>> {
        let state = self.disk.state();
        let left = self.range.end - self.range.start;
        if !self.large || left == 0 || state.ways.next(state.blocks.are_scarce()) == Way::Read {
            return None;
        }
        let end = self.range.start + left.min(MAX_SPAN as u64);
        let range = self.range.start..end;
        let span = DiskSpan::cached(&self.disk, &self.file, &self.name, range)?;
        self.range.start = end;
        Some(Box::new(span))
    }
}

/// All of a small file, if the page cache holds it.
fn read_whole(file: &File, size: u64) -> Option<Bytes> {
    let mut content = vec![0; usize::try_from(size).ok()?];
    (read_cached(file, &mut content, 0) == content.len()).then(|| content.into())
}
