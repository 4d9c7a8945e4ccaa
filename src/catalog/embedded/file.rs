//! The file of the database. What it does not take stays in memory: an index whose disk fails to
//! write goes on to answer, and is whole on the disk again once that takes it.
//!
//! Of all that was written since the last sync a copy is kept: when a write or a sync fails, the
//! system does not say what of it the disk has (fsync(2)). From then on nothing goes to the file; reads find
//! the copies before the file, and the database does not notice. [`IndexFile::mend`] tries to
//! write them, until it succeeds. As long as it has not, the start of the file on the disk says
//! that it is no database, or is that of the last sync: a process that dies meanwhile leaves an
//! index that is compared with the manifests, or begun anew from them.

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

/// The unit of what is kept, in bytes.
const BLOCK: usize = 4096;
/// How many blocks are kept at most: 32 MiB. A disk that takes them is synced then; one that does
/// not has the index fail, which no change of a store that is not ready comes to.
const MOST: usize = 8192;

/// What is kept, by its place in blocks.
type Blocks = BTreeMap<u64, Kept>;

/// A file that does not fail.
#[derive(Debug, Clone)]
pub struct IndexFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: Box<dyn StorageBackend>,
    /// Guards the file against others while it is changed, and while it is mended. A std mutex: the
    /// threads that hold it may wait for the disk.
    changing: Mutex<()>,
    /// Guards what is kept. A std lock, never held to be changed while a thread waits for the disk.
    state: RwLock<State>,
    /// Whether there is trouble: the one look of those who ask.
    troubled: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of the file, as the database knows it.
    len: u64,
    kept: Blocks,
    /// Counts the syncs.
    syncs: u64,
    trouble: Option<Trouble>,
}

/// What was written since the last sync.
#[derive(Debug, Clone)]
struct Kept {
    /// The sync that makes it durable.
    sync: u64,
    data: Box<[u8; BLOCK]>,
}

#[derive(Debug)]
struct Trouble {
    why: String,
    /// Whether it is for want of space, which uploads meet as well, and have words for.
    space: bool,
    /// How much of the file still counts: what lies behind was cut off since.
    valid: u64,
}

impl IndexFile {
    /// Over a file that was opened to be read and written.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn new(file: File) -> io::Result<Self> {
        let file = FileBackend::new(file).map_err(io::Error::other)?;
        Self::over(Box::new(file))
    }

    fn over(file: Box<dyn StorageBackend>) -> io::Result<Self> {
        let len = file.len()?;
        Ok(IndexFile(Arc::new(Inner {
            file,
            changing: Mutex::default(),
            state: RwLock::new(State {
                len,
                ..State::default()
            }),
            troubled: AtomicBool::new(false),
        })))
    }

    /// Whether something is kept that the disk did not take.
    pub fn is_troubled(&self) -> bool {
        self.0.troubled.load(Ordering::Acquire)
    }

    /// Why nothing should be added, if that is so: the disk does not take it, and not merely for
    /// want of space, or much is kept already.
    pub fn trouble(&self) -> Option<String> {
        if !self.is_troubled() {
            return None;
        }
        let state = self.0.read_state();
        let much = state.kept.len() > MOST / 2;
        let trouble = state.trouble.as_ref()?;
        (much || !trouble.space).then(|| trouble.why.clone())
    }

    /// Fails when something is kept that the disk did not take.
    ///
    /// # Errors
    /// Why the disk did not take it.
    pub fn require_written(&self) -> io::Result<()> {
        match &self.0.read_state().trouble {
            None => Ok(()),
            Some(trouble) => Err(io::Error::other(trouble.why.clone())),
        }
    }

    /// Tries to write what the disk did not take. Blocks.
    pub fn mend(&self) {
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
            Err(error) => inner.write_state().found(&error),
        }
    }
}

impl Inner {
    /// Keeps what `data` says of a place, whether or not the file took it. The caller changes the
    /// file alone.
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
            state.kept.insert(block, Kept { sync, data });
        }
        Ok(())
    }

    /// A block as it is in the file, unless `replaced` bytes are all of it.
    fn block(&self, block: u64, replaced: u64) -> io::Result<Box<[u8; BLOCK]>> {
        let mut content = Box::new([0; BLOCK]);
        if replaced < BLOCK as u64 {
            let state = self.read_state();
            self.read_file(&state, block * BLOCK as u64, &mut content[..])?;
        }
        Ok(content)
    }

    /// Reads the file; what lies behind its end is zero, as it will be.
    fn read_file(&self, state: &State, offset: u64, out: &mut [u8]) -> io::Result<()> {
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

    /// Has the kept blocks synced, before they are too many, or fails.
    fn make_room(&self, blocks: usize) -> io::Result<()> {
        let full = || self.read_state().kept.len() + blocks > MOST;
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

    /// Syncs the file, and lets go of what was kept for it. In trouble it does nothing: the
    /// writing thread mends it.
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
            // What was written meanwhile may not be in it.
            Ok(()) => state.kept.retain(|_, kept| kept.sync >= sync),
            Err(error) => self.fail(&mut state, &error),
        }
    }

    /// Leaves the file alone from now on.
    fn fail(&self, state: &mut State, error: &io::Error) {
        tracing::error!(%error, "the index cannot be written; it goes on in memory");
        state.found(error);
        self.troubled.store(true, Ordering::Release);
    }

    /// Writes what is kept, the start of the file last. Other changes of the file wait.
    fn write_kept(&self) -> io::Result<()> {
        if !self.read_state().kept.contains_key(&0) {
            let start = self.block(0, 0)?;
            let mut state = self.write_state();
            let sync = state.syncs;
            state.kept.insert(0, Kept { sync, data: start });
        }
        let state = self.read_state();
        let valid = state.trouble.as_ref().map_or(state.len, |it| it.valid);
        // Between here and the end the file is none that anybody would take for a database.
        self.file.write(0, &[0; BLOCK])?;
        self.file.sync_data()?;
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

    fn read_state(&self) -> RwLockReadGuard<'_, State> {
        // Every change of it is one step.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn found(&mut self, error: &io::Error) {
        let space = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        let valid = self.trouble.as_ref().map_or(u64::MAX, |it| it.valid);
        self.trouble = Some(Trouble {
            why: format!("the index cannot be written: {error}"),
            space,
            valid,
        });
    }

    /// The run of bytes from `at` on that is not kept, up to `end`.
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
            // What is kept of the last block has zeros behind the new end.
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
