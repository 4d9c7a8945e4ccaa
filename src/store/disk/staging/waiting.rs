//! Files that wait for their commit closed, under a name in the stage.

use std::fs::File;
use std::io;
use std::sync::Arc;

use crate::model::UploadId;
use crate::store::disk::Inner;
use crate::store::disk::layout::{self, Folder};

/// A name in the stage. If its file gets no other, it is removed.
#[derive(Debug)]
pub struct Waiting {
    inner: Arc<Inner>,
    name: Option<String>,
}

impl Waiting {
    /// Makes a file of an upload.
    pub fn create(inner: &Arc<Inner>, id: &UploadId) -> io::Result<(File, Self)> {
        let (file, name) = inner.layout.create_staged(id)?;
        let waiting = Waiting {
            inner: Arc::clone(inner),
            name: Some(name),
        };
        Ok((file, waiting))
    }

    /// Moves the file to a name that is not taken.
    ///
    /// # Errors
    /// It has not got the name, and is removed.
    pub fn give(mut self, dir: &Folder, name: &str) -> io::Result<File> {
        let stage = self.inner.layout.stage();
        let waiting = self.name.as_deref().unwrap_or_default();
        let (file, _) = layout::open_regular(stage, waiting)?
            .ok_or_else(|| io::Error::other(format!("{waiting} is missing in the stage")))?;
        self.inner.placement.give(stage, waiting, dir, name)?;
        self.name = None;
        Ok(file)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(name) = self.name.take() else { return };
        let inner = Arc::clone(&self.inner);
        let clear = move || {
            if let Err(error) = layout::unlink(inner.layout.stage(), name.as_str()) {
                tracing::warn!(name, %error, "an aborted upload stays in the stage until the next start");
            }
        };
        self.inner.closer.later(clear);
    }
}
