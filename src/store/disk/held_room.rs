//! Room on the disk that is kept for the next version of a manifest: a download that is counted at
//! its end needs it then, on a disk that may be full by then.

use std::fs::File;

use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::Errno;

use super::inner::Inner;
use super::layout;
use super::open_file::write_at;
use super::threads::Disk;
use crate::model::UploadId;
use crate::store::{HeldRoom, StoreError};

/// The bytes that a manifest may grow by, beside a quarter of its length: each of its files may get
/// a count.
const GROWTH: u64 = 4096;
/// The bytes of zeros that are written at once where room cannot be asked for otherwise.
const ZEROS: usize = 64 << 10;

/// Room for one version of a manifest, until this is dropped.
pub struct DiskRoom {
    disk: Disk,
    id: UploadId,
}

impl HeldRoom for DiskRoom {}

impl std::fmt::Debug for DiskRoom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DiskRoom").field(&self.id).finish()
    }
}

impl Drop for DiskRoom {
    fn drop(&mut self) {
        let id = self.id;
        self.disk.afterwards(move |inner| inner.release_room(&id));
    }
}

impl DiskRoom {
    /// Holds room for the next version of the manifest of `id`; `None` where there is none. Blocks.
    pub fn hold(disk: Disk, inner: &Inner, id: UploadId) -> Result<Option<Self>, StoreError> {
        let held = inner.hold_room(&id)?;
        Ok(held.then_some(DiskRoom { disk, id }))
    }
}

impl Inner {
    fn hold_room(&self, id: &UploadId) -> Result<bool, StoreError> {
        let Some(stat) = self.stat_key(id)? else {
            return Ok(false);
        };
        let holding = |error| StoreError::change("holding room for a record", error);
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let (file, name) = self.layout.create_staged(id).map_err(holding)?;
        if let Err(error) = allocate(&file, size + size / 4 + GROWTH) {
            // Best effort: the stage is cleared later.
            let _ = layout::unlink(self.layout.stage(), name.as_str());
            return Err(error);
        }
        self.rooms.add(id, name);
        Ok(true)
    }

    /// A file with room that is held for the next version of a manifest, and its name in the stage.
    pub fn take_room(&self, id: &UploadId) -> Option<(File, String)> {
        let name = self.rooms.take(id)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(self.layout.stage(), &name, flags, Mode::empty());
        opened.ok().map(|file| (file.into(), name))
    }

    /// Lets the room of one holder go.
    pub fn release_room(&self, id: &UploadId) {
        if let Some(name) = self.rooms.release(id) {
            // Best effort: the stage is cleared later.
            let _ = layout::unlink(self.layout.stage(), name.as_str());
        }
    }
}

/// Gives a new file room for so many bytes: blocks that are its own (fallocate(2)), or zeros where
/// the file system cannot give these.
fn allocate(file: &File, bytes: u64) -> Result<(), StoreError> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => return Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
        Err(error) => return Err(StoreError::change("holding room for a record", error)),
    }
    let zeros = vec![0; ZEROS];
    let mut at = 0;
    while at < bytes {
        let length = bytes.saturating_sub(at).min(ZEROS as u64);
        write_at(file, &zeros[..length as usize], at)?;
        at += length;
    }
    Ok(())
}
