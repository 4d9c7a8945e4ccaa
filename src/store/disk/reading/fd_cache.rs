//! Small files that were read lately, held open: to open and close one costs more than to read it.

use std::fs::File;
use std::sync::Arc;

use quick_cache::sync::Cache;

use crate::model::{FileName, UploadId};

/// How many files are held open, at most.
const MAX_FILES: usize = 2048;
/// One in so many descriptors of the store is for them.
const SHARE: usize = 4;

/// Open files by upload and name. A file that is removed is removed here as well.
#[derive(Debug)]
pub struct FileCache(Cache<(UploadId, FileName), Arc<File>>);

impl FileCache {
    /// How many of the `descriptors` of a store are for files in the cache.
    pub fn capacity(descriptors: usize) -> usize {
        MAX_FILES.min(descriptors / SHARE)
    }

    /// Holds up to `capacity` files.
    pub fn new(capacity: usize) -> Self {
        FileCache(Cache::new(capacity))
    }

    /// A file of the cache, if it still has `size` bytes and its name.
    pub fn get(&self, id: &UploadId, name: &FileName, size: u64) -> Option<Arc<File>> {
        let key = (*id, name.clone());
        let file = self.0.get(&key)?;
        if is_whole(&file, size) {
            return Some(file);
        }
        self.0.remove(&key);
        None
    }

    /// Adds a file.
    pub fn insert(&self, id: &UploadId, name: &FileName, size: u64, file: File) {
        let (key, file) = ((*id, name.clone()), Arc::new(file));
        self.0.insert(key.clone(), Arc::clone(&file));
        // A removal meanwhile may have looked for it here before it was added.
        if !is_whole(&file, size) {
            self.0.remove(&key);
        }
    }

    /// Closes a file whose name was removed: held open it would keep its blocks on the disk.
    pub fn remove(&self, id: &UploadId, name: &FileName) {
        self.0.remove(&(*id, name.clone()));
    }
}

/// Whether a file is as it was stored: one that was removed or replaced has lost a name, its last
/// unless it has a link elsewhere.
fn is_whole(file: &File, size: u64) -> bool {
    let stat = rustix::fs::fstat(file);
    stat.is_ok_and(|stat| stat.st_nlink == 1 && stat.st_size.cast_unsigned() == size)
}
