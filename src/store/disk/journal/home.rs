//! The folder of a journal, and how it is known from a copy of itself.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, StatxFlags, statx};

/// Bytes of a [`Home`].
pub const LEN: usize = 36;

/// Where a journal belongs: its store, and the very folder that it was made in. A copy of the store
/// (`cp`, `rsync`, `tar`) has another folder; a snapshot or an image of its disk has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    /// The id of the store.
    pub store: [u8; 16],
    inode: u64,
    /// When the folder was made: seconds, then nanoseconds.
    born: (i64, u32),
}

impl Home {
    /// That of a journal of `store` in `folder`; `None` where the file system does not say when a
    /// folder was made.
    pub fn of(folder: impl AsFd, store: [u8; 16]) -> io::Result<Option<Self>> {
        let wanted = StatxFlags::INO | StatxFlags::BTIME;
        let found = statx(folder, "", AtFlags::EMPTY_PATH, wanted)?;
        if found.stx_mask & wanted.bits() != wanted.bits() {
            return Ok(None);
        }
        let born = found.stx_btime;
        Ok(Some(Home {
            store,
            inode: found.stx_ino,
            born: (born.tv_sec, born.tv_nsec),
        }))
    }

    pub fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..16].copy_from_slice(&self.store);
        bytes[16..24].copy_from_slice(&self.inode.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.born.0.to_le_bytes());
        bytes[32..].copy_from_slice(&self.born.1.to_le_bytes());
        bytes
    }
    /// Reads what [`encode`](Self::encode) wrote, at the beginning of `bytes`.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (bytes, _) = bytes.split_first_chunk::<LEN>()?;
        Some(Home {
            store: *bytes.first_chunk()?,
            inode: u64::from_le_bytes(bytes[16..24].try_into().ok()?),
            born: (
                i64::from_le_bytes(bytes[24..32].try_into().ok()?),
                u32::from_le_bytes(bytes[32..].try_into().ok()?),
            ),
        })
    }
}
