//! The file of the database. Writes that the disk does not take stay in memory: an index whose disk
//! fails goes on to answer, and is whole on the disk again once the disk takes writes.
//!
//! The file keeps a copy of all that was written since the last sync: when a write or a sync fails,
//! the system does not say which part the disk has (fsync(2)). From then on nothing is written to
//! the file; reads find the copies before the file, and the database does not notice.
//! [`IndexFile::rewrite`] tries to write the copies, until it succeeds. As long as it has not, the
//! start of the file on the disk says that it is no database, or is that of the last sync: a
//! process that dies meanwhile leaves an index that is compared with the manifests, or rebuilt
//! from them. The start of a file that was closed cleanly would say that it is whole: where a disk
//! takes nothing from the beginning on, [`IndexFile::disown`] overwrites it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::{Bound, Range};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use crate::model::is_full;

/// The unit of the copies, in bytes.
const BLOCK: usize = 4096;
/// The most blocks that are kept: 32 MiB. Then the file is synced; if the disk fails, so does the
/// index. That needs many changes, and a store that is not ready takes none.
const MAX_KEPT: usize = 8192;

/// The copies, by their place in blocks.
type KeptBlocks = BTreeMap<u64, KeptBlock>;

/// A file whose writes do not fail.
#[derive(Debug, Clone)]
pub struct IndexFile(Arc<IndexFileInner>);

#[derive(Debug)]
struct IndexFileInner {
    file: Box<dyn StorageBackend>,
    /// Held by the thread that changes the file, or writes the copies. A std mutex: the threads that
    /// hold it may wait for the disk.
    changing: Mutex<()>,
    /// Guards the copies. A std lock: no thread holds it to change them while it waits for the disk.
    state: RwLock<IndexFileState>,
    /// Whether there is trouble, so that readers need no lock.
    troubled: AtomicBool,
}

#[derive(Debug, Default)]
struct IndexFileState {
    /// Bytes of the file, as the database knows it.
    len: u64,
    kept: KeptBlocks,
    /// Counts the syncs.
    syncs: u64,
    trouble: Option<WriteTrouble>,
}

/// A copy of a block that was written since the last sync.
#[derive(Debug, Clone)]
struct KeptBlock {
    /// The sync that makes it durable.
    sync: u64,
    data: Box<[u8; BLOCK]>,
}

#[derive(Debug)]
struct WriteTrouble {
    why: String,
    /// Whether space is missing: then uploads fail as well, with an error of their own.
    space: bool,
    /// How many bytes of the file still count: the rest was cut off since.
    valid: u64,
}

impl IndexFile {
    /// Wraps a file that was opened to be read and written.
    ///
    /// # Errors
    /// The length of the file cannot be read.
    pub fn new(file: File) -> io::Result<Self> {
        let file = FileBackend::new(file).map_err(io::Error::other)?;
        Self::over(Box::new(file))
    }

    /// Wraps any place for a database.
    ///
    /// # Errors
    /// The length of the file cannot be read.
    pub fn over(file: Box<dyn StorageBackend>) -> io::Result<Self> {
        let len = file.len()?;
        Ok(IndexFile(Arc::new(IndexFileInner {
            file,
            changing: Mutex::default(),
            state: RwLock::new(IndexFileState {
                len,
                ..IndexFileState::default()
            }),
            troubled: AtomicBool::new(false),
        })))
    }

    /// Whether the disk did not take a write.
    pub fn is_troubled(&self) -> bool {
        self.0.troubled.load(Ordering::Acquire)
    }

    /// Why nothing should be added, if that is so: the disk fails for another reason than missing
    /// space, or memory holds many copies already.
    pub fn trouble(&self) -> Option<String> {
        if !self.is_troubled() {
            return None;
        }
        let state = self.0.read_state();
        let much = state.kept.len() > MAX_KEPT / 2;
        let trouble = state.trouble.as_ref()?;
        (much || !trouble.space).then(|| trouble.why.clone())
    }

    /// Fails when the disk did not take a write.
    ///
    /// # Errors
    /// Why the disk did not take it.
    pub fn require_written(&self) -> io::Result<()> {
        match &self.0.read_state().trouble {
            None => Ok(()),
            Some(trouble) => Err(io::Error::new(
                match trouble.space {
                    true => io::ErrorKind::StorageFull,
                    false => io::ErrorKind::Other,
                },
                trouble.why.clone(),
            )),
        }
    }

