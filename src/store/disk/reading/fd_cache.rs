//! Small files that were read lately, held open: opening one and closing it again costs more than
//! reading it.

use std::fs::File;
use std::sync::Arc;

use quick_cache::sync::Cache;

use crate::model::{FileName, UploadId};

/// How many files are held open, at most.
const MOST: usize = 2048;
/// One in how many descriptors of the store is for them.
const SHARE: usize = 4;

/// Open files by what they are called, none of which was removed.
#[derive(Debug)]
pub struct Opened(Cache<(UploadId, FileName), Arc<File>>);

impl Opened {
    /// How many of the `descriptors` of a store are to be files that are held.
    pub fn share(descriptors: usize) -> usize {
        MOST.min(descriptors / SHARE)
    }

    /// Holds up to `limit` files.
    pub fn new(limit: usize) -> Self {
        Opened(Cache::new(limit))
    }

    /// A file that is held, if it has `size` bytes and its name still.
    pub fn get(&self, id: &UploadId, name: &FileName, size: u64) -> Option<Arc<File>> {
        let key = (*id, name.clone());
        let file = self.0.get(&key)?;
        if is_whole(&file, size) {
            return Some(file);
        }
        self.0.remove(&key);
        None
    }

    /// Holds a file.
    pub fn hold(&self, id: &UploadId, name: &FileName, size: u64, file: File) {
        let (key, file) = ((*id, name.clone()), Arc::new(file));
        self.0.insert(key.clone(), Arc::clone(&file));
        // Whoever has removed it meanwhile has let go of it before it was held.
        if !is_whole(&file, size) {
            self.0.remove(&key);
        }
    }

    /// Lets go of a file whose name was removed: held open it would keep its place on the disk.
    pub fn let_go(&self, id: &UploadId, name: &FileName) {
        self.0.remove(&(*id, name.clone()));
    }
}

/// Whether a file is as it was stored: who removes or replaces one takes a name from it, which was
/// its last unless it is linked elsewhere as well.
fn is_whole(file: &File, size: u64) -> bool {
    let stat = rustix::fs::fstat(file);
    stat.is_ok_and(|stat| stat.st_nlink == 1 && stat.st_size.cast_unsigned() == size)
}
