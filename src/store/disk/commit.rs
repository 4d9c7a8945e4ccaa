//! The commit: files get their names, then the manifest is linked.

use std::sync::{Arc, PoisonError};

use super::key::naming;
use super::layout::{self, Folder};
use super::staged::{Content, DiskStaged};
use super::sync::Session;
use super::{Inner, Replaced, StoreError};
use crate::model::{Manifest, Reason, Stored, Tombstone, UploadId};
use crate::store::{names, to_json};

/// Makes an upload visible. Blocks.
pub fn commit(mut staged: DiskStaged, manifest: &Manifest) -> Result<(), StoreError> {
    let inner = std::sync::Arc::clone(&staged.inner);
    let _committing = Committing::new(&inner, staged.id);
    inner.space.check()?;
    let mut linked = Vec::new();
    let mut session = inner.syncer.session(staged.files.len());
    let result = name_files(&inner, &mut session, &mut staged, &mut linked)
        .and_then(|dir| publish(&inner, &mut session, &dir, &staged, manifest));
    match result {
        Err(error) if inner.is_shared() => settle(&inner, manifest, &linked, error),
        Err(error) => {
            if !matches!(error, StoreError::Exists) {
                linked.push(names::manifest_name(&staged.id));
            }
            withdraw(&inner, &staged.id, &linked);
            Err(error)
        }
        Ok(()) => Ok(()),
    }
}

/// Gives the files their names: without a manifest they are no upload.
fn name_files(
    inner: &Inner,
    session: &mut Session<'_>,
    staged: &mut DiskStaged,
    linked: &mut Vec<String>,
) -> Result<Arc<Folder>, StoreError> {
    let id = staged.id;
    let dir = inner
        .layout
        .make_prefix(id.prefix())
        .map_err(|error| StoreError::io(format!("opening the folder {}", id.prefix()), error))?;
    for file in std::mem::take(&mut staged.files) {
        let name = names::file_name(&id, &file.name);
        let placed = place(
            inner,
            session,
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
    Ok(dir)
}

/// Creates the manifest: the commit. It gets its name when all content is durable, its own too;
/// then the names are made durable. The files' came before the manifest's, and in one folder no
/// file system with a journal makes the later durable without the earlier.
fn publish(
    inner: &Inner,
    session: &mut Session<'_>,
    dir: &Folder,
    staged: &DiskStaged,
    manifest: &Manifest,
) -> Result<(), StoreError> {
    let name = names::manifest_name(&staged.id);
    let prepared = inner.prepare(dir, &staged.id, &to_json(manifest)?, &name)?;
    session.add(Arc::clone(&prepared.file));
    session.contents()?;
    let age = staged.touched.elapsed();
    if inner.stale_after.is_some_and(|limit| age > limit) {
        return Err(StoreError::Stale(age));
    }
    prepared.give(dir, &name)?;
    session.names(dir)
}

/// What becomes of a commit that failed, or of which nobody knows, where others may have seen
/// its manifest: what stands at the key decides.
fn settle(
    inner: &Inner,
    manifest: &Manifest,
    linked: &[String],
    error: StoreError,
) -> Result<(), StoreError> {
    let id = &manifest.id;
    let stored = match inner.read(id) {
        Ok(stored) => stored,
        Err(unknown) => {
            tracing::error!(%id, %error, %unknown, "nobody knows whether an upload was committed; everything stays");
            return Err(error);
        }
    };
    let buried = match stored {
        // The answer to the creation was lost, and the creation was not.
        Some(Stored::Live(found)) if found == *manifest && matches!(error, StoreError::Exists) => {
            return Ok(());
        }
        Some(Stored::Live(found)) if found != *manifest => return Err(error),
        Some(Stored::Live(_)) => {
            let failed = Tombstone::of(manifest, Reason::Failed, manifest.created_at);
            inner.bury(&failed).map(drop)
        }
        None if linked.is_empty() => return Err(error),
        None => {
            let files = manifest.files().map(|(_, file)| file.name.clone());
            let orphaned = Tombstone::orphaned(*id, files.collect(), manifest.created_at);
            match inner.close_key(&orphaned) {
                // It has come after all: what stands there now decides.
                Ok(Replaced::Changed) => return settle(inner, manifest, linked, error),
                closed => closed.and_then(|_| inner.clear(&orphaned)).map(drop),
            }
        }
        Some(Stored::Gone(_)) => {
            withdraw(inner, id, linked);
            return Err(error);
        }
    };
    if let Err(unknown) = buried {
        tracing::error!(%id, %unknown, "a failed upload stays until the next comparison");
    }
    inner.layout.forget_prefix(id.prefix());
    Err(error)
}

/// Gives one file its name.
fn place(
    inner: &Inner,
    session: &mut Session<'_>,
    dir: &Folder,
    id: &UploadId,
    gathered: &[u8],
    content: &Content,
    name: &str,
) -> Result<(), StoreError> {
    let naming = |error| naming(name, error);
    let file = match content {
        Content::Gathered(range) => {
            let prepared = inner.prepare(dir, id, &gathered[range.clone()], name)?;
            let file = Arc::clone(&prepared.file);
            prepared.give(dir, name)?;
            file
        }
        Content::Unnamed(file, _permit) => {
            layout::link_unnamed(file, dir, name).map_err(naming)?;
            Arc::clone(file)
        }
        Content::Named(waiting) => {
            let stage = inner.layout.stage();
            let file = layout::open_regular(stage, waiting).map_err(naming)?;
            let file = file
                .ok_or_else(|| StoreError::Damaged(format!("{waiting} is missing in the stage")))?;
            layout::rename_new(stage, waiting, dir, name).map_err(naming)?;
            Arc::new(file)
        }
    };
    session.add(file);
    Ok(())
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
