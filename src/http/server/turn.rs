//! The turns of the connections of one thread.

use std::io;
use std::task::{Context, Poll};

/// How many bytes are read or written in a turn: about as many as one read takes, and no more than
/// a block of a file has.
const LEAST_TURN: usize = 64 * 1024;
const MOST_TURN: usize = 256 * 1024;

/// The bytes that a connection may still move before the other connections of its thread have their
/// turn.
pub struct Turn {
    each: usize,
    left: usize,
}

impl Turn {
    /// One of a connection that reads no more than `most` bytes at once.
    pub fn new(most: usize) -> Self {
        let each = most.clamp(LEAST_TURN, MOST_TURN);
        Turn { each, left: each }
    }

    /// Yields to the other connections once the bytes are used up.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.left > 0 {
            return Poll::Ready(());
        }
        self.left = self.each;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Counts bytes that were read.
    pub fn moved(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// Counts bytes that were written.
    pub fn written(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.moved(*bytes);
        }
    }
}
