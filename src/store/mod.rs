//! Bytes and manifests: where uploads are kept.

#[cfg(test)]
mod conformance;
pub mod disk;
mod error;

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::{Digest, FileName, Manifest, Prefix, Timestamp, UploadId};

pub use disk::DiskStore;
pub use error::StoreError;

/// How many bytes a [`Blob`] is asked for at once, as a rule.
pub const BLOCK: usize = 256 * 1024;

/// A place where uploads are kept, each as files and one manifest.
///
/// An upload exists from the moment its manifest does, and from then on it is whole.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Begins an upload. Nothing of it can be seen before [`Staged::commit`].
    ///
    /// # Errors
    /// [`StoreError::NoSpace`] when there is less room than is to be kept free.
    async fn stage(&self, id: UploadId) -> Result<Box<dyn Staged>, StoreError>;

    /// The manifest of an upload; `None` when there is no such upload.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when there is one that cannot be understood.
    async fn manifest(&self, id: &UploadId) -> Result<Option<Manifest>, StoreError>;

    /// Replaces the manifest by its next version: only if the stored one has the generation just
    /// before. Durable as a commit is.
    async fn replace(&self, manifest: &Manifest) -> Result<Replaced, StoreError>;

    /// Removes an upload: first its manifest, then its files. An absent one is a success.
    /// Answers whether there was one. Durable as a commit is.
    async fn remove(&self, id: &UploadId) -> Result<bool, StoreError>;

    /// Opens a file whose manifest says it has `size` bytes.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is missing or has another size.
    async fn open(
        &self,
        id: &UploadId,
        name: &FileName,
        size: u64,
    ) -> Result<Box<dyn Blob>, StoreError>;

    /// Looks whether every file of an upload is there with its size.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names the first that is not.
    async fn verify(&self, manifest: &Manifest) -> Result<(), StoreError>;

    /// The uploads in one folder of the store.
    async fn scan(&self, prefix: Prefix) -> Result<Vec<UploadId>, StoreError>;

    /// Removes files in one folder that belong to no upload, neither stored nor under way, and
    /// were last touched before `before`; answers how many. What wharf did not write stays.
    async fn remove_orphans(&self, prefix: Prefix, before: Timestamp) -> Result<u64, StoreError>;

    /// Whether it can store: `Err` says why not, for the operator.
    fn ready(&self) -> Result<(), String>;
}

/// What became of a [`Store::replace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// The new version is stored.
    Done,
    /// Another version was stored in between, and stays.
    Changed,
    /// There is no such upload any more.
    Gone,
}

/// An upload that is being received. Dropping it discards it.
#[async_trait]
pub trait Staged: Send {
    /// Begins the next file; the one before must be finished. `hash` asks for its digest.
    ///
    /// Names of one upload differ; the caller sees to it.
    async fn file<'a>(
        &'a mut self,
        name: FileName,
        hash: bool,
    ) -> Result<Box<dyn FileSink + 'a>, StoreError>;

    /// Makes the upload visible, whole: when this answers, it is as durable as the store was
    /// told to make it.
    ///
    /// # Errors
    /// On an error nothing of the upload is visible, but for a failed sync, after which nobody
    /// knows; it is removed then as far as that goes.
    async fn commit(self: Box<Self>, manifest: &Manifest) -> Result<(), StoreError>;
}

/// A file that is being received. One that is dropped unfinished must not be committed: the
/// caller drops its [`Staged`] as well.
#[async_trait]
pub trait FileSink: Send {
    /// Takes the next bytes. When it answers they are written or copied, and the frame they are
    /// a slice of can be used again.
    async fn write(&mut self, data: Bytes) -> Result<(), StoreError>;

    /// Ends the file.
    async fn finish(self: Box<Self>) -> Result<Received, StoreError>;
}

/// What a [`FileSink`] received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Bytes.
    pub size: u64,
    /// Their digest, where it was asked for.
    pub sha256: Option<Digest>,
}

/// An open file of the store; it stays readable when its upload is removed.
#[async_trait]
pub trait Blob: Send + Sync {
    /// Exactly `len` bytes from `offset`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the file ends before.
    async fn read(&self, offset: u64, len: usize) -> Result<Bytes, StoreError>;
}
