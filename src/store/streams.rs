//! The bytes of files on their way into a store, and out of it.

use async_trait::async_trait;
use bytes::Bytes;

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

/// What a [`FileSink`] has received.
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
}
