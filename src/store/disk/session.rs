//! The syncs of one commit.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{Advice, fsync};

use super::closer::Reached;
use super::layout::Folder;
use super::sync::{Durability, Syncer};
use crate::store::StoreError;

/// A file that the kernel has hardly begun to write by itself, in bytes.
const SMALL: u64 = 1024 * 1024;

/// One commit that syncs; while it lives it counts among those at work.
pub struct Session {
    syncer: Arc<Syncer>,
    shared: bool,
    /// Files whose content is to be made durable by an `fsync` of their own.
    unsynced: Vec<Reached>,
}

impl Session {
    /// Syncs with others, or each file by itself. The caller has counted it.
    pub fn new(syncer: Arc<Syncer>, shared: bool) -> Self {
        Session {
            syncer,
            shared,
            unsynced: Vec::new(),
        }
    }

    /// Whether tasks can wait for it: it syncs nothing, or with others.
    pub fn is_for_tasks(&self) -> bool {
        self.shared || self.is_relaxed()
    }

    fn is_relaxed(&self) -> bool {
        self.syncer.durability == Durability::Relaxed
    }

    /// What [`contents`](Self::contents) does, for tasks.
    pub async fn contents_by_tasks(&self) -> Result<(), StoreError> {
        if self.is_relaxed() {
            return Ok(());
        }
        self.syncer.check(self.syncer.shared_by_tasks().await)
    }

    /// What [`name`](Self::name) does, for tasks.
    pub async fn name_by_tasks(&self, folder: &Folder) -> Result<(), StoreError> {
        if self.is_relaxed() {
            return Ok(());
        }
        self.syncer.check(self.syncer.shared_by_tasks().await)?;
        folder.set_durable();
        Ok(())
    }

    /// Has the content of a file made durable by the next [`contents`](Self::contents).
    pub fn add(&mut self, file: Reached) {
        if !self.is_relaxed() && !self.shared {
            self.unsynced.push(file);
        }
    }

    /// Makes the content of all files durable that were added, and that the names given in
    /// `folder` so far come before those that are given later.
    pub fn contents(&mut self, folder: &Folder) -> Result<(), StoreError> {
        if self.is_relaxed() {
            return Ok(());
        }
        if self.shared {
            return self.syncer.check(self.syncer.shared());
        }
        let files = std::mem::take(&mut self.unsynced);
        if files.len() > 1 {
            // All on their way before the first is waited for: the journal takes them in one go.
            files.iter().for_each(|file| begin_writing_small(file));
        }
        files
            .iter()
            .try_for_each(|file| self.syncer.check(fsync(file)))?;
        if files.len() > 1 && !self.syncer.ordered {
            self.syncer.check(fsync(folder))?;
        }
        Ok(())
    }

    /// Makes the content of a file durable that takes the place of one that is durable: what a
    /// power cut may take is what came last, and never what it replaces.
    pub fn replacement(&self, file: &File) -> Result<(), StoreError> {
        self.syncer.check(fsync(file))
    }

    /// Makes durable the names given and taken in `folder` before, and the folder's own; `named`
    /// is the file that got its first name since the [`contents`](Self::contents).
    pub fn name(&self, folder: &Folder, named: Option<&File>) -> Result<(), StoreError> {
        if self.is_relaxed() {
            return Ok(());
        }
        self.name_now(folder, named)
    }

    /// The same in relaxed too.
    pub fn name_now(&self, folder: &Folder, named: Option<&File>) -> Result<(), StoreError> {
        if self.shared {
            self.syncer.check(self.syncer.shared())?;
            folder.set_durable();
            return Ok(());
        }
        // Without a journal a file that was synced without a name has no links on the disk, and
        // is taken for removed there.
        if let Some(file) = named.filter(|_| !self.syncer.ordered) {
            self.syncer.check(fsync(file))?;
        }
        self.syncer.check(fsync(folder))?;
        if !folder.is_durable() {
            self.syncer.check(fsync(&self.syncer.root))?;
        }
        folder.set_durable();
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.syncer.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Has the content of a small file that was just written go to the disk, and does not wait for it.
/// The advice says that the pages are not needed, and begins to write those that are dirty
/// (posix_fadvise(2)). It drops what is written already, which of a large file may be much, and
/// soon be asked for.
fn begin_writing_small(file: &File) {
    if file.metadata().is_ok_and(|file| file.len() <= SMALL) {
        // Nothing but speed depends on it.
        let _ = rustix::fs::fadvise(file, 0, None, Advice::DontNeed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_page_cache_stays_there() {
        const SIZE: usize = 8 << 20;
        let dir = tempfile::tempdir().unwrap();
        let root = File::open(dir.path()).unwrap().into();
        let syncer = Arc::new(Syncer::new(root, Durability::Strict, true));
        let folder = Folder::new(File::open(dir.path()).unwrap().into());
        let file = |name: &str, size| {
            let path = dir.path().join(name);
            std::fs::write(&path, vec![7; size]).unwrap();
            Reached::from(File::open(path).unwrap())
        };
        let (large, small) = (file("large", SIZE), file("small", 100));
        let cached =
            || crate::store::disk::reading::blob::read_cached(&large, &mut vec![0; SIZE], 0);
        // As if the kernel had written the large file by itself while it came.
        rustix::fs::fsync(&large).unwrap();
        let before = cached();
        let mut session = syncer.session(2);
        session.add(large.clone());
        session.add(small);
        session.contents(&folder).unwrap();
        assert_eq!(cached(), before);
    }
}
