//! The segments of a journal: files that are written with zeros once, and used again and again. So
//! the blocks of a record are there before it, and its sync has nothing but its bytes to write.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::block::seal;
use super::home::Home;
use super::record::{BLOCK, Salt};

pub const MAGIC: &[u8; 8] = b"wharfjnl";
/// How many segments a journal has at most.
pub const MOST: u64 = 256;
/// Bytes of zeros that are written at once.
const ZEROS: usize = 1 << 20;
const MODE: Mode = Mode::from_raw_mode(0o666);

/// A segment that may be written.
#[derive(Debug)]
pub struct Segment {
    pub file: File,
    /// Bytes.
    pub len: u64,
}

/// The name of a segment in the folder of its journal.
pub fn name(number: u64) -> String {
    format!("segment-{number}")
}

impl Segment {
    /// A segment of `len` bytes in `folder`; one of another length is made anew. Its name may not be
    /// on stable storage yet. Blocks.
    ///
    /// # Errors
    /// There is no room; what was written of it is removed.
    pub fn prepare(folder: impl AsFd, number: u64, len: u64) -> io::Result<Self> {
        let name = name(number);
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&folder, &name, flags, Mode::empty()) {
            Ok(fd) => {
                let file = File::from(fd);
                // It is longer only where all before was written.
                if file.metadata()?.len() == len {
                    return Ok(Segment { file, len });
                }
                rustix::fs::unlinkat(&folder, &name, rustix::fs::AtFlags::empty())?;
            }
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let made = flags | OFlags::CREATE | OFlags::EXCL;
        let file = File::from(rustix::fs::openat(&folder, &name, made, MODE)?);
        if let Err(error) = fill(&file, len) {
            rustix::fs::unlinkat(&folder, &name, rustix::fs::AtFlags::empty())?;
            return Err(error);
        }
        Ok(Segment { file, len })
    }

    /// Begins a use of it, whose first record has the number `first`: answers the salt of that use.
    /// Its earlier records are read no more. It is on stable storage then. Blocks.
    pub fn begin(&self, home: &Home, first: u64) -> io::Result<Salt> {
        let mut salt = Salt::default();
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        let mut payload = home.encode().to_vec();
        payload.extend_from_slice(&salt);
        payload.extend_from_slice(&first.to_le_bytes());
        self.file.write_all_at(&seal(MAGIC, &payload), 0)?;
        rustix::fs::fdatasync(&self.file)?;
        Ok(salt)
    }
}

/// Writes zeros over all of a new file, to the disk.
fn fill(file: &File, len: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS];
    let mut at = 0;
    while at < len {
        let some = (len - at).min(ZEROS as u64);
        file.write_all_at(&zeros[..some as usize], at)?;
        at += some;
    }
    file.sync_all()
}

/// Where the first record of a segment begins.
pub const FIRST: u64 = BLOCK as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_used_again_and_one_of_another_length_made_anew() {
        use std::os::unix::fs::MetadataExt as _;
        let dir = tempfile::tempdir().unwrap();
        let folder = File::open(dir.path()).unwrap();
        let inode = |len| {
            let segment = Segment::prepare(&folder, 3, len).unwrap();
            let found = segment.file.metadata().unwrap();
            assert_eq!(found.len(), len);
            // Each of its blocks is there.
            assert!(found.blocks() * 512 >= len);
            segment.file.write_all_at(b"used", 5000).unwrap();
            found.ino()
        };
        let first = inode(1 << 20);
        assert_eq!(inode(1 << 20), first);
        inode((1 << 20) + 8192);
        let bytes = std::fs::read(dir.path().join(name(3))).unwrap();
        assert_eq!(bytes.len(), (1 << 20) + 8192);
        assert!(bytes[..5000].iter().all(|byte| *byte == 0));
    }
}
