//! The key of an upload: the file that holds its manifest, and later its tombstone.

use std::fs::File;
use std::io::{self, Seek as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::inner::Inner;
use super::layout::{self, Folder};
use super::open_file::write_at;
use super::session::Session;
use crate::model::{Clock, Manifest, Stored, Timestamp, UploadId};
use crate::store::{Replaced, SmallContent, StoreError, Version, names, to_json};

/// How long another process may keep a key locked: a process that was stopped must not stop this
/// one.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a locked key is tried again.
const LOCK_RETRY_DELAY: Duration = Duration::from_millis(2);
/// A key changed this lately may change again without a difference in its times: those of many
/// file systems move with the timer, every 1 to 10 ms.
const SETTLED: Duration = Duration::from_millis(100);
/// The same on FAT, whose times are even seconds.
const SETTLED_BARE: Duration = Duration::from_secs(3);

/// A key that is locked: no other process changes it.
pub struct Key {
    pub dir: Arc<Folder>,
    pub stored: Stored,
    /// Holds the lock.
    _file: File,
}

/// The same, its content as it is.
pub struct RawKey {
    pub dir: Arc<Folder>,
    pub content: SmallContent,
    /// Holds the lock.
    _file: File,
}

impl RawKey {
    /// The manifest or tombstone.
    pub fn stored(&self, id: &UploadId) -> Result<Stored, StoreError> {
        self.content.stored(names::manifest_name(id), id)
    }
}

impl Inner {
    pub fn read(&self, id: &UploadId) -> Result<Option<Stored>, StoreError> {
        let name = names::manifest_name(id);
        let opening = |error| StoreError::io(format!("reading {name}"), error);
        let Some(dir) = self.layout.prefix(id.prefix()).map_err(opening)? else {
            return Ok(None);
        };
        match layout::open_regular(&dir, &name).map_err(opening)? {
            Some((file, size)) => {
                let content = SmallContent::read(file, size).map_err(opening)?;
                content.stored(&name, id).map(Some)
            }
            None => Ok(None),
        }
    }

    pub fn version(&self, id: &UploadId) -> Result<Option<Version>, StoreError> {
        let Some(stat) = self.stat_key(id)? else {
            return Ok(None);
        };
        let (seconds, nanos) = (stat.st_ctime, stat.st_ctime_nsec);
        let changed = Timestamp::from_millis(seconds * 1000 + nanos as i64 / 1_000_000);
        let least = if self.bare { SETTLED_BARE } else { SETTLED };
        let settled = Clock::system().now().since(changed) > least;
        let version = Version(format!("{}-{seconds}.{nanos}", stat.st_ino));
        Ok(settled.then_some(version))
    }

    /// Whether the key exists.
    pub fn present(&self, id: &UploadId) -> Result<bool, StoreError> {
        Ok(self.stat_key(id)?.is_some())
    }

    pub fn stat_key(&self, id: &UploadId) -> Result<Option<rustix::fs::Stat>, StoreError> {
        let name = names::manifest_name(id);
        let looking = |error| StoreError::io(format!("looking at {name}"), error);
        let Some(dir) = self.layout.prefix(id.prefix()).map_err(looking)? else {
            return Ok(None);
        };
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        match rustix::fs::statat(&dir, &name, flags) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(looking(error.into())),
        }
    }

    /// Replaces a manifest, if the new one `may` take the place of the stored one.
    pub fn replace(
        &self,
        manifest: &Manifest,
        may: fn(&Manifest, &Manifest) -> bool,
    ) -> Result<Replaced, StoreError> {
        let Some(key) = self.lock_key(&manifest.id)? else {
            return Ok(Replaced::Gone);
        };
        match &key.stored {
            Stored::Gone(_) => Ok(Replaced::Gone),
            Stored::Live(stored) if !may(manifest, stored) => Ok(Replaced::Changed),
            Stored::Live(_) => {
                self.put(&key.dir, &manifest.id, &to_json(manifest)?)?;
                Ok(Replaced::Done)
            }
        }
    }

    /// Opens the key of an upload, and locks it until the answer is dropped; `None` when there is
    /// none. Blocks.
    pub fn lock_key(&self, id: &UploadId) -> Result<Option<Key>, StoreError> {
        let Some(raw) = self.lock_raw(id)? else {
            return Ok(None);
        };
        let stored = raw.stored(id)?;
        let RawKey { dir, _file, .. } = raw;
        Ok(Some(Key { dir, stored, _file }))
    }

    /// The same, whatever its content.
    pub fn lock_raw(&self, id: &UploadId) -> Result<Option<RawKey>, StoreError> {
        let name = names::manifest_name(id);
        let locking = |error: io::Error| StoreError::change(format!("locking {name}"), error);
        let Some(dir) = self.layout.prefix(id.prefix()).map_err(locking)? else {
            return Ok(None);
        };
        // Writable: NFS turns this lock into one on the server, which needs that (flock(2)).
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        loop {
            let mut file: File = match rustix::fs::openat(&dir, &name, flags, Mode::empty()) {
                Ok(fd) => fd.into(),
                Err(Errno::NOENT) => return Ok(None),
                Err(error) => return Err(locking(error.into())),
            };
            lock(&file).map_err(locking)?;
            // The process that had the lock before may have put another file there.
            if layout::is_at(&file, &dir, &name).map_err(locking)? {
                file.rewind().map_err(locking)?;
                let size = file.metadata().map_err(locking)?.len();
                let content = SmallContent::read(&file, size)
                    .map_err(|error| StoreError::io(format!("reading {name}"), error))?;
                let _file = file;
                return Ok(Some(RawKey {
                    dir,
                    content,
                    _file,
                }));
            }
        }
    }

    /// Puts the next version in the place of a locked key, which lies in `dir`. On a full disk it
    /// takes the room that is held for it. Blocks.
    pub fn put(&self, dir: &Folder, id: &UploadId, json: &[u8]) -> Result<(), StoreError> {
        let name = names::manifest_name(id);
        let replacing = |error| StoreError::change(format!("replacing {name}"), error);
        let created = self.layout.create_staged(id).map_err(replacing);
        let put = created.and_then(|staged| {
            self.put_staged(dir, (id, json), staged, |file| write_at(file, json, 0))
        });
        let Err(StoreError::NoSpace(_)) = put else {
            return put;
        };
        let Some(held) = self.take_room(id) else {
            return put;
        };
        self.put_staged(dir, (id, json), held, |file| {
            write_at(file, json, 0)?;
            file.set_len(json.len() as u64).map_err(replacing)
        })
    }

    /// Has `write` write a version, which is `json`, to a file in the stage, and puts that in the
    /// place of the key.
    fn put_staged(
        &self,
        dir: &Folder,
        (id, json): (&UploadId, &[u8]),
        (file, staged): (File, String),
        write: impl FnOnce(&File) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let name = names::manifest_name(id);
        let stage = self.layout.stage();
        let put = || {
            write(&file)?;
            if let Some(_recorded) = self.record_replacement(id, json)? {
                return layout::replace(stage, &staged, (dir, &name), true, || Ok(()));
            }
            let session = Session::begin(&self.syncer, 0);
            session.sync_replacement(&file)?;
            let ordered = self.syncer.ordered;
            layout::replace(stage, &staged, (dir, &name), ordered, || match ordered {
                true => session.sync_names(dir, None),
                false => session.sync_names_always(dir, None),
            })
        };
        let replaced = put();
        if replaced.is_err() {
            // Best effort: the stage is cleared later.
            let _ = layout::unlink(stage, staged.as_str());
        }
        replaced
    }
}

/// Locks a file against all processes that lock it as well (flock(2)).
fn lock(file: &File) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK) if start.elapsed() < LOCK_TIMEOUT => {
                std::thread::sleep(LOCK_RETRY_DELAY)
            }
            Err(Errno::WOULDBLOCK) => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "another process keeps it locked",
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
}
