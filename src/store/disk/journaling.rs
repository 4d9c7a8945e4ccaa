//! The store's use of its journal: whether it has one, and the records of what changes at a key.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use super::filesystem::{FileSystem, has_extents};
use super::inner::Inner;
use super::journal::{Body, Home, Journal, Recorded, Refused, prepare};
use super::options::Durability;
use crate::model::{Tombstone, UploadId};
use crate::store::{StoreError, StoreId, to_json};

/// How often what the journal tells is brought to the disk by itself.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);

fn making(error: io::Error) -> StoreError {
    StoreError::change("making the journal", error)
}

impl Inner {
    /// The journal, once it can be written.
    pub fn journal(&self) -> Option<&Arc<Journal>> {
        self.journal.get()
    }

    /// Why uploads cannot be made durable, as far as the journal knows.
    ///
    /// # Errors
    /// The journal has failed.
    pub fn journal_works(&self) -> Result<(), String> {
        match self.journal().and_then(|journal| journal.failed()) {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }

    /// Has a journal of `size` bytes made in the background; without one, commits sync for
    /// themselves. The one that is there has no records. Blocks.
    pub fn start_journal(self: &Arc<Self>, size: u64) {
        if self.is_shared() || self.syncer.durability != Durability::Strict {
            return;
        }
        let (folder, home) = match self.make_home(size) {
            Ok(Ok(made)) => made,
            Ok(Err(why)) => {
                tracing::warn!(why, "there is no journal; uploads sync for themselves");
                return;
            }
            Err(error) => return self.do_without_journal(&error),
        };
        let inner = Arc::clone(self);
        let make = move || {
            if let Err(error) = inner.make_journal(&folder, home, size) {
                inner.do_without_journal(&making(error));
            }
        };
        let thread = std::thread::Builder::new().name("wharf-journal".to_owned());
        if let Err(error) = thread.spawn(make) {
            self.do_without_journal(&making(error));
        }
    }

    fn do_without_journal(&self, error: &StoreError) {
        tracing::warn!(%error, "the journal cannot be made; uploads sync for themselves");
        if let Err(error) = self.remove_journal() {
            tracing::warn!(%error, "what was made of the journal stays");
        }
    }

    /// The folder of the journal; or why the store can have none.
    fn make_home(&self, size: u64) -> Result<Result<(OwnedFd, Home), String>, StoreError> {
        if !self.syncer.can_share() {
            let why = "kernels before 5.8 do not tell of a syncfs that fails";
            return Ok(Err(why.to_owned()));
        }
        let root = self.layout.root_fd();
        let file_system = FileSystem::of(root).map_err(|error| making(error.into()))?;
        // Removals are not synced by themselves: they must not harm what takes their place.
        let harmless = file_system.ordered || has_extents(self.layout.private());
        if !file_system.lasting || !harmless {
            return Ok(Err("it needs ext4, XFS, Btrfs or ZFS".to_owned()));
        }
        if self.layout.journal().map_err(making)?.is_none() {
            let room = self.space.room()?;
            if room < size {
                let why = format!("it takes {size} bytes, and {room} are free above min_free");
                return Ok(Err(why));
            }
            // As `Layout::make_all` has it: no folder is made after a removal that is not synced.
            self.syncer.check(self.syncer.sync_file_system(root))?;
        }
        if self.identity()?.is_none() {
            let id = StoreId::generate().map_err(|error| making(io::Error::other(error)))?;
            self.set_identity(id)?;
        }
        let folder = self.layout.make_journal().map_err(making)?;
        Ok(match self.home(&folder)? {
            Some(home) => Ok((folder, home)),
            None => {
                self.remove_journal()?;
                Err("the file system does not say when a folder was made".to_owned())
            }
        })
    }

    fn make_journal(&self, folder: &OwnedFd, home: Home, size: u64) -> io::Result<()> {
        let position = self.begin_position(folder, home)?;
        let segments = prepare(folder, size)?;
        let root = self.reopen_root()?;
        let (syncer, died) = (Arc::clone(&self.syncer), self.journal_died.clone());
        let journal = Journal::start(segments, position, root, syncer, died, CHECKPOINT_INTERVAL)?;
        // It is made once.
        let _ = self.journal.set(Arc::new(journal));
        tracing::info!(bytes = size, "the journal is ready");
        Ok(())
    }

    /// Brings all that the journal holds to the disk, and ends it: before the end of a process that
    /// marks its index as clean. Blocks.
    ///
    /// # Errors
    /// Something is left in it.
    pub fn close_journal(&self) -> Result<(), StoreError> {
        match self.journal() {
            Some(journal) if !journal.close() => {
                let why = journal.failed();
                let why = why.unwrap_or_else(|| "the journal is not empty".to_owned());
                Err(StoreError::Unwritable(why))
            }
            _ => Ok(()),
        }
    }

    /// Another opening of the store's folder: failed writes are told to each once.
    fn reopen_root(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(
            self.layout.root_fd(),
            ".",
            flags,
            Mode::empty(),
        )?)
    }

    /// Records that a manifest is replaced, if there is a journal with room for that. Blocks.
    ///
    /// # Errors
    /// The journal has failed.
    pub fn record_replacement(
        &self,
        id: &UploadId,
        json: &[u8],
    ) -> Result<Option<Recorded>, StoreError> {
        let Some(journal) = self.journal() else {
            return Ok(None);
        };
        let body = Body::replace(id, json);
        if !journal.takes(body.len()) {
            return Ok(None);
        }
        match journal.append_blocking(body) {
            Ok(recorded) => Ok(Some(recorded)),
            // The replay leaves what is newer than its records as it is.
            Err(Refused::NoRoom) => Ok(None),
            Err(Refused::Failed(why)) => Err(StoreError::Unwritable(why)),
        }
    }

    /// Records that an upload is removed, if there is a journal. Blocks.
    ///
    /// # Errors
    /// The journal has failed, or has no room: a removal that it lacks would be undone by a replay.
    pub fn record_removal(&self, tombstone: &Tombstone) -> Result<Option<Recorded>, StoreError> {
        let Some(journal) = self.journal() else {
            return Ok(None);
        };
        let body = Body::remove(&tombstone.id, &to_json(tombstone)?);
        match journal.append_blocking(body) {
            Ok(recorded) => Ok(Some(recorded)),
            Err(Refused::NoRoom) => Err(StoreError::Unavailable(
                "the disk is behind with writing: the journal has no room".to_owned(),
            )),
            Err(Refused::Failed(why)) => Err(StoreError::Unwritable(why)),
        }
    }
}
