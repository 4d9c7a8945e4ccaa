//! The commit: files get their names, then the manifest is linked.

use std::fs::File;
use std::io;
use std::sync::PoisonError;

use super::layout::{self, Folder};
use super::staged::{Content, DiskStaged};
use super::sync::Session;
use super::writer::write_at;
use super::{Inner, StoreError};
use crate::model::UploadId;

/// Makes an upload visible. Blocks.
pub fn commit(mut staged: DiskStaged, manifest: &[u8]) -> Result<(), StoreError> {
    let inner = std::sync::Arc::clone(&staged.inner);
    let id = staged.id;
    let _committing = Committing::new(&inner, id);
    inner.space.check()?;
    let mut linked = Vec::new();
    let result = publish(&inner, &mut staged, manifest, &mut linked);
    if result.is_err() {
        withdraw(&inner, &id, &linked);
    }
    result
}

fn publish(
    inner: &Inner,
    staged: &mut DiskStaged,
    manifest: &[u8],
    linked: &mut Vec<String>,
) -> Result<(), StoreError> {
    let id = staged.id;
    let dir = inner
        .layout
        .make_prefix(id.prefix())
        .map_err(|error| StoreError::io(format!("opening the folder {}", id.prefix()), error))?;
    let session = inner.syncer.session(staged.files.len());
    for file in std::mem::take(&mut staged.files) {
        let name = layout::file_name(&id, &file.name);
        let placed = place(
            inner,
            &session,
            &dir,
            &id,
            &staged.gathered,
            &file.content,
            &name,
        );
        if placed.is_err() {
            // The upload removes it from the stage when it is dropped.
            staged.files.push(file);
        }
        placed?;
        linked.push(name);
    }
    if !linked.is_empty() {
        session.names(&dir)?;
    }
    let name = layout::manifest_name(&id);
    create(inner, &session, &dir, &id, manifest, &name)?;
    linked.push(name);
    session.names(&dir)
}

/// Gives one file its name.
fn place(
    inner: &Inner,
    session: &Session<'_>,
    dir: &Folder,
    id: &UploadId,
    gathered: &[u8],
    content: &Content,
    name: &str,
) -> Result<(), StoreError> {
    let naming = |error| naming(name, error);
    match content {
        Content::Gathered(range) => create(inner, session, dir, id, &gathered[range.clone()], name),
        Content::Unnamed(file, _permit) => {
            session.file(file)?;
            layout::link_unnamed(file, dir, name).map_err(naming)
        }
        Content::Named(waiting) => {
            let stage = inner.layout.stage();
            let file = layout::open_regular(stage, waiting).map_err(naming)?;
            let file = file
                .ok_or_else(|| StoreError::Damaged(format!("{waiting} is missing in the stage")))?;
            session.file(&file)?;
            layout::rename_new(stage, waiting, dir, name).map_err(naming)
        }
    }
}

/// Writes a small file and gives it its name, in that order as far as the file system allows.
fn create(
    inner: &Inner,
    session: &Session<'_>,
    dir: &Folder,
    id: &UploadId,
    content: &[u8],
    name: &str,
) -> Result<(), StoreError> {
    let naming = |error| naming(name, error);
    let write = |file: &File| {
        write_at(file, content, 0)?;
        session.file(file)
    };
    if inner.descriptors.unnamed() {
        let file = layout::create_unnamed(dir).map_err(naming)?;
        write(&file)?;
        return layout::link_unnamed(&file, dir, name).map_err(naming);
    }
    let (file, waiting) = inner.layout.create_staged(id).map_err(naming)?;
    let moved = write(&file).and_then(|()| {
        layout::rename_new(inner.layout.stage(), &waiting, dir, name).map_err(naming)
    });
    if moved.is_err() {
        // Best effort: the next start clears the stage.
        let _ = layout::unlink(inner.layout.stage(), waiting.as_str());
    }
    moved
}

fn naming(name: &str, error: io::Error) -> StoreError {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return StoreError::Exists;
    }
    StoreError::io(format!("naming {name}"), error)
}

/// Takes back the names a failed commit has given, the manifest's first.
fn withdraw(inner: &Inner, id: &UploadId, linked: &[String]) {
    let Ok(Some(dir)) = inner.layout.prefix(id.prefix()) else {
        return;
    };
    for name in linked.iter().rev() {
        if let Err(error) = layout::unlink(&dir, name.as_str()) {
            tracing::error!(name, %error, "a failed upload left a file; the next look for orphans removes it");
        }
    }
    // Whoever removed the folder under us gets a new one at the next upload.
    inner.layout.forget_prefix(id.prefix());
}

/// Marks an upload as being committed: its files have no manifest and are no orphans.
struct Committing<'a> {
    inner: &'a Inner,
    id: UploadId,
}

impl<'a> Committing<'a> {
    fn new(inner: &'a Inner, id: UploadId) -> Self {
        inner.committing().insert(id);
        Committing { inner, id }
    }
}

impl Drop for Committing<'_> {
    fn drop(&mut self) {
        self.inner.committing().remove(&self.id);
    }
}

impl Inner {
    /// The uploads being committed.
    pub fn committing(&self) -> std::sync::MutexGuard<'_, std::collections::HashSet<UploadId>> {
        // A panic cannot leave the set half changed.
        self.committing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
