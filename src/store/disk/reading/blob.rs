//! Reading what is stored.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::io::ReadWriteFlags;

use crate::model::{FileName, Manifest, UploadId};
use crate::store::disk::closer::OpenFile;
use crate::store::disk::layout::Folder;
use crate::store::disk::threads::Disk;
use crate::store::disk::{Inner, layout};
use crate::store::{Blob, SMALL, StoreError, names};

/// What is to be read of which file.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub id: UploadId,
    pub name: FileName,
    /// Bytes that the whole file has.
    pub size: u64,
    pub range: Range<u64>,
}

/// A file as it was found.
#[derive(Debug)]
pub struct Found {
    file: OpenFile,
    name: String,
}

impl Inner {
    /// The content of a small file that the kernel has in memory; `None` where it has not, or
    /// cannot tell, and where anything is wrong: the long way says what.
    pub fn at_hand(&self, id: &UploadId, name: &FileName, size: u64) -> Option<Bytes> {
        if size > SMALL || self.is_shared() {
            return None;
        }
        if let Some(file) = self.opened.get(id, name, size) {
            return read_whole(&file, size);
        }
        let dir = self.layout.known_prefix(id.prefix())?;
        let (file, found) = layout::open_cached(&dir, &names::file_name(id, name)).ok()?;
        let content = (found == size).then(|| read_whole(&file, size))??;
        self.opened.hold(id, name, size, file);
        Some(content)
    }

    /// Opens a file that the kernel can find without waiting for the disk; `None` where it
    /// cannot, or cannot tell.
    pub fn open_cached(&self, wanted: &Wanted) -> Option<Result<Found, StoreError>> {
        // A file system of many machines asks another one what a file is.
        if self.is_shared() {
            return None;
        }
        let dir = self.layout.known_prefix(wanted.id.prefix())?;
        let name = names::file_name(&wanted.id, &wanted.name);
        let file = layout::open_cached(&dir, &name).ok()?;
        Some(self.found(file, name, wanted))
    }

    /// Opens a file. Blocks.
    pub fn open(&self, wanted: &Wanted) -> Result<Found, StoreError> {
        let name = names::file_name(&wanted.id, &wanted.name);
        let opening = |error| StoreError::io(format!("opening {name}"), error);
        let missing = || StoreError::Damaged(format!("{name} is missing"));
        let prefix = self.layout.prefix(wanted.id.prefix());
        let dir: Arc<Folder> = prefix.map_err(opening)?.ok_or_else(missing)?;
        let file = layout::open_regular(&dir, &name)
            .map_err(opening)?
            .ok_or_else(missing)?;
        self.found(file, name, wanted)
    }

    fn found(
        &self,
        (file, found): (File, u64),
        name: String,
        wanted: &Wanted,
    ) -> Result<Found, StoreError> {
        let size = wanted.size;
        if found != size {
            return Err(StoreError::Damaged(format!(
                "{name} has {found} bytes instead of {size}"
            )));
        }
        let file = OpenFile::new(self, file, size);
        Ok(Found { file, name })
    }
}

impl Inner {
    /// Looks at the files among these parts. Blocks.
    pub fn verify(&self, manifest: &Manifest, parts: Range<usize>) -> Result<(), StoreError> {
        let id = &manifest.id;
        let looking = |error| StoreError::io(format!("looking at the files of {id}"), error);
        let dir = self.layout.prefix(id.prefix()).map_err(looking)?;
        let dir =
            dir.ok_or_else(|| StoreError::Damaged(format!("the folder of {id} is missing")))?;
        for file in manifest.files_among(parts) {
            let name = names::file_name(id, &file.name);
            match layout::regular_size(&dir, &name).map_err(looking)? {
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

/// What is read of a file that was found.
#[derive(Debug)]
pub struct DiskBlob {
    disk: Disk,
    file: OpenFile,
    name: String,
    /// What is still to be read.
    range: Range<u64>,
}

impl DiskBlob {
    pub fn new(disk: &Disk, found: Found, range: Range<u64>) -> Self {
        DiskBlob {
            disk: disk.clone(),
            file: found.file,
            name: found.name,
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
        let here = self.disk.here();
        let cached = here.map_or(0, |inner| {
            read_cached(self.file.get(inner), block.as_mut(), offset)
        });
        if cached as u64 == len {
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
                    Err(StoreError::Damaged(format!("{name} became shorter")))
                }
                Err(error) => Err(StoreError::io(format!("reading {name}"), error)),
            }
        };
        self.disk.away(read).await
    }
}

/// All of a small file, if the page cache holds it.
fn read_whole(file: &File, size: u64) -> Option<Bytes> {
    let mut content = vec![0; usize::try_from(size).ok()?];
    (read_cached(file, &mut content, 0) == content.len()).then(|| content.into())
}

/// Reads as much as the page cache holds, without waiting for the disk (`RWF_NOWAIT`,
/// preadv(2)); what it does not hold is read by a thread that may wait.
pub fn read_cached(file: &File, block: &mut [u8], offset: u64) -> usize {
    let mut filled = 0;
    while filled < block.len() {
        let mut rest = [IoSliceMut::new(&mut block[filled..])];
        let at = offset + filled as u64;
        match rustix::io::preadv2(file, &mut rest, at, ReadWriteFlags::NOWAIT) {
            Ok(read) if read > 0 => filled += read,
            _ => break,
        }
    }
    filled
}
