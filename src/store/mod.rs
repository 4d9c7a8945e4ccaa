//! Bytes and manifests: where uploads are kept.

#[cfg(test)]
pub(crate) mod conformance;
pub mod disk;
mod error;
mod fingerprint;
mod hashing;
mod identity;
mod names;
pub mod object;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::{
    Digest, Doubt, FileName, Manifest, Prefix, Stored, Timestamp, Tombstone, UploadId,
};

pub use disk::DiskStore;
pub use error::StoreError;
pub use fingerprint::Fingerprint;
pub use identity::StoreId;
pub use object::BucketStore;

/// The most bytes a [`Blob`] that reads from a disk gives at once.
const BLOCK: usize = 256 * 1024;
/// The most bytes of a file that is [at hand](Store::at_hand).
const SMALL: u64 = 64 * 1024;

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

    /// What stands at the key of an upload: its manifest, or what says that it is gone. `None`
    /// when there is nothing.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it cannot be understood.
    async fn read(&self, id: &UploadId) -> Result<Option<Stored>, StoreError>;

    /// The manifest of an upload; `None` when there is no such upload.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when there is one that cannot be understood.
    async fn manifest(&self, id: &UploadId) -> Result<Option<Manifest>, StoreError> {
        Ok(self.read(id).await?.and_then(Stored::live))
    }

    /// Which version of its key an upload has now: it differs from every earlier one. `None`
    /// when there is nothing, or nobody can tell yet.
    async fn version(&self, id: &UploadId) -> Result<Option<Version>, StoreError>;

    /// Which of these uploads have something at their key, as far as that can be found out without
    /// asking another machine for each. Nothing of it is done on the caller's thread.
    async fn present(&self, ids: Vec<UploadId>) -> Result<Vec<bool>, StoreError> {
        Ok(vec![true; ids.len()])
    }

    /// Replaces the manifest by its next version: only if the stored one has the generation just
    /// before. Durable as a commit is.
    async fn replace(&self, manifest: &Manifest) -> Result<Replaced, StoreError>;

    /// Removes an upload: puts `tombstone` where the manifest of the generation just before it
    /// stands, or, if its generation is 1, where nothing stands; then removes its files. Durable
    /// as a commit is. A store that no other process has removes the manifest and keeps no
    /// tombstone.
    ///
    /// # Errors
    /// Nothing was removed. A file that cannot be removed is logged, and found by
    /// [`clear`](Self::clear).
    async fn bury(&self, tombstone: &Tombstone) -> Result<Replaced, StoreError>;

    /// Removes an upload whose key cannot be understood: as [`bury`](Self::bury) does, with
    /// whatever files lie there under its id. [`Replaced::Changed`] when it can be understood.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a newer version wrote it, which understands it: nothing was
    /// removed.
    async fn bury_damaged(&self, id: &UploadId, gone_at: Timestamp)
    -> Result<Replaced, StoreError>;

    /// Removes the files of an upload whose tombstone stands; answers how many there still were.
    async fn clear(&self, tombstone: &Tombstone) -> Result<u64, StoreError>;

    /// Removes a tombstone that nobody needs any more.
    async fn forget(&self, tombstone: &Tombstone) -> Result<(), StoreError>;

    /// Opens `range` of a file whose manifest says it has `size` bytes.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is missing or has another size.
    async fn open(
        &self,
        id: &UploadId,
        name: &FileName,
        size: u64,
        range: Range<u64>,
    ) -> Result<Box<dyn Blob>, StoreError>;

    /// The content of a file of no more than 64 KiB whose manifest says it has `size` bytes, if it
    /// is to be had without waiting. `None` says nothing of the file: [`open`](Self::open) does.
    fn at_hand(&self, _id: &UploadId, _name: &FileName, _size: u64) -> Option<Bytes> {
        None
    }

    /// Whether each call asks another machine, and pays for it: a reader of several files opens
    /// the next one while it reads the one before, and what goes on with a transfer that broke
    /// does not [`verify`](Self::verify) all files once more.
    fn is_remote(&self) -> bool {
        false
    }

    /// Where a client can fetch a file by itself; `None` where it cannot.
    async fn elsewhere(&self, _file: &Elsewhere<'_>) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    /// Looks whether the files among these parts of an upload are there, each with its size.
    /// Nothing of it is done on the caller's thread, and of a disk only some hundred at a time.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names the first that is not.
    async fn verify(&self, manifest: &Arc<Manifest>, parts: Range<usize>)
    -> Result<(), StoreError>;

    /// The uploads in one folder of the store, those included that are gone.
    async fn scan(&self, prefix: Prefix) -> Result<Vec<Found>, StoreError>;

    /// The files in one folder that belong to no upload, neither stored nor under way in this
    /// process, and were last touched before `before`. What wharf did not write is not among
    /// them.
    async fn orphans(&self, prefix: Prefix, before: Timestamp) -> Result<Vec<Orphan>, StoreError>;

    /// Leaves a note on an upload, for all who have the store, or renews it. Durable.
    async fn note(&self, note: Note, id: &UploadId) -> Result<(), StoreError>;

    /// The notes of one kind, and when each was left or renewed, by the clock of the store.
    async fn notes(&self, note: Note) -> Result<Vec<(UploadId, Timestamp)>, StoreError>;

    /// Takes a note away; one that is not there is a success.
    async fn unnote(&self, note: Note, id: &UploadId) -> Result<(), StoreError>;

    /// Who it is; `None` when it was never told. Looks the whole way from its address.
    ///
    /// # Errors
    /// It cannot be reached, or what is found there is not what was opened.
    async fn identity(&self) -> Result<Option<StoreId>, StoreError>;

    /// Tells it who it is.
    async fn identify(&self, id: StoreId) -> Result<(), StoreError>;

    /// What all uploads took together when that was last [kept](Self::keep_total), in bytes.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when what was kept cannot be understood.
    async fn total(&self) -> Result<Option<u64>, StoreError>;

    /// Keeps what all uploads take together, beside its identity.
    async fn keep_total(&self, bytes: u64) -> Result<(), StoreError>;

    /// What it cannot promise here, for the operator.
    fn warning(&self) -> Option<&'static str> {
        None
    }

    /// What of it is in doubt, as it was [kept](Self::keep_doubt).
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when what was kept cannot be understood.
    async fn doubt(&self) -> Result<Doubt, StoreError> {
        Ok(Doubt::default())
    }

    /// Keeps what of it is in doubt, durably.
    async fn keep_doubt(&self, _doubt: &Doubt) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whether it can store: `Err` says why not, for the operator.
    fn ready(&self) -> Result<(), String>;

    /// Ends what discarded uploads have left to be done, and makes durable what answers have not
    /// waited for; called once, at the end.
    ///
    /// # Errors
    /// Some of it may not be durable.
    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What is noted of an upload beside the uploads: `.wharf/unindexed/<id>`, `.wharf/open/<id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// It is committed, and the index was not told.
    Unindexed,
    /// It is under way, whatever its files look like.
    UnderWay,
}

impl Note {
    fn folder(self) -> &'static str {
        match self {
            Note::Unindexed => "unindexed",
            Note::UnderWay => "open",
        }
    }
}

/// A version of the key of an upload, to be compared with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(String);

/// An upload whose key [`Store::scan`] has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The upload.
    pub id: UploadId,
    /// Whether any file of it lies beside its key.
    pub files: bool,
    /// What the listing says of its key and its files, where it says it of itself: of a disk each
    /// file would have to be asked, and a closer look costs little there.
    pub fingerprint: Option<Fingerprint>,
}

/// Files of an upload that was never committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The upload.
    pub id: UploadId,
    /// Its files, as far as they have their names already.
    pub files: Vec<FileName>,
}

/// A file that a client is to fetch by itself, and the headers it is to get with it.
#[derive(Debug, Clone, Copy)]
pub struct Elsewhere<'a> {
    /// The upload.
    pub id: &'a UploadId,
    /// The file.
    pub name: &'a FileName,
    /// Its `Content-Type`.
    pub media_type: &'a str,
    /// Its `Content-Disposition`.
    pub disposition: &'a str,
    /// Bytes.
    pub size: u64,
    /// How long its upload exists from now on.
    pub lives: Duration,
}

/// What became of a [`Store::replace`] or a [`Store::bury`].
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
    /// told to make it. To be polled to its end: what is dropped before may leave files behind that
    /// belong to no upload, until the next look for orphans.
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

/// Refuses to take a key for damaged, which could not be read because of `why`, that a newer
/// version understands.
fn require_damaged(json: &[u8], why: StoreError) -> Result<(), StoreError> {
    match Stored::is_newer(json) {
        true => Err(why),
        false => Ok(()),
    }
}

/// What is stored, as JSON.
fn to_json(stored: &impl serde::Serialize) -> Result<Vec<u8>, StoreError> {
    let json = serde_json::to_vec(stored);
    json.map_err(|error| StoreError::io("writing JSON", std::io::Error::other(error)))
}
