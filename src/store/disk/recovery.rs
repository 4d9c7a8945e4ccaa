//! The start of a store that has a journal: what only the journal has is brought back.
//!
//! Nothing that is read through the page cache is trusted: after a failed sync it can be right over
//! a disk that is wrong. So files and manifests that the records have whole are written anew. And
//! nothing is removed that no record of a removal names. A replay that is cut short is made again
//! from its beginning at the next start.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{Advice, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::inner::Inner;
use super::journal::{Change, Found, Home, Kind, Place, Position, Records, is_used};
use super::layout::{self, Folder, open_regular};
use super::open_file::write_at;
use crate::model::{Manifest, Stored, Tombstone, UploadId};
use crate::store::{StoreError, names};

/// How many uploads are written anew before one sync.
const AT_ONCE: usize = 2048;
/// Numbers of records that are left out at a start: no use of a segment begins twice with the same.
const JUMP: u64 = 1 << 32;

/// The last records of one upload.
#[derive(Debug, Clone, Copy)]
struct Last {
    kind: Kind,
    /// The last record.
    place: Place,
    /// The record that has the contents of its files.
    contents: Option<Place>,
}

/// A file that was written anew, and waits for its name.
struct Rewritten {
    staged: String,
    dir: Arc<Folder>,
    name: String,
}

/// The counts of a replay.
#[derive(Debug, Default)]
struct Replayed {
    stored: usize,
    removed: usize,
}

fn reading(error: io::Error) -> StoreError {
    StoreError::io("reading the journal", error)
}

impl Inner {
    /// Brings back what an earlier process has left in the journal. `older` says whether an older
    /// version of wharf, which knows no journal, has had the store since; it is asked only where there
    /// are records. Nothing else may use the store. Blocks.
    ///
    /// # Errors
    /// The journal cannot be read, or the store not be written: nothing is lost, and the next start
    /// begins anew.
    pub fn recover(&self, older: impl FnOnce() -> bool) -> Result<(), StoreError> {
        if !self.is_shared() {
            return self.recover_alone(older);
        }
        if self.layout.journal().map_err(reading)?.is_none() {
            return Ok(());
        }
        // It is from a time when one server had the store alone: no other may be at work here now.
        let lock = |operation| match &self._lock {
            Some(file) => rustix::fs::flock(file, operation),
            None => Ok(()),
        };
        let recovered = match lock(FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => self.recover_alone(older).and_then(|()| self.remove_journal()),
            Err(_) => Err(StoreError::Unavailable(
                "the store has a journal of one server alone, and several servers have it now: end them, and start one".to_owned(),
            )),
        };
        lock(FlockOperation::NonBlockingLockShared).map_err(|error| reading(error.into()))?;
        recovered
    }

    fn recover_alone(&self, older: impl FnOnce() -> bool) -> Result<(), StoreError> {
        let Some(folder) = self.layout.journal().map_err(reading)? else {
            return Ok(());
        };
        let Some(file) = open_position(&folder).map_err(reading)? else {
            // The first start of the journal was cut short: it has no records.
            return Ok(());
        };
        let Some(home) = self.home(&folder)? else {
            return self.set_aside(
                "foreign",
                "its file system does not say when a folder was made",
            );
        };
        let (mut position, ours) = match Position::read(file, home).map_err(reading)? {
            Found::Here(position) => (position, true),
            Found::Foreign(position) => (position, false),
            // Its making was cut short.
            Found::Nothing if !is_used(&folder).map_err(reading)? => return Ok(()),
            Found::Nothing => return self.set_aside("damaged", "its position cannot be read"),
        };
        let open = Records::open(&folder, &position.home, position.next);
        let mut records = open.map_err(reading)?;
        let all = reduce(&mut records).map_err(reading)?;
        if all.is_empty() {
            return match ours {
                true => Ok(()),
                false => self.remove_journal(),
            };
        }
        let only = || self.only_in_journal(&all);
        if !ours {
            let why = format!(
                "it is a copy, and has {} uploads that the store lacks",
                only()?
            );
            return self.set_aside("foreign", &why);
        }
        if older() {
            let why = format!(
                "an older version of wharf has had the store since, and {} uploads are in it alone",
                only()?
            );
            return self.set_aside("old", &why);
        }
        let replayed = self.replay(&records, all)?;
        let synced = self.syncer.sync_file_system(self.layout.root_fd());
        self.syncer.check(synced)?;
        let advanced = position.advance(records.next + JUMP);
        advanced.map_err(|error| StoreError::change("writing the position", error))?;
        tracing::info!(
            uploads = replayed.stored,
            removed = replayed.removed,
            "the journal has brought back what the last stop may have cut off"
        );
        Ok(())
    }

