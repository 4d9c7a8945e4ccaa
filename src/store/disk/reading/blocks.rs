//! Memory for reading, used again: a block fresh from the system costs as much as reading into it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::store::BLOCK;

/// How many blocks wait to be used again.
const KEPT: usize = 16;
/// How many blocks are in use before further reads get less: 48 MiB. Readers who stop hold theirs.
const PLENTY: usize = 192;
/// What a read gets then, in bytes.
const CROWDED: usize = 32 * 1024;

/// Blocks of [`BLOCK`] bytes that nobody uses.
#[derive(Debug, Default)]
pub struct Blocks {
    /// Guards the blocks. A std mutex: held for a push or a pop.
    free: Mutex<Vec<Box<[u8]>>>,
    /// How many blocks are in use; an estimate that guards nothing.
    used: AtomicUsize,
}

/// A block, or a short piece of memory of its own.
#[derive(Debug)]
pub struct Block {
    memory: Box<[u8]>,
    len: usize,
    home: Option<Arc<Blocks>>,
}

impl Blocks {
    /// How many bytes are to be read at once, as long as so many blocks are in use as now.
    pub fn size(&self) -> usize {
        match self.used.load(Ordering::Relaxed) < PLENTY {
            true => BLOCK,
            false => CROWDED,
        }
    }

    /// `len` bytes, at most [`BLOCK`], of whatever content.
    pub fn take(self: &Arc<Self>, len: usize) -> Block {
        // A short one is cheap, and would keep a whole block from others.
        if len < BLOCK / 4 {
            let memory = vec![0; len].into();
            return Block {
                memory,
                len,
                home: None,
            };
        }
        self.used.fetch_add(1, Ordering::Relaxed);
        let free = self.free().pop();
        Block {
            memory: free.unwrap_or_else(|| vec![0; BLOCK].into()),
            len,
            home: Some(Arc::clone(self)),
        }
    }

    fn free(&self) -> MutexGuard<'_, Vec<Box<[u8]>>> {
        // A panic cannot leave the list half changed.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl AsMut<[u8]> for Block {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.len]
    }
}

impl From<Block> for Bytes {
    /// The bytes; the block is free again when the last of them is dropped.
    fn from(mut block: Block) -> Self {
        match block.home {
            Some(_) => Bytes::from_owner(block),
            None => Bytes::from(std::mem::take(&mut block.memory)),
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let Some(home) = self.home.take() else { return };
        home.used.fetch_sub(1, Ordering::Relaxed);
        let mut free = home.free();
        if free.len() < KEPT {
            free.push(std::mem::take(&mut self.memory));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_used_again_and_a_short_one_is_not_kept() {
        let blocks = Arc::new(Blocks::default());
        let mut block = blocks.take(BLOCK - 1);
        block.as_mut().fill(7);
        let bytes = Bytes::from(block);
        assert_eq!((bytes.len(), bytes[BLOCK - 2]), (BLOCK - 1, 7));
        let slice = bytes.slice(5..);
        drop(bytes);
        assert!(blocks.free().is_empty(), "a slice still uses it");
        drop(slice);
        assert_eq!(blocks.free().len(), 1);
        let (again, another) = (blocks.take(BLOCK), blocks.take(BLOCK));
        assert!(blocks.free().is_empty());
        drop((again, another));
        assert_eq!(blocks.free().len(), 2);
        assert_eq!(Bytes::from(blocks.take(10)).len(), 10);
        let mut held: Vec<Block> = (0..PLENTY - 1).map(|_| blocks.take(BLOCK)).collect();
        assert_eq!(blocks.size(), BLOCK);
        held.push(blocks.take(BLOCK));
        assert_eq!(blocks.size(), CROWDED, "the others read less at once");
        held.pop();
        assert_eq!(blocks.size(), BLOCK);
        held.clear();
        blocks.free().truncate(2);
        assert_eq!(blocks.free().len(), 2);
    }
}
