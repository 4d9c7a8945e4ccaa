//! A small file that has its content and waits for its name.

use super::writer::write_at;
use crate::model::UploadId;
use crate::store::disk::closer::{OpenFile, Reached};
use crate::store::disk::key::naming;
use crate::store::disk::layout::{self, Folder};
use crate::store::disk::{Inner, StoreError};

/// A file with its content, which nobody can see by its name yet. Without one it is removed.
pub struct Prepared<'a> {
    inner: &'a Inner,
    pub file: Reached,
    /// Its name in the stage, where the file system has no unnamed files.
    staged: Option<String>,
}

impl Inner {
    /// Writes a small file that is to be called `name` in `dir`.
    pub fn prepare(
        &self,
        dir: &Folder,
        id: &UploadId,
        content: &[u8],
        name: &str,
    ) -> Result<Prepared<'_>, StoreError> {
        let failed = |error| naming(name, error);
        let (file, staged) = if self.descriptors.unnamed() {
            (layout::create_unnamed(dir).map_err(failed)?, None)
        } else {
            let (file, staged) = self.layout.create_staged(id).map_err(failed)?;
            (file, Some(staged))
        };
        let prepared = Prepared {
            inner: self,
            file: OpenFile::new(self, file, content.len() as u64).reached(self),
            staged,
        };
        write_at(&prepared.file, content, 0)?;
        Ok(prepared)
    }
}

impl Prepared<'_> {
    /// Gives it the name, unless that is taken; answers the file.
    pub fn give(mut self, dir: &Folder, name: &str) -> Result<Reached, StoreError> {
        let named = match &self.staged {
            None => layout::link_unnamed(&self.file, dir, name),
            Some(staged) => {
                let stage = self.inner.layout.stage();
                self.inner.placement.give(stage, staged, dir, name)
            }
        };
        named.map_err(|error| naming(name, error))?;
        self.staged = None;
        Ok(self.file.clone())
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        if let Some(staged) = &self.staged {
            // Best effort: the stage is cleared later.
            let _ = layout::unlink(self.inner.layout.stage(), staged.as_str());
        }
    }
}