    /// Has the file on the disk say that it is no database, until all of it is written: an index
    /// that goes on in memory from its opening on. It takes no space that the file does not have,
    /// but on file systems that write each block to a new place. Blocks.
    ///
    /// # Errors
    /// The disk does not take that either.
    pub fn disown(&self) -> io::Result<()> {
        let inner = &*self.0;
        let _changing = inner.changing();
        inner.keep_start()?;
        inner.overwrite_start()
    }

    /// Tries to write what the disk did not take. Blocks.
    pub fn rewrite(&self) {
        let inner = &*self.0;
        let _changing = inner.changing();
        if !self.is_troubled() {
            return;
        }
        match inner.write_kept() {
            Ok(()) => {
                let mut state = inner.write_state();
                state.kept.clear();
                state.trouble = None;
                inner.troubled.store(false, Ordering::Release);
                drop(state);
                tracing::info!("the index can be written again");
            }
            Err(error) => inner.write_state().note_failure(&error),
        }
    }
}

impl IndexFileInner {
    /// Keeps a copy of `data`, whether or not the file took it. The caller holds `changing`.
    fn keep(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset + data.len() as u64;
        for block in offset / BLOCK as u64..end.div_ceil(BLOCK as u64) {
            let start = block * BLOCK as u64;
            let within = offset.max(start)..end.min(start + BLOCK as u64);
            let known = self.read_state().kept.get(&block).map(|it| it.data.clone());
            let mut content = match known {
                Some(content) => content,
                None => self.block(block, within.end - within.start)?,
            };
            let part = &data[(within.start - offset) as usize..(within.end - offset) as usize];
            content[(within.start - start) as usize..(within.end - start) as usize]
                .copy_from_slice(part);
            let mut state = self.write_state();
            let sync = state.syncs;
            let data = content;
            state.kept.insert(block, KeptBlock { sync, data });
        }
        Ok(())
    }

    /// The content of a block. A caller that replaces all of its bytes (`replaced` is their number)
    /// gets zeros: the file is not read for it.
    fn block(&self, block: u64, replaced: u64) -> io::Result<Box<[u8; BLOCK]>> {
        let mut content = Box::new([0; BLOCK]);
        if replaced < BLOCK as u64 {
            let state = self.read_state();
            self.read_file(&state, block * BLOCK as u64, &mut content[..])?;
        }
        Ok(content)
    }

    /// Reads the file; behind its end there are zeros.
    fn read_file(&self, state: &IndexFileState, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let valid = match &state.trouble {
            None => state.len,
            Some(trouble) => self.file.len()?.min(trouble.valid),
        };
        let there = valid.saturating_sub(offset).min(out.len() as u64) as usize;
        let (found, behind) = out.split_at_mut(there);
        behind.fill(0);
        if found.is_empty() {
            return Ok(());
        }
        self.file.read(offset, found)
    }

    /// Syncs the file before there are too many copies; fails where the disk does.
    fn make_room(&self, blocks: usize) -> io::Result<()> {
        let full = || self.read_state().kept.len() + blocks > MAX_KEPT;
        if full() {
            self.sync();
        }
        match full() && self.troubled.load(Ordering::Acquire) {
            true => Err(io::Error::other(
                "the disk does not take the index, and memory holds no more of it",
            )),
            false => Ok(()),
        }
    }

    /// Syncs the file, and drops the copies. In trouble it does nothing: the writing thread writes
    /// the copies later.
    fn sync(&self) {
        let sync = {
            let mut state = self.write_state();
            if state.trouble.is_some() {
                return;
            }
            state.syncs += 1;
            state.syncs
        };
        let synced = self.file.sync_data();
        let mut state = self.write_state();
        match synced {
            // A write that came meanwhile may not be on the disk.
            Ok(()) => state.kept.retain(|_, kept| kept.sync >= sync),
            Err(error) => self.fail(&mut state, &error),
        }
    }

    /// Writes nothing to the file from now on.
    fn fail(&self, state: &mut IndexFileState, error: &io::Error) {
        tracing::error!(%error, "the index cannot be written; it goes on in memory");
        state.note_failure(error);
        self.troubled.store(true, Ordering::Release);
    }

