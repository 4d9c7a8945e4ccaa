//! The blocks that say what a file of the journal is, and reads of its files.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crc_fast::crc32_iscsi;

use super::record::BLOCK;

/// The version of the format.
const VERSION: u32 = 1;

/// A block of a file of the journal that says what that file is: magic, version, a payload,
/// zeros, and a checksum of all that.
pub fn seal(magic: &[u8; 8], payload: &[u8]) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    block[..8].copy_from_slice(magic);
    block[8..12].copy_from_slice(&VERSION.to_le_bytes());
    block[12..12 + payload.len()].copy_from_slice(payload);
    let end = block.len() - 4;
    let crc = crc32_iscsi(&block[..end]);
    block[end..].copy_from_slice(&crc.to_le_bytes());
    block
}

/// The payload of such a block; `None` where it is no whole one.
///
/// # Errors
/// A newer version of wharf wrote it.
pub fn unseal<'a>(magic: &[u8; 8], block: &'a [u8]) -> io::Result<Option<&'a [u8]>> {
    if block.len() != BLOCK || block[..8] != magic[..] {
        return Ok(None);
    }
    let end = block.len() - 4;
    if crc32_iscsi(&block[..end]).to_le_bytes() != block[end..] {
        return Ok(None);
    }
    if block[8..12] != VERSION.to_le_bytes() {
        return Err(io::Error::other(
            "a newer version of wharf has written the journal: start that one",
        ));
    }
    Ok(Some(&block[12..end]))
}

/// Reads up to `len` bytes at `offset`: fewer at the end of the file.
pub fn read_at(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