    /// How many uploads an unread journal has that the store lacks: 0 where there is no journal.
    pub fn unreplayed(&self) -> Result<usize, StoreError> {
        let Some(folder) = self.layout.journal().map_err(reading)? else {
            return Ok(0);
        };
        let position = open_regular(&folder, POSITION).map_err(reading)?;
        let Some((file, _)) = position else {
            return Ok(0);
        };
        let Some(home) = self.home(&folder)? else {
            return Ok(0);
        };
        let Found::Here(position) = Position::read(file, home).map_err(reading)? else {
            return Ok(0);
        };
        let open = Records::open(&folder, &home, position.next);
        let all = reduce(&mut open.map_err(reading)?).map_err(reading)?;
        self.only_in_journal(&all)
    }

    /// Where the journal belongs that is in `folder`.
    pub fn home(&self, folder: &OwnedFd) -> Result<Option<Home>, StoreError> {
        let store = self.identity()?.map_or([0; 16], |id| id.bytes());
        Home::of(folder, store).map_err(reading)
    }

    /// The position of the journal in `folder`, made anew where there is none; no record has a number
    /// that this process gives.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin_position(&self, folder: &OwnedFd, home: Home) -> io::Result<Position> {
        if let Some(file) = open_position(folder)?
            && let Found::Here(mut position) = Position::read(file, home)?
        {
            position.advance(position.next + JUMP)?;
            return Ok(position);
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o666);
        let file = rustix::fs::openat(folder, POSITION, flags, mode)?;
        Position::create(File::from(file), home, JUMP)
    }

    /// Removes a journal that has no records.
    pub fn remove_journal(&self) -> Result<(), StoreError> {
        self.layout
            .remove_journal()
            .map_err(|error| StoreError::change("removing the journal", error))
    }

    /// Puts the journal out of the way, and keeps it.
    fn set_aside(&self, what: &str, why: &str) -> Result<(), StoreError> {
        let moved = self.layout.set_journal_aside(what);
        let to = moved.map_err(|error| StoreError::change("setting the journal aside", error))?;
        tracing::warn!(to, why, "the journal is not read, and set aside");
        Ok(())
    }

    /// How many of these uploads the store lacks.
    fn only_in_journal(&self, all: &BTreeMap<UploadId, Last>) -> Result<usize, StoreError> {
        let mut count = 0;
        for (id, last) in all {
            if last.kind != Kind::Remove && last.contents.is_some() && !self.present(id)? {
                count += 1;
            }
        }
        Ok(count)
    }

    fn replay(
        &self,
        records: &Records,
        all: BTreeMap<UploadId, Last>,
    ) -> Result<Replayed, StoreError> {
        let all: Vec<_> = all.into_iter().collect();
        let mut replayed = Replayed::default();
        for some in all.chunks(AT_ONCE) {
            let mut rewritten = Vec::new();
            for (id, last) in some {
                let change = records.read_again(last.place).map_err(reading)?;
                if last.kind == Kind::Remove {
                    replayed.removed += usize::from(self.remove_again(id, &change)?);
                    continue;
                }
                let contents = last.contents.map(|at| records.read_again(at));
                let contents = contents.transpose().map_err(reading)?;
                if self.rewrite(id, &change, contents.as_ref(), &mut rewritten)? {
                    replayed.stored += 1;
                }
            }
            let synced = self.syncer.sync_file_system(self.layout.root_fd());
            self.syncer.check(synced)?;
            for file in rewritten {
                let stage = self.layout.stage();
                rustix::fs::renameat(stage, &file.staged, &file.dir, &file.name)
                    .map_err(|error| StoreError::change(format!("naming {}", file.name), error))?;
            }
        }
        Ok(replayed)
    }

    /// Removes an upload whose removal is recorded; answers whether anything of it was left.
    fn remove_again(&self, id: &UploadId, change: &Change) -> Result<bool, StoreError> {
        let tombstone: Tombstone = serde_json::from_slice(change.json())
            .map_err(|error| reading(io::Error::other(error)))?;
        let key = match self.read(id) {
            Err(StoreError::Damaged(_)) => true,
            read => match read? {
                Some(stored) if stored.generation() >= tombstone.generation => return Ok(false),
                found => found.is_some(),
            },
        };
        if let (true, Some(dir)) = (key, self.layout.prefix(id.prefix()).map_err(reading)?) {
            layout::unlink(&dir, names::manifest_name(id).as_str())
                .map_err(|error| StoreError::change(format!("removing {id}"), error))?;
        }
        Ok(self.remove_files(&tombstone)? > 0 || key)
    }

    /// Writes anew what the records have of an upload; answers whether the store has it, as they tell,
    /// when it is named.
    fn rewrite(
        &self,
        id: &UploadId,
        last: &Change,
        contents: Option<&Change>,
        rewritten: &mut Vec<Rewritten>,
    ) -> Result<bool, StoreError> {
        let recorded = manifest(id, last)?;
        let stored = match self.read(id) {
            Err(StoreError::Damaged(_)) => None,
            read => read?,
        };
        if let Some(Stored::Gone(_)) = &stored {
            return Ok(false);
        }
        let prefix = id.prefix();
        let dir = self.layout.make_prefix(prefix);
        let dir =
            dir.map_err(|error| StoreError::change(format!("opening the folder {prefix}"), error))?;
        if let Some(contents) = contents {
            let first = manifest(id, contents)?;
            for ((_, file), content) in first.files().zip(contents.contents()) {
                let name = names::file_name(id, &file.name);
                rewritten.extend(self.write_anew(id, &dir, name, content)?);
            }
        }
        // One that found no room in the journal went its own way.
        if stored.is_none_or(|stored| stored.generation() <= recorded.generation) {
            let name = names::manifest_name(id);
            rewritten.extend(self.write_anew(id, &dir, name, last.json())?);
        }
        Ok(true)
    }

    /// Writes a file anew in the stage. On a full disk one that has this content already is left as it
    /// is.
    fn write_anew(
        &self,
        id: &UploadId,
        dir: &Arc<Folder>,
        name: String,
        content: &[u8],
    ) -> Result<Option<Rewritten>, StoreError> {
        let created = self.layout.create_staged(id);
        let created = created.map_err(|error| StoreError::change(format!("writing {name}"), error));
        let written = created.and_then(|(file, staged)| {
            let written = write_at(&file, content, 0);
            if written.is_err() {
                // Best effort: the stage is cleared later.
                let _ = layout::unlink(self.layout.stage(), staged.as_str());
            }
            written.map(|()| staged)
        });
        match written {
            Ok(staged) => Ok(Some(Rewritten {
                staged,
                dir: Arc::clone(dir),
                name,
            })),
            Err(StoreError::NoSpace(_)) if has_content(dir, &name, content) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

const POSITION: &str = "position";

fn open_position(folder: &OwnedFd) -> io::Result<Option<File>> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(folder, POSITION, flags, Mode::empty()) {
        Ok(file) => Ok(Some(file.into())),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The last that the records tell of each upload.
fn reduce(records: &mut Records) -> io::Result<BTreeMap<UploadId, Last>> {
    let mut all: BTreeMap<UploadId, Last> = BTreeMap::new();
    while let Some((place, change)) = records.read_next()? {
        let contents = match change.kind {
            Kind::Commit => Some(place),
            Kind::Replace => all.get(&change.id).and_then(|last| last.contents),
            Kind::Remove => None,
        };
        let kind = change.kind;
        all.insert(
            change.id,
            Last {
                kind,
                place,
                contents,
            },
        );
    }
    Ok(all)
}

fn manifest(id: &UploadId, change: &Change) -> Result<Manifest, StoreError> {
    let stored = Stored::from_json(change.json(), id);
    match stored.map_err(|why| StoreError::Damaged(format!("a record of {id} {why}")))? {
        Stored::Live(manifest) => Ok(manifest),
        Stored::Gone(_) => Err(StoreError::Damaged(format!(
            "a record of {id} has a tombstone for a manifest"
        ))),
    }
}

/// Whether the disk has a file with this content.
fn has_content(dir: &Folder, name: &str, content: &[u8]) -> bool {
    let Ok(Some((file, size))) = open_regular(dir, name) else {
        return false;
    };
    // As the disk has it, and not the page cache.
    let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
    let mut read = Vec::with_capacity(content.len());
    size == content.len() as u64
        && io::Read::read_to_end(&mut &file, &mut read).is_ok()
        && read == content
}