    /// Sees to it that there is a copy of the start of the file.
    fn keep_start(&self) -> io::Result<()> {
        if !self.read_state().kept.contains_key(&0) {
            let start = self.block(0, 0)?;
            let mut state = self.write_state();
            let sync = state.syncs;
            state.kept.insert(0, KeptBlock { sync, data: start });
        }
        Ok(())
    }

    /// Has the file not look like a database.
    fn overwrite_start(&self) -> io::Result<()> {
        self.file.write(0, &[0; BLOCK])?;
        self.file.sync_data()
    }

    /// Writes the copies, the start of the file last. Other changes of the file wait.
    fn write_kept(&self) -> io::Result<()> {
        self.keep_start()?;
        let state = self.read_state();
        let valid = state.trouble.as_ref().map_or(state.len, |it| it.valid);
        self.overwrite_start()?;
        if valid < self.file.len()? {
            self.file.set_len(valid)?;
        }
        self.file.set_len(state.len)?;
        for (block, kept) in state.kept.range(1..) {
            let offset = block * BLOCK as u64;
            let len = state.len.saturating_sub(offset).min(BLOCK as u64) as usize;
            self.file.write(offset, &kept.data[..len])?;
        }
        self.file.sync_data()?;
        let start = &state.kept[&0];
        self.file.write(0, &start.data[..])?;
        self.file.sync_data()
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        // It guards no memory.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_state(&self) -> RwLockReadGuard<'_, IndexFileState> {
        // Every change of it is one step.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_state(&self) -> RwLockWriteGuard<'_, IndexFileState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IndexFileState {
    fn note_failure(&mut self, error: &io::Error) {
        let space = is_full(error);
        let valid = self.trouble.as_ref().map_or(u64::MAX, |it| it.valid);
        self.trouble = Some(WriteTrouble {
            why: format!("the index cannot be written: {error}"),
            space,
            valid,
        });
    }

    /// The bytes from `at` to the next copy, or to `end`.
    fn run(&self, at: u64, end: u64) -> Range<u64> {
        let next = self.kept.range(at / BLOCK as u64..).next();
        let next = next.map_or(end, |(block, _)| block * BLOCK as u64);
        at..end.min(next.max(at))
    }
}

impl StorageBackend for IndexFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.read_state().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.read_state();
        if state.kept.is_empty() && state.trouble.is_none() {
            return self.0.file.read(offset, out);
        }
        let end = offset + out.len() as u64;
        if end > state.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut at = offset;
        while at < end {
            let block = at / BLOCK as u64;
            let start = block * BLOCK as u64;
            let here = (at - offset) as usize;
            if let Some(kept) = state.kept.get(&block) {
                let until = end.min(start + BLOCK as u64);
                let part = &kept.data[(at - start) as usize..(until - start) as usize];
                out[here..here + part.len()].copy_from_slice(part);
                at = until;
            } else {
                let run = state.run(at, end);
                let part = &mut out[here..here + (run.end - run.start) as usize];
                self.0.read_file(&state, at, part)?;
                at = run.end;
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let inner = &*self.0;
        let _changing = inner.changing();
        let changed = match self.is_troubled() {
            true => Ok(()),
            false => inner.file.set_len(len),
        };
        let mut state = inner.write_state();
        if let Err(error) = changed {
            inner.fail(&mut state, &error);
        }
        if len < state.len {
            let behind = len.div_ceil(BLOCK as u64);
            drop(state.kept.split_off(&behind));
            // The copy of the last block has zeros behind the new end.
            let last = (len / BLOCK as u64, (len % BLOCK as u64) as usize);
            if let Some(kept) = state.kept.get_mut(&last.0) {
                kept.data[last.1..].fill(0);
            }
            if let Some(trouble) = &mut state.trouble {
                trouble.valid = trouble.valid.min(len);
            }
        }
        state.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let inner = &*self.0;
        let _changing = inner.changing();
        inner.make_room(data.len().div_ceil(BLOCK) + 1)?;
        let written = match self.is_troubled() {
            true => Ok(()),
            false => inner.file.write(offset, data),
        };
        // In this order: no sync that begins between the two takes it for written.
        if let Err(error) = written {
            inner.fail(&mut inner.write_state(), &error);
        }
        inner.keep(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.query_lock_range(start, end)
    }
}
