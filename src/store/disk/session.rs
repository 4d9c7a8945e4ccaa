//! The syncs of one commit.

use std::fs::File;
use std::sync::Arc;

use rustix::fs::{Advice, fsync};

use super::layout::Folder;
use super::open_file::DirectFile;
use super::options::Durability;
use super::sync::Syncer;
use crate::store::StoreError;

/// A file of no more bytes than this the kernel has hardly begun to write by itself.
const SMALL: u64 = 1024 * 1024;

/// The syncs of one commit; while it lives it counts among those that sync at once.
pub struct Session {
    syncer: Arc<Syncer>,
    /// Whether it waits for a `syncfs` that it shares with others.
    shared: bool,
    /// Files whose content is to be made durable by an `fsync` of their own.
    unsynced: Vec<DirectFile>,
}

impl Session {
    /// Begins the syncs of a commit of `files` files: with other commits, or each file by itself.
    pub fn begin(syncer: &Arc<Syncer>, files: usize) -> Self {
        Session {
            shared: syncer.begin_session(files),
            syncer: Arc::clone(syncer),
            unsynced: Vec::new(),
        }
    }

    /// Begins the syncs of a commit whose files are not known any more: with other commits.
    pub fn shared(syncer: &Arc<Syncer>) -> Self {
        syncer.begin_session(0);
        Session {
            shared: true,
            syncer: Arc::clone(syncer),
            unsynced: Vec::new(),
        }
    }

    /// Whether a task can wait for its syncs: it syncs nothing, or with others.
    pub fn is_async(&self) -> bool {
        self.shared || self.is_relaxed()
    }

    fn is_relaxed(&self) -> bool {
        self.syncer.durability == Durability::Relaxed
    }

    /// [`sync_contents`](Self::sync_contents) for tasks.
    pub async fn sync_contents_async(&self) -> Result<(), StoreError> {
        if self.is_relaxed() {
            return Ok(());
        }
        self.syncer.check(self.syncer.sync_shared_async().await)
    }

    /// [`sync_names`](Self::sync_names) for tasks.
    pub async fn sync_names_async(&self, folder: &Folder) -> Result<(), StoreError> {
        if self.is_relaxed() {
            return Ok(());
        }
        self.syncer.check(self.syncer.sync_shared_async().await)?;
        folder.set_durable();
        Ok(())
    }

    /// Has the next [`sync_contents`](Self::sync_contents) make the content of a file durable.
    pub fn add(&mut self, file: DirectFile) {
        if !self.is_relaxed() && !self.shared {
            self.unsynced.push(file);
        }
    }

    /// Makes the content of all files that were added durable, and sees to it that the names
    /// given in `folder` so far become durable before those that are given later. Blocks.
    pub fn sync_contents(&mut self, folder: &Folder) -> Result<(), StoreError> {
        if self.is_relaxed() {
            return Ok(());
        }
        if self.shared {
            return self.syncer.check(self.syncer.sync_shared());
        }
        let files = std::mem::take(&mut self.unsynced);
        if files.len() > 1 {
            // All are being written before the first is waited for: the journal takes them at once.
            files.iter().for_each(|file| start_writing_small(file));
        }
        files
            .iter()
            .try_for_each(|file| self.syncer.check(fsync(file)))?;
        if files.len() > 1 && !self.syncer.ordered {
            self.syncer.check(fsync(folder))?;
        }
        Ok(())
    }

    /// Makes the content of a file durable that is to replace a durable one, in relaxed too: a
    /// power cut may take the replacement, and never what it replaces. Blocks.
    pub fn sync_replacement(&self, file: &File) -> Result<(), StoreError> {
        self.syncer.check(fsync(file))
    }

    /// Makes durable the names given and removed in `folder` before, and the folder's own; `named`
    /// is the file that got its first name since [`sync_contents`](Self::sync_contents). Blocks.
    pub fn sync_names(&self, folder: &Folder, named: Option<&File>) -> Result<(), StoreError> {
        if self.is_relaxed() {
            return Ok(());
        }
        self.sync_names_always(folder, named)
    }

    /// The same, in relaxed too.
    pub fn sync_names_always(
        &self,
        folder: &Folder,
        named: Option<&File>,
    ) -> Result<(), StoreError> {
        if self.shared {
            self.syncer.check(self.syncer.sync_shared())?;
            folder.set_durable();
            return Ok(());
        }
        // Without a journal a file that was synced without a name has no links on the disk, and
        // counts as removed there.
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
        self.syncer.end_session();
    }
}

/// Starts to write a small file that was just received to the disk, and does not wait for it. The
/// advice says that its pages are not needed, and starts to write those that are dirty
/// (posix_fadvise(2)). It also drops those that are written already: of a large file they may be
/// many, and be read soon.
fn start_writing_small(file: &File) {
    if file.metadata().is_ok_and(|file| file.len() <= SMALL) {
        // Nothing but speed depends on it.
        let _ = rustix::fs::fadvise(file, 0, None, Advice::DontNeed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_stays_in_the_page_cache() {
        const SIZE: usize = 8 << 20;
        let dir = tempfile::tempdir().unwrap();
        let root = File::open(dir.path()).unwrap().into();
        let syncer = Arc::new(Syncer::new(root, Durability::Strict, true));
        let folder = Folder::new(File::open(dir.path()).unwrap().into());
        let file = |name: &str, size| {
            let path = dir.path().join(name);
            std::fs::write(&path, vec![7; size]).unwrap();
            DirectFile::from(File::open(path).unwrap())
        };
        let (large, small) = (file("large", SIZE), file("small", 100));
        let cached =
            || crate::store::disk::reading::cached::read_cached(&large, &mut vec![0; SIZE], 0);
        // As if the kernel had written the large file by itself while it came.
        rustix::fs::fsync(&large).unwrap();
        let before = cached();
        let mut session = Session::begin(&syncer, 2);
        session.add(large.clone());
        session.add(small);
        session.sync_contents(&folder).unwrap();
        assert_eq!(cached(), before);
    }
}
