//! Memory for reading: how much of it a read gets.

use std::sync::Arc;

use crate::buffers::{Buffer, Pool};

/// The most bytes that are read at once.
const BLOCK: usize = 256 * 1024;
/// How many blocks are kept to be used again.
const MAX_FREE: usize = 16;
/// How many blocks are in use before further reads get less: 48 MiB. Readers who stop hold theirs.
const PLENTY: usize = 192;
/// The size of a read then, in bytes.
const CROWDED: usize = 32 * 1024;

/// Blocks of [`BLOCK`] bytes to read into.
#[derive(Debug)]
pub struct Blocks(Arc<Pool>);

impl Default for Blocks {
    fn default() -> Self {
        Blocks(Pool::new(BLOCK, MAX_FREE))
    }
}

impl Blocks {
    /// How many bytes are to be read at once, as long as so many blocks are in use as now.
    pub fn size(&self) -> usize {
        match self.are_scarce() {
            false => BLOCK,
            true => CROWDED,
        }
    }

    /// Whether further reads get less.
    pub fn are_scarce(&self) -> bool {
        self.0.in_use() >= PLENTY
    }

    /// A block of `len` bytes, at most [`BLOCK`], to be overwritten.
    pub fn take(&self, len: usize) -> Buffer {
        self.0.take(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_many_read_each_gets_less_at_once() {
        let blocks = Blocks::default();
        let mut held: Vec<Buffer> = (0..PLENTY - 1).map(|_| blocks.take(BLOCK)).collect();
        assert_eq!(blocks.size(), BLOCK);
        held.push(blocks.take(BLOCK));
        assert_eq!(blocks.size(), CROWDED);
        held.pop();
        assert_eq!(blocks.size(), BLOCK);
    }
}
