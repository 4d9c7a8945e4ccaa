//! Reading what is in memory.

use std::fs::File;
use std::io::{self, IoSliceMut};

use rustix::io::ReadWriteFlags;

/// Reads as much as the page cache holds, without waiting for the disk (`RWF_NOWAIT`,
/// preadv(2)); a blocking thread reads the rest.
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

/// The error for a file that was cut while it was read.
pub fn became_shorter(name: &str) -> io::Error {
    let text = format!("{name} became shorter");
    io::Error::new(io::ErrorKind::UnexpectedEof, text)
}
