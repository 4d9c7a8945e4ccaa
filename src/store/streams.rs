//! The bytes of files on their way into a store, and out of it.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::StoreError;
use crate::hashing::Checksums;
use crate::model::{FileName, Manifest};

/// An upload that is being received. Dropping it discards it.
#[async_trait]
pub trait Staged: Send {
    /// Begins the next file; the one before must be finished. `hash` asks for its checksums.
    ///
    /// Names of one upload differ; the caller sees to it.
    async fn file<'a>(
        &'a mut self,
        name: FileName,
        hash: bool,
    ) -> Result<Box<dyn FileSink + 'a>, StoreError>;

    /// Makes the upload visible, whole: when this answers, it is as durable as the store was
    /// told to make it. To be polled to its end: a commit that is dropped before may leave files
    /// behind that belong to no upload, until the next look for orphans.
    ///
    /// # Errors
    /// On an error nothing of the upload is visible. Only after a failed sync it may be: then it is
    /// removed as far as possible.
    async fn commit(self: Box<Self>, manifest: &Manifest) -> Result<(), StoreError>;
}

/// A file that is being received. One that is dropped unfinished must not be committed: the
/// caller drops its [`Staged`] as well.
#[async_trait]
pub trait FileSink: Send {
    /// Takes the next bytes. When it answers they are written or copied, and the frame they are
    /// a slice of can be used again, but for one that is still being hashed.
    async fn write(&mut self, data: Bytes) -> Result<(), StoreError>;

    /// Ends the file.
    async fn finish(self: Box<Self>) -> Result<FileSummary, StoreError>;
}

/// The bytes that a [`FileSink`] has received, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSummary {
    /// Bytes.
    pub size: u64,
    /// Their checksums, where they were asked for.
    pub checksums: Option<Checksums>,
}

/// An open range of a file of the store; it stays readable when its upload is removed, as far as
/// the store lets it.
#[async_trait]
pub trait Blob: Send {
    /// The next bytes of the range, none of them empty; `None` once all of it was given.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the file ends before its range does.
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError>;

    /// The next bytes of the range, not read, as a span that the kernel sends by itself. `None`
    /// where it cannot, where reading costs less, and at the end: [`next`](Self::next) goes on.
    fn span(&mut self) -> Option<Box<dyn FileSpan>> {
        None
    }
}

/// The most bytes of a [`FileSpan`].
pub const MAX_SPAN: usize = 256 * 1024;

/// Some bytes of a stored file that the kernel sends by itself (sendfile(2)): at most [`MAX_SPAN`].
pub trait FileSpan: std::fmt::Debug + Send {
    /// How many bytes are still to be sent.
    fn left(&self) -> usize;

    /// Whether to [`send`](Self::send) it will not wait for the disk, as far as that can be known.
    fn is_ready(&mut self) -> bool;

    /// Reads the bytes on a thread that may block, so that they are in memory. From then on it
    /// [is ready](Self::is_ready), and a call may wait for a page that the kernel has forgotten
    /// again.
    ///
    /// # Errors
    /// As those of [`send`](Self::send) that are the file's.
    fn warm(&mut self) -> BoxFuture<'static, io::Result<()>>;

    /// Sends as many bytes as the socket takes, which must not wait.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when it takes none. An error with a number of the system
    /// ([`io::Error::raw_os_error`]) is the socket's; one without is the file's: it is shorter, or
    /// cannot be read.
    fn send(&mut self, socket: BorrowedFd<'_>) -> io::Result<Sent>;
}

/// The bytes that one call has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Bytes, at least one.
    pub bytes: usize,
    /// How long the call took.
    pub took: Duration,
}
