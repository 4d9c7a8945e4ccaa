//! The commit: the files get their names, then the manifest is linked.

use std::sync::Arc;

use super::file::PendingLink;
use super::upload::StagedUpload;
use crate::model::{Manifest, Reason, Stored, Tombstone, UploadId};
use crate::store::disk::inner::{Committing, Inner};
use crate::store::disk::layout::{self, Folder};
use crate::store::disk::open_file::DirectFile;
use crate::store::disk::session::Session;
use crate::store::disk::threads::Disk;
use crate::store::{Replaced, StoreError, names, new_manifest};

/// An upload that is being made visible: its files get their names, and the manifest its content;
/// when all of that is durable, the manifest gets its name; then the names are made durable. The
/// files got theirs before the manifest, and in one folder no file system with a journal makes the
/// later name durable without the earlier; without a journal, the files' names are made durable
/// before the manifest gets its own.
pub struct Commit<'a> {
    inner: Arc<Inner>,
    upload: StagedUpload,
    manifest: &'a Manifest,
    session: Session,
    /// The names that it has given.
    linked: Vec<String>,
    _committing: Committing,
}

/// A manifest that waits for its name.
struct Ready<'a> {
    dir: Arc<Folder>,
    manifest: PendingLink<'a>,
}

impl<'a> Commit<'a> {
    pub fn new(
        inner: &Arc<Inner>,
        upload: StagedUpload,
        manifest: &'a Manifest,
        session: Session,
    ) -> Self {
        Commit {
            _committing: Committing::new(inner, upload.id),
            inner: Arc::clone(inner),
            upload,
            manifest,
            session,
            linked: Vec::new(),
        }
    }

    /// Commits. Blocks.
    pub fn run_blocking(mut self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        let result = self.prepare(&inner).and_then(|ready| {
            self.session.sync_contents(&ready.dir)?;
            let (dir, manifest) = self.publish(ready)?;
            self.session.sync_names(&dir, Some(&manifest))
        });
        self.end(result)
    }

    /// Commits as a task: it blocks for no longer than naming takes, and records how long that
    /// was. No other process may have the store.
    pub async fn run_async(mut self, disk: &Disk) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        let result = async {
            let mut timed = inner.state.naming.timed();
            let ready = timed.run(|| self.prepare(&inner))?;
            self.session.sync_contents_async().await?;
            let (dir, _) = timed.run(|| self.publish(ready))?;
            drop(timed);
            self.session.sync_names_async(&dir).await
        };
        let Err(error) = result.await else {
            return Ok(());
        };
        let (id, names) = (self.upload.id, self.names_to_withdraw(&error));
        // To remove the last name of a large file takes long.
        let withdraw = move |inner: &Arc<Inner>| {
            withdraw(inner, &id, &names);
            Ok(())
        };
        disk.run_blocking(withdraw).await?;
        Err(error)
    }

    /// Gives the files their names: without a manifest they are no upload. Writes the manifest,
    /// which has no name yet.
    fn prepare<'i>(&mut self, inner: &'i Inner) -> Result<Ready<'i>, StoreError> {
        let (id, prefix) = (self.upload.id, self.upload.id.prefix());
        let json = new_manifest(self.manifest)?;
        let opening = |error| StoreError::change(format!("opening the folder {prefix}"), error);
        let dir = inner.layout.make_prefix(prefix).map_err(opening)?;
        for file in std::mem::take(&mut self.upload.files) {
            let name = names::file_name(&id, &file.name);
            let buffer = &self.upload.buffer;
            let linked = file.state.link(inner, buffer, &id, &dir, &name)?;
            self.session.add(linked);
            self.linked.push(name);
            inner.reach("named a file");
        }
        let name = names::manifest_name(&id);
        let manifest = PendingLink::write(inner, &dir, &id, &json, &name)?;
        self.session.add(manifest.file.clone());
        inner.reach("written the manifest");
        Ok(Ready { dir, manifest })
    }

    /// Gives the manifest its name: from here on the upload exists.
    fn publish(&self, ready: Ready<'_>) -> Result<(Arc<Folder>, DirectFile), StoreError> {
        let age = self.upload.touched.elapsed();
        if self.inner.stale_after.is_some_and(|limit| age > limit) {
            return Err(StoreError::Stale(age));
        }
        let name = names::manifest_name(&self.upload.id);
        let manifest = ready.manifest.link(&ready.dir, &name)?;
        self.inner.reach("named the manifest");
        Ok((ready.dir, manifest))
    }

    /// Undoes a commit that failed.
    fn end(mut self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        let Err(error) = result else { return Ok(()) };
        if self.inner.is_shared() {
            return settle(&self.inner, self.manifest, &self.linked, error);
        }
        let names = self.names_to_withdraw(&error);
        withdraw(&self.inner, &self.upload.id, &names);
        Err(error)
    }

    /// The names to be removed after a failure, where no other process has the store.
    fn names_to_withdraw(&mut self, error: &StoreError) -> Vec<String> {
        let mut linked = std::mem::take(&mut self.linked);
        if !matches!(error, StoreError::Exists) {
            linked.push(names::manifest_name(&self.upload.id));
        }
        linked
    }
}

/// Decides the outcome of a commit that failed, or may have failed, where other processes may have
/// seen its manifest: by the content of its key.
fn settle(
    inner: &Inner,
    manifest: &Manifest,
    linked: &[String],
    error: StoreError,
) -> Result<(), StoreError> {
    let id = &manifest.id;
    let stored = match inner.read(id) {
        Ok(stored) => stored,
        Err(key_error) => {
            tracing::error!(upload_id = %id, %error, %key_error, "commit outcome unknown; its files are kept");
            return Err(error);
        }
    };
    let removed = match stored {
        // The manifest was created, and only the answer was lost.
        Some(Stored::Live(found)) if found == *manifest && matches!(error, StoreError::Exists) => {
            return Ok(());
        }
        Some(Stored::Live(found)) if found != *manifest => return Err(error),
        Some(Stored::Live(_)) => {
            let failed = Tombstone::of(manifest, Reason::Failed, manifest.created_at);
            inner.remove(&failed).map(drop)
        }
        None if linked.is_empty() => return Err(error),
        None => {
            let files = manifest.files().map(|(_, file)| file.name.clone());
            let orphaned = Tombstone::orphaned(*id, files.collect(), manifest.created_at);
            match inner.close_key(&orphaned) {
                // The manifest was created after all: the content of its key decides anew.
                Ok(Replaced::Changed) => return settle(inner, manifest, linked, error),
                closed => closed.and_then(|_| inner.remove_files(&orphaned)).map(drop),
            }
        }
        Some(Stored::Gone(_)) => {
            withdraw(inner, id, linked);
            return Err(error);
        }
    };
    if let Err(error) = removed {
        tracing::error!(upload_id = %id, %error, "cannot remove a failed upload; the next comparison removes it");
    }
    inner.layout.forget_prefix(id.prefix());
    Err(error)
}

/// Removes the names that a failed commit has given, the manifest's first.
fn withdraw(inner: &Inner, id: &UploadId, linked: &[String]) {
    let Ok(Some(dir)) = inner.layout.prefix(id.prefix()) else {
        return;
    };
    for name in linked.iter().rev() {
        if let Err(error) = layout::unlink(&dir, name.as_str()) {
            tracing::error!(name, %error, "cannot remove a file of a failed upload; the next search for orphans removes it");
        }
    }
    // The folder may have been removed meanwhile: the next upload makes a new one.
    inner.layout.forget_prefix(id.prefix());
}
