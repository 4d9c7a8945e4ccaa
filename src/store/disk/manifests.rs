//! Manifests: read, replaced, removed, listed.

use std::collections::HashSet;
use std::io::{self, Read as _};
use std::sync::{MutexGuard, PoisonError};

use rustix::fs::Dir;

use super::layout::{self, Entry, Folder};
use super::writer::write_at;
use super::{Inner, Replaced, StoreError};
use crate::model::{Manifest, Prefix, SCHEMA, Timestamp, UploadId};

/// A manifest as it is stored.
pub fn to_json(manifest: &Manifest) -> Result<Vec<u8>, StoreError> {
    let json = serde_json::to_vec(manifest);
    json.map_err(|error| StoreError::io("writing the manifest", io::Error::other(error)))
}

impl Inner {
    pub fn manifest(&self, id: &UploadId) -> Result<Option<Manifest>, StoreError> {
        let name = layout::manifest_name(id);
        let opening = |error| StoreError::io(format!("reading {name}"), error);
        let Some(dir) = self.layout.prefix(id.prefix()).map_err(opening)? else {
            return Ok(None);
        };
        let Some(mut file) = layout::open_regular(&dir, &name).map_err(opening)? else {
            return Ok(None);
        };
        let mut json = Vec::new();
        file.read_to_end(&mut json).map_err(opening)?;
        let manifest: Manifest = serde_json::from_slice(&json)
            .map_err(|error| StoreError::Damaged(format!("{name} is no manifest: {error}")))?;
        if manifest.schema > SCHEMA || manifest.id != *id {
            return Err(StoreError::Damaged(format!(
                "{name} is of a newer version, or of another upload"
            )));
        }
        Ok(Some(manifest))
    }

    pub fn replace(&self, manifest: &Manifest) -> Result<Replaced, StoreError> {
        let id = &manifest.id;
        let _guard = self.exclusive(id.prefix());
        match self.manifest(id)? {
            None => return Ok(Replaced::Gone),
            Some(stored) if stored.generation + 1 != manifest.generation => {
                return Ok(Replaced::Changed);
            }
            Some(_) => {}
        }
        let name = layout::manifest_name(id);
        let replacing = |error| StoreError::io(format!("replacing {name}"), error);
        let dir = self.layout.make_prefix(id.prefix()).map_err(replacing)?;
        let session = self.syncer.session(0);
        let (file, waiting) = self.layout.create_staged(id).map_err(replacing)?;
        let stage = self.layout.stage();
        let renamed = write_at(&file, &to_json(manifest)?, 0)
            .and_then(|()| session.content(&file))
            .and_then(|()| {
                rustix::fs::renameat(stage, &waiting, &dir, &name)
                    .map_err(|error| replacing(error.into()))
            });
        if renamed.is_err() {
            // Best effort: the next start clears the stage.
            let _ = layout::unlink(stage, waiting.as_str());
        }
        renamed?;
        session.names(&dir)?;
        Ok(Replaced::Done)
    }

    pub fn remove(&self, id: &UploadId) -> Result<bool, StoreError> {
        let _guard = self.exclusive(id.prefix());
        let name = layout::manifest_name(id);
        let removing = |error| StoreError::io(format!("removing {id}"), error);
        let Some(dir) = self.layout.prefix(id.prefix()).map_err(removing)? else {
            return Ok(false);
        };
        // A manifest that cannot be understood goes too; its files are then orphans.
        let manifest = self.manifest(id).ok().flatten();
        if !layout::unlink(&dir, name.as_str()).map_err(removing)? {
            return Ok(false);
        }
        self.syncer.session(0).names(&dir)?;
        for (_, file) in manifest.iter().flat_map(Manifest::files) {
            let name = layout::file_name(id, &file.name);
            if let Err(error) = layout::unlink(&dir, name.as_str()) {
                tracing::warn!(name, %error, "a file of a removed upload stays; the next look for orphans removes it");
            }
        }
        Ok(true)
    }

    pub fn scan(&self, prefix: Prefix) -> Result<Vec<UploadId>, StoreError> {
        let mut found = Vec::new();
        self.entries(prefix, |_, entry, _| {
            if let Entry::Manifest(id) = entry {
                found.push(id);
            }
            Ok(())
        })?;
        Ok(found)
    }

    pub fn remove_orphans(&self, prefix: Prefix, before: Timestamp) -> Result<u64, StoreError> {
        let mut manifests = HashSet::new();
        let mut files = Vec::new();
        self.entries(prefix, |_, entry, name| {
            match entry {
                Entry::Manifest(id) => drop(manifests.insert(id)),
                Entry::File(id) => files.push((id, name.to_owned())),
                Entry::Foreign => {}
            }
            Ok(())
        })?;
        files.retain(|(id, _)| !manifests.contains(id));
        let Some(dir) = self.layout.prefix(prefix).map_err(|e| listing(prefix, e))? else {
            return Ok(0);
        };
        let mut removed = 0;
        for (id, name) in files {
            if self.is_orphan(&dir, &id, &name, before)?
                && layout::unlink(&dir, name.as_c_str()).map_err(|e| listing(prefix, e))?
            {
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Whether a file seen without a manifest has none and gets none. In this order: a commit
    /// that has ended since has its manifest by now.
    fn is_orphan(
        &self,
        dir: &Folder,
        id: &UploadId,
        name: &std::ffi::CStr,
        before: Timestamp,
    ) -> Result<bool, StoreError> {
        let looking = |error| StoreError::io(format!("looking at {id}"), error);
        if self.committing().contains(id) {
            return Ok(false);
        }
        if layout::open_regular(dir, &layout::manifest_name(id))
            .map_err(looking)?
            .is_some()
        {
            return Ok(false);
        }
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        match rustix::fs::statat(dir, name, flags) {
            // Linking a file changes its status, so that is when it was last touched.
            Ok(stat) => {
                let regular = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
                let touched = stat.st_ctime * 1000 + stat.st_ctime_nsec as i64 / 1_000_000;
                Ok(regular && touched < before.as_millis())
            }
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(looking(error.into())),
        }
    }

    /// Calls `see` with every name in one folder.
    fn entries(
        &self,
        prefix: Prefix,
        mut see: impl FnMut(&Folder, Entry, &std::ffi::CStr) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let listing = |error| listing(prefix, error);
        let Some(dir) = self.layout.prefix(prefix).map_err(listing)? else {
            return Ok(());
        };
        for entry in Dir::read_from(&*dir).map_err(|error| listing(error.into()))? {
            let entry = entry.map_err(|error| listing(error.into()))?;
            see(
                &dir,
                layout::read_name(prefix, entry.file_name()),
                entry.file_name(),
            )?;
        }
        Ok(())
    }

    fn exclusive(&self, prefix: Prefix) -> MutexGuard<'_, ()> {
        self.replacing[prefix.index()]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn listing(prefix: Prefix, error: io::Error) -> StoreError {
    StoreError::io(format!("listing {prefix}"), error)
}
