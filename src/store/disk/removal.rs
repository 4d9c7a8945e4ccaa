//! Removal: first the manifest goes, or the tombstone takes its place, then the files go.

use super::inner::Inner;
use super::layout::{self, Folder};
use super::session::Session;
use super::staging::file::PendingLink;
use crate::model::{Stored, Timestamp, Tombstone, UploadId};
use crate::store::{Replaced, StoreError, names, to_json};

impl Inner {
    pub fn remove(&self, tombstone: &Tombstone) -> Result<Replaced, StoreError> {
        match tombstone.generation {
            1 => self.remove_orphan(tombstone),
            _ => self.remove_live(tombstone),
        }
    }

    fn remove_live(&self, tombstone: &Tombstone) -> Result<Replaced, StoreError> {
        let Some(key) = self.lock_key(&tombstone.id)? else {
            return Ok(Replaced::Gone);
        };
        match &key.stored {
            Stored::Gone(_) => return Ok(Replaced::Gone),
            Stored::Live(stored) if stored.generation + 1 != tombstone.generation => {
                return Ok(Replaced::Changed);
            }
            Stored::Live(_) => self.remove_key(&key.dir, tombstone)?,
        }
        Ok(Replaced::Done)
    }

    /// Removes what a locked key, which lies in `dir`, says of an upload, then its files.
    fn remove_key(&self, dir: &Folder, tombstone: &Tombstone) -> Result<(), StoreError> {
        if self.is_shared() {
            self.put(dir, &tombstone.id, &to_json(tombstone)?)?;
            self.remove_files(tombstone)?;
            return Ok(());
        }
        // Until the files are gone as well: a replay removes what is left of them.
        let recorded = self.record_removal(tombstone)?;
        self.unlink_key(dir, tombstone, recorded.is_some())?;
        self.remove_files(tombstone)?;
        Ok(())
    }

    pub fn remove_damaged(&self, id: UploadId, gone_at: Timestamp) -> Result<Replaced, StoreError> {
        let Some(key) = self.lock_raw(&id)? else {
            return Ok(Replaced::Gone);
        };
        match key.stored(&id) {
            Ok(Stored::Gone(_)) => return Ok(Replaced::Gone),
            Ok(Stored::Live(_)) => return Ok(Replaced::Changed),
            Err(why) => key.content.require_damaged(why)?,
        }
        let tombstone = Tombstone::damaged(id, self.files_of(&id)?, gone_at);
        self.remove_key(&key.dir, &tombstone)?;
        Ok(Replaced::Done)
    }

    fn remove_orphan(&self, tombstone: &Tombstone) -> Result<Replaced, StoreError> {
        if self.is_committing(&tombstone.id) {
            return Ok(Replaced::Changed);
        }
        let closed = self.close_key(tombstone)?;
        if closed == Replaced::Done {
            let _recorded = self.record_removal(tombstone)?;
            self.remove_files(tombstone)?;
        }
        Ok(closed)
    }

    /// Keeps the manifest of an upload from being created, as far as others could create it.
    pub fn close_key(&self, tombstone: &Tombstone) -> Result<Replaced, StoreError> {
        let id = &tombstone.id;
        if self.is_shared() {
            let prefix = id.prefix();
            let failed = |error| StoreError::change(format!("opening the folder {prefix}"), error);
            let dir = self.layout.make_prefix(prefix).map_err(failed)?;
            let mut session = Session::begin(&self.syncer, 0);
            let name = names::manifest_name(id);
            let pending = PendingLink::write(self, &dir, id, &to_json(tombstone)?, &name)?;
            session.add(pending.file.clone());
            session.sync_contents(&dir)?;
            match pending.link(&dir, &name) {
                Ok(file) => {
                    return session
                        .sync_names(&dir, Some(&file))
                        .map(|()| Replaced::Done);
                }
                Err(StoreError::Exists) => {}
                Err(error) => return Err(error),
            }
        }
        match self.read(id)? {
            None => Ok(Replaced::Done),
            Some(Stored::Live(_)) => Ok(Replaced::Changed),
            Some(Stored::Gone(_)) => Ok(Replaced::Gone),
        }
    }

    pub fn remove_files(&self, tombstone: &Tombstone) -> Result<u64, StoreError> {
        let id = &tombstone.id;
        let removing = |error| StoreError::change(format!("removing {id}"), error);
        if tombstone.generation == 1 {
            self.layout.clear_staged(id).map_err(removing)?;
        }
        let Some(dir) = self.layout.prefix(id.prefix()).map_err(removing)? else {
            return Ok(0);
        };
        let mut removed = 0;
        for file in &tombstone.files {
            let name = names::file_name(id, file);
            match layout::unlink(&dir, name.as_str()) {
                Ok(true) => removed += 1,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(name, %error, "cannot remove a file of a removed upload; the next comparison removes it");
                }
            }
            self.file_cache.remove(id, file);
        }
        Ok(removed)
    }

    pub fn remove_tombstone(&self, tombstone: &Tombstone) -> Result<(), StoreError> {
        let Some(key) = self.lock_key(&tombstone.id)? else {
            return Ok(());
        };
        match &key.stored {
            Stored::Gone(_) => {
                let recorded = self.record_removal(tombstone)?;
                self.unlink_key(&key.dir, tombstone, recorded.is_some())
            }
            Stored::Live(_) => Ok(()),
        }
    }

    /// Removes the name of a key; `recorded` says that the journal has made this durable.
    fn unlink_key(
        &self,
        dir: &Folder,
        tombstone: &Tombstone,
        recorded: bool,
    ) -> Result<(), StoreError> {
        let id = &tombstone.id;
        layout::unlink(dir, names::manifest_name(id).as_str())
            .map_err(|error| StoreError::change(format!("removing {id}"), error))?;
        match recorded {
            true => Ok(()),
            false => Session::begin(&self.syncer, 0).sync_names(dir, None),
        }
    }
}
