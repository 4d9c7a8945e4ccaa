//! The commit: the files get their names, then the manifest is linked.
//!
//! It is durable by syncs of its own, or by one record of the journal, which a small upload fits into.

use std::sync::Arc;

use super::file::{FileState, PendingLink};
use super::upload::StagedUpload;
use crate::model::{Manifest, Reason, Stored, Tombstone, UploadId};
use crate::store::disk::inner::{Committing, Inner};
use crate::store::disk::journal::{Body, Journal, Recorded, Refused};
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
///
/// With a journal the manifest gets its name when the record of the upload is durable. So whatever
/// names a power cut leaves, an upload that has its manifest is in the journal, whole.
pub struct Commit<'a> {
    inner: Arc<Inner>,
    upload: StagedUpload,
    manifest: &'a Manifest,
    syncs: Syncs,
    /// Its record, which is durable.
    recorded: Option<Recorded>,
    /// The names that it has given.
    linked: Vec<String>,
    _committing: Committing,
}

/// What makes a commit durable.
pub enum Syncs {
    /// Syncs of what it has written.
    Own(Session),
    /// A record in the journal.
    Journal(Arc<Journal>),
}

impl Syncs {
    /// Whether a task can wait for it.
    pub fn is_async(&self) -> bool {
        match self {
            Syncs::Own(session) => session.is_async(),
            Syncs::Journal(_) => true,
        }
    }
}

/// A manifest that waits for its name.
struct Ready<'a> {
    dir: Arc<Folder>,
    manifest: PendingLink<'a>,
    /// Its record for the journal.
    body: Option<Body>,
}

impl<'a> Commit<'a> {
    pub fn new(
        inner: &Arc<Inner>,
        upload: StagedUpload,
        manifest: &'a Manifest,
        syncs: Syncs,
    ) -> Self {
        Commit {
            _committing: Committing::new(inner, upload.id),
            inner: Arc::clone(inner),
            upload,
            manifest,
            syncs,
            recorded: None,
            linked: Vec::new(),
        }
    }

    /// Commits. Blocks.
    pub fn run_blocking(mut self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        let result = self.prepare(&inner).and_then(|mut ready| {
            if let (Syncs::Journal(journal), Some(body)) = (&self.syncs, ready.body.take()) {
                let answer = journal.append_blocking(body);
                self.take_answer(answer)?;
            }
            if let Syncs::Own(session) = &mut self.syncs {
                session.sync_contents(&ready.dir)?;
            }
            let (dir, manifest) = self.publish(ready)?;
            match &self.syncs {
                Syncs::Own(session) => session.sync_names(&dir, Some(&manifest)),
                Syncs::Journal(_) => Ok(()),
            }
        });
        self.end(result)
    }

    /// Commits as a task: it blocks for no longer than naming takes, and records how long that
    /// was. No other process may have the store.
    pub async fn run_async(mut self, disk: &Disk) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        let result = async {
            let mut timed = inner.state.naming.timed();
            let mut ready = timed.run(|| self.prepare(&inner))?;
            if let (Syncs::Journal(journal), Some(body)) = (&self.syncs, ready.body.take()) {
                let answer = journal.append(body).await;
                self.take_answer(answer)?;
            }
            if let Syncs::Own(session) = &self.syncs {
                session.sync_contents_async().await?;
            }
            let (dir, _) = timed.run(|| self.publish(ready))?;
            drop(timed);
            match &self.syncs {
                Syncs::Own(session) => session.sync_names_async(&dir).await,
                Syncs::Journal(_) => Ok(()),
            }
        };
        let Err(error) = result.await else {
            return Ok(());
        };
        let (id, names) = (self.upload.id, self.names_to_withdraw(&error));
        let recorded = self.recorded.take();
        let failed = recorded.map(|recorded| (recorded, self.failed()));
        // To remove the last name of a large file takes long.
        let withdraw = move |inner: &Arc<Inner>| {
            let _recorded = failed.map(|(recorded, failed)| {
                unrecord(inner, &failed);
                recorded
            });
            withdraw(inner, &id, &names);
            Ok(())
        };
        disk.run_blocking(withdraw).await?;
        Err(error)
    }

    /// Takes what the journal has answered. Where it has no room, the commit syncs for itself.
    fn take_answer(&mut self, answer: Result<Recorded, Refused>) -> Result<(), StoreError> {
        match answer {
            Ok(recorded) => self.recorded = Some(recorded),
            Err(Refused::NoRoom) => self.syncs = Syncs::Own(Session::shared(&self.inner.syncer)),
            Err(Refused::Failed(why)) => return Err(StoreError::Unwritable(why)),
        }
        Ok(())
    }

    /// Its record, if the journal is to have one.
    fn body(&mut self, json: &[u8], sizes: &[u32]) -> Option<Body> {
        let Syncs::Journal(journal) = &self.syncs else {
            return None;
        };
        let contents = std::mem::take(&mut self.upload.buffer);
        let body = Body::commit(&self.upload.id, json, sizes, contents.into());
        if journal.takes(body.len()) {
            return Some(body);
        }
        self.syncs = Syncs::Own(Session::shared(&self.inner.syncer));
        None
    }

    /// What is recorded of it when it fails.
    fn failed(&self) -> Tombstone {
        Tombstone::of(self.manifest, Reason::Failed, self.manifest.created_at)
    }

    /// Gives the files their names: without a manifest they are no upload. Writes the manifest,
    /// which has no name yet.
    fn prepare<'i>(&mut self, inner: &'i Inner) -> Result<Ready<'i>, StoreError> {
        let (id, prefix) = (self.upload.id, self.upload.id.prefix());
        let json = new_manifest(self.manifest)?;
        let opening = |error| StoreError::change(format!("opening the folder {prefix}"), error);
        let dir = inner.layout.make_prefix(prefix).map_err(opening)?;
        let mut sizes = Vec::new();
        for file in std::mem::take(&mut self.upload.files) {
            if let FileState::Buffered(range) = &file.state {
                sizes.push(range.len() as u32);
            }
            let name = names::file_name(&id, &file.name);
            let buffer = &self.upload.buffer;
            let linked = file.state.link(inner, buffer, &id, &dir, &name)?;
            if let Syncs::Own(session) = &mut self.syncs {
                session.add(linked);
            }
            self.linked.push(name);
            inner.reach("named a file");
        }
        let name = names::manifest_name(&id);
        let manifest = PendingLink::write(inner, &dir, &id, &json, &name)?;
        if let Syncs::Own(session) = &mut self.syncs {
            session.add(manifest.file.clone());
        }
        inner.reach("written the manifest");
        let body = self.body(&json, &sizes);
        Ok(Ready {
            dir,
            manifest,
            body,
        })
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
        if self.recorded.is_some() {
            unrecord(&self.inner, &self.failed());
        }
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

/// Records that an upload whose record is durable was not stored all the same. Best effort: without a
/// 2xx it may be there, whole.
fn unrecord(inner: &Inner, failed: &Tombstone) {
    if let Err(error) = inner.record_removal(failed) {
        tracing::debug!(upload_id = %failed.id, %error, "a failed upload stays in the journal");
    }
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
