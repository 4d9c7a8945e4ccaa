//! The transport's side: what goes out next, and the calls that send files.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::block::{has_pattern, is_stand_in};
use super::queue::FileQueue;
use crate::delivery::Ways;

/// A call that takes longer has waited: for the disk, or for a processor.
const BLOCKED_TIME: Duration = Duration::from_millis(2);
/// After so many of them in a row it was for the disk. On a machine whose processors are all busy
/// one call in fifty waits for one of those.
const IN_A_ROW: u32 = 3;

/// The bytes that go out next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The first so many buffers, as they are.
    Buffers(usize),
    /// The file that is due.
    File,
}

/// Sends the files of a connection.
pub struct FileSender {
    queue: FileQueue,
    /// The reading of a file that was not in memory.
    warming: Option<BoxFuture<'static, io::Result<()>>>,
}

impl FileSender {
    /// Sends the files of this queue.
    pub fn new(queue: FileQueue) -> Self {
        FileSender {
            queue,
            warming: None,
        }
    }

    /// The part of `data` that goes out next.
    ///
    /// # Errors
    /// Bytes that stand in for a file are not where they are expected: the connection must end.
    pub fn next(&self, data: &[IoSlice<'_>]) -> io::Result<Next> {
        let broken = self.queue.broken();
        if broken.is_set() {
            return Err(io::Error::other("the connection is cut"));
        }
        let due = self.queue.files().due.front().map(|due| due.span.left());
        let first = data.iter().position(|slice| is_stand_in(slice));
        let Some(due) = due else {
            return match first {
                None => Ok(Next::Buffers(data.len())),
                Some(_) => Err(broken.set("no file is due")),
            };
        };
        let before = &data[..first.unwrap_or(data.len())];
        if before.iter().any(|slice| has_pattern(slice)) {
            return Err(broken.set("a buffer has a copy of them"));
        }
        match first {
            Some(first) if before.iter().all(|slice| slice.is_empty()) => {
                match data[first].len() == due {
                    true => Ok(Next::File),
                    false => Err(broken.set("the file that is due has another length")),
                }
            }
            _ => Ok(Next::Buffers(before.len())),
        }
    }

    /// Ready when the file that is due is in memory, as far as that can be known.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(warming) = &mut self.warming {
                let warmed = ready!(warming.as_mut().poll(cx));
                self.warming = None;
                if let (Err(error), Some(due)) = (&warmed, self.queue.files().due.front()) {
                    due.sending.fail(error.to_string());
                }
                return Poll::Ready(warmed);
            }
            let mut files = self.queue.files();
            let Some(due) = files.due.front_mut() else {
                return Poll::Ready(Ok(()));
            };
            if due.span.is_ready() {
                return Poll::Ready(Ok(()));
            }
            self.warming = Some(due.span.warm());
        }
    }

    /// Sends as much of the file that is due as the socket takes, and does not wait for it.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when it takes nothing, or the connection or the file fails.
    pub fn send(&self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let mut files = self.queue.files();
        let Some(due) = files.due.front_mut() else {
            return Err(io::Error::other("no file is due"));
        };
        match due.span.send(socket) {
            Ok(sent) => {
                due.sending.sent(sent.bytes);
                let whole = due.span.left() == 0;
                let ended = if whole { files.due.pop_front() } else { None };
                let blocked = sent.took > BLOCKED_TIME;
                files.blocked = if blocked { files.blocked + 1 } else { 0 };
                let avoid = files.blocked == IN_A_ROW && self.queue.ways().avoids_waits();
                drop(files);
                drop(ended);
                if avoid {
                    tracing::debug!(took = ?sent.took, "sendfile blocks a thread");
                    self.queue.avoid();
                }
                Ok(sent.bytes)
            }
            Err(error) => {
                let of_file = error.raw_os_error().is_none();
                if of_file && error.kind() != io::ErrorKind::WouldBlock {
                    due.sending.fail(error.to_string());
                }
                Err(error)
            }
        }
    }

    /// When a write of `data` begins, if it is to be timed.
    pub fn begin_write(data: &[IoSlice<'_>]) -> Option<Instant> {
        let bytes = data.iter().map(|slice| slice.len()).sum();
        Ways::is_telling(bytes).then(Instant::now)
    }

    /// Notes what a write has done since it began.
    pub fn written(&self, written: &Poll<io::Result<usize>>, begun: Option<Instant>) {
        if let (Poll::Ready(Ok(bytes)), Some(begun)) = (written, begun) {
            self.queue.ways().written(*bytes, begun.elapsed());
        }
    }
}
