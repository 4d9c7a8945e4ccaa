//! Memory that is used again: a buffer fresh from the system costs as much as reading into it.
//!
//! A store on disk reads into such buffers, a store in a bucket gathers parts in them, and the
//! client reads its files into them. Each has a [`Pool`] of its own size.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Buffers of one size that are not in use.
#[derive(Debug)]
pub struct Pool {
    size: usize,
    limit: usize,
    /// Guards the buffers. A std mutex: held for a push or a pop.
    free: Mutex<Vec<Box<[u8]>>>,
    /// How many buffers are in use; an estimate that guards nothing.
    in_use: AtomicUsize,
}

/// A buffer of a pool, or a short piece of memory of its own.
#[derive(Debug)]
pub struct Buffer {
    memory: Box<[u8]>,
    /// How many bytes of it have a content.
    len: usize,
    /// The pool it goes back to.
    home: Option<Arc<Pool>>,
}

impl Pool {
    /// Buffers of `size` bytes each, of which up to `limit` are kept for later.
    pub fn new(size: usize, limit: usize) -> Arc<Self> {
        Arc::new(Pool {
            size,
            limit,
            free: Mutex::default(),
            in_use: AtomicUsize::new(0),
        })
    }

    /// How many buffers are in use now, short ones not counted.
    pub fn in_use(&self) -> usize {
        self.in_use.load(Ordering::Relaxed)
    }

    /// A buffer of `len` bytes, at most the size of the pool's, to be overwritten: their content is
    /// arbitrary.
    pub fn take(self: &Arc<Self>, len: usize) -> Buffer {
        // A short one is cheap, and would keep a whole buffer from others.
        if len < self.size / 4 {
            return Buffer {
                memory: vec![0; len].into(),
                len,
                home: None,
            };
        }
        debug_assert!(len <= self.size);
        let mut buffer = self.take_empty();
        buffer.len = len;
        buffer
    }

    /// An empty buffer with room for the size of the pool's.
    pub fn take_empty(self: &Arc<Self>) -> Buffer {
        self.in_use.fetch_add(1, Ordering::Relaxed);
        let free = self.free().pop();
        Buffer {
            memory: free.unwrap_or_else(|| vec![0; self.size].into()),
            len: 0,
            home: Some(Arc::clone(self)),
        }
    }

    fn free(&self) -> MutexGuard<'_, Vec<Box<[u8]>>> {
        // A panic cannot leave the list half changed.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    /// How many more bytes there is room for.
    pub fn room(&self) -> usize {
        self.memory.len() - self.len
    }

    /// Appends bytes that there is room for.
    pub fn push(&mut self, data: &[u8]) {
        let end = self.len + data.len();
        self.memory[self.len..end].copy_from_slice(data);
        self.len = end;
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.len]
    }
}

impl From<Buffer> for Bytes {
    /// The bytes; the buffer goes back to its pool when the last of them is dropped.
    fn from(mut buffer: Buffer) -> Self {
        match buffer.home {
            Some(_) => Bytes::from_owner(buffer),
            None => Bytes::from(std::mem::take(&mut buffer.memory)),
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(home) = self.home.take() else { return };
        home.in_use.fetch_sub(1, Ordering::Relaxed);
        let mut free = home.free();
        if free.len() < home.limit {
            free.push(std::mem::take(&mut self.memory));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 256 * 1024;

    #[test]
    fn a_buffer_is_used_again_and_a_short_one_is_not_kept() {
        let pool = Pool::new(SIZE, 16);
        let mut buffer = pool.take(SIZE - 1);
        buffer.as_mut().fill(7);
        let bytes = Bytes::from(buffer);
        assert_eq!((bytes.len(), bytes[SIZE - 2]), (SIZE - 1, 7));
        let slice = bytes.slice(5..);
        drop(bytes);
        assert!(pool.free().is_empty(), "a slice still uses it");
        drop(slice);
        assert_eq!(pool.free().len(), 1);
        let (again, another) = (pool.take(SIZE), pool.take(SIZE));
        assert!(pool.free().is_empty());
        assert_eq!(pool.in_use(), 2);
        drop((again, another));
        assert_eq!((pool.free().len(), pool.in_use()), (2, 0));
        let short = pool.take(10);
        assert_eq!((short.room(), pool.in_use()), (0, 0));
        assert_eq!(Bytes::from(short).len(), 10);
        assert_eq!(pool.free().len(), 2);
        let many: Vec<Buffer> = (0..20).map(|_| pool.take_empty()).collect();
        drop(many);
        assert_eq!(pool.free().len(), 16);
    }

    #[test]
    fn an_empty_buffer_is_filled_piece_by_piece() {
        let pool = Pool::new(8, 1);
        for _ in 0..2 {
            let mut buffer = pool.take_empty();
            buffer.push(b"hello");
            assert_eq!(buffer.room(), 3);
            buffer.push(b"abc");
            assert_eq!(buffer.room(), 0);
            assert_eq!(Bytes::from(buffer), "helloabc");
        }
    }
}
