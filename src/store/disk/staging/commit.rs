//! The commit: files get their names, then the manifest is linked.

use std::sync::{Arc, PoisonError};

use super::prepared::Prepared;
use super::{Content, DiskStaged};
use crate::model::{Manifest, Reason, Stored, Tombstone, UploadId};
use crate::store::disk::closer::{OpenFile, Reached};
use crate::store::disk::key::naming;
use crate::store::disk::layout::{self, Folder};
use crate::store::disk::session::Session;
use crate::store::disk::threads::Disk;
use crate::store::disk::{Inner, Replaced, StoreError};
use crate::store::{names, to_json};

/// An upload that is being made visible: its files get their names, and the manifest its content;
/// when all of that is durable, the manifest gets its name; then the names are made durable. The files'
/// came before the manifest's, and in one folder no file system with a journal makes the later
/// durable without the earlier; where there is none, the files' names are durable before.
pub struct Commit<'a> {
    inner: Arc<Inner>,
    staged: DiskStaged,
    manifest: &'a Manifest,
    session: Session,
    /// The names it has given.
    linked: Vec<String>,
    _committing: Committing,
}

/// What a manifest needs to get its name.
struct Ready<'a> {
    dir: Arc<Folder>,
    prepared: Prepared<'a>,
}

impl<'a> Commit<'a> {
    pub fn new(
        inner: &Arc<Inner>,
        staged: DiskStaged,
        manifest: &'a Manifest,
        session: Session,
    ) -> Self {
        Commit {
            _committing: Committing::new(inner, staged.id),
            inner: Arc::clone(inner),
            staged,
            manifest,
            session,
            linked: Vec::new(),
        }
    }

    /// Commits. Blocks.
    pub fn by_thread(mut self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        let result = self.prepare(&inner).and_then(|ready| {
            self.session.contents(&ready.dir)?;
            let (dir, manifest) = self.publish(ready)?;
            self.session.name(&dir, Some(&manifest))
        });
        self.end(result)
    }

    /// Commits, for tasks: it blocks for no longer than naming takes, and tells the store how long
    /// that was. Nobody else may have the store.
    pub async fn by_task(mut self, disk: &Disk) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        let result = async {
            let mut trip = inner.state.naming.trip();
            let ready = trip.go(|| self.prepare(&inner))?;
            self.session.contents_by_tasks().await?;
            let (dir, _) = trip.go(|| self.publish(ready))?;
            drop(trip);
            self.session.name_by_tasks(&dir).await
        };
        let Err(error) = result.await else {
            return Ok(());
        };
        let (id, names) = (self.staged.id, self.withdrawn(&error));
        // Whose last name goes takes as long as it is large.
        let withdraw = move |inner: &Arc<Inner>| {
            withdraw(inner, &id, &names);
            Ok(())
        };
        disk.away(withdraw).await?;
        Err(error)
    }

    /// Gives the files their names: without a manifest they are no upload. And writes the
    /// manifest, which has none yet.
    fn prepare<'i>(&mut self, inner: &'i Inner) -> Result<Ready<'i>, StoreError> {
        let (id, prefix) = (self.staged.id, self.staged.id.prefix());
        let opening = |error| StoreError::change(format!("opening the folder {prefix}"), error);
        let dir = inner.layout.make_prefix(prefix).map_err(opening)?;
        for file in std::mem::take(&mut self.staged.files) {
            let name = names::file_name(&id, &file.name);
            self.place(inner, &dir, file.content, &name)?;
            self.linked.push(name);
            inner.reach("named a file");
        }
        let name = names::manifest_name(&id);
        let prepared = inner.prepare(&dir, &id, &to_json(self.manifest)?, &name)?;
        self.session.add(prepared.file.clone());
        inner.reach("written the manifest");
        Ok(Ready { dir, prepared })
    }

    /// Gives one file its name.
    fn place(
        &mut self,
        inner: &Inner,
        dir: &Folder,
        content: Content,
        name: &str,
    ) -> Result<(), StoreError> {
        let naming = |error| naming(name, error);
        let file = match content {
            Content::Gathered(range) => {
                let content = &self.staged.gathered[range];
                let prepared = inner.prepare(dir, &self.staged.id, content, name)?;
                prepared.give(dir, name)?
            }
            Content::Unnamed(file) => {
                layout::link_unnamed(file.get(inner), dir, name).map_err(naming)?;
                file.reached(inner)
            }
            Content::Named(waiting) => {
                let file = waiting.give(dir, name).map_err(naming)?;
                OpenFile::new(inner, file, u64::MAX).reached(inner)
            }
            Content::Leaving => unreachable!("a commit waits for what is leaving"),
        };
        self.session.add(file);
        Ok(())
    }

    /// Creates the manifest: the commit.
    fn publish(&self, ready: Ready<'_>) -> Result<(Arc<Folder>, Reached), StoreError> {
        let age = self.staged.touched.elapsed();
        if self.inner.stale_after.is_some_and(|limit| age > limit) {
            return Err(StoreError::Stale(age));
        }
        let name = names::manifest_name(&self.staged.id);
        let manifest = ready.prepared.give(&ready.dir, &name)?;
        self.inner.reach("named the manifest");
        Ok((ready.dir, manifest))
    }

    /// Takes back what a commit has done that failed.
    fn end(mut self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        let Err(error) = result else { return Ok(()) };
        if self.inner.is_shared() {
            return settle(&self.inner, self.manifest, &self.linked, error);
        }
        let names = self.withdrawn(&error);
        withdraw(&self.inner, &self.staged.id, &names);
        Err(error)
    }

    /// The names that are removed when it has failed, where no other process has the store.
    fn withdrawn(&mut self, error: &StoreError) -> Vec<String> {
        let mut linked = std::mem::take(&mut self.linked);
        if !matches!(error, StoreError::Exists) {
            linked.push(names::manifest_name(&self.staged.id));
        }
        linked
    }
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
pub struct Committing {
    inner: Arc<Inner>,
    id: UploadId,
}

impl Committing {
    pub fn new(inner: &Arc<Inner>, id: UploadId) -> Self {
        inner.committing().insert(id);
        Committing {
            inner: Arc::clone(inner),
            id,
        }
    }
}

impl Drop for Committing {
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
