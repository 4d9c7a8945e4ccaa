//! Listings of the folders: uploads, and files that belong to none.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{CStr, CString};
use std::io;

use rustix::fs::{AtFlags, Dir, FileType};

use super::inner::Inner;
use super::layout::{self, Folder};
use crate::model::{FileName, Prefix, Timestamp, UploadId};
use crate::store::names::{self, StoredName};
use crate::store::{Orphan, ScannedUpload, StoreError};

impl Inner {
    pub fn scan(&self, prefix: Prefix) -> Result<Vec<ScannedUpload>, StoreError> {
        let (mut keys, mut with_files) = (Vec::new(), HashSet::new());
        self.entries(prefix, |entry, _| match entry {
            StoredName::Manifest(id) => keys.push(id),
            StoredName::File(id, _) => drop(with_files.insert(id)),
            StoredName::Foreign => {}
        })?;
        let found = keys.into_iter().map(|id| ScannedUpload {
            id,
            files: with_files.contains(&id),
            fingerprint: None,
        });
        Ok(found.collect())
    }

    /// The files that lie under the id of an upload.
    pub fn files_of(&self, id: &UploadId) -> Result<Vec<FileName>, StoreError> {
        let mut files = Vec::new();
        self.entries(id.prefix(), |entry, _| match entry {
            StoredName::File(of, name) if of == *id => files.push(name),
            _ => {}
        })?;
        Ok(files)
    }

    pub fn orphans(&self, prefix: Prefix, before: Timestamp) -> Result<Vec<Orphan>, StoreError> {
        let mut keys = HashSet::new();
        let mut files: BTreeMap<UploadId, Vec<(FileName, CString)>> = BTreeMap::new();
        let dir = self.entries(prefix, |entry, name| match entry {
            StoredName::Manifest(id) => drop(keys.insert(id)),
            StoredName::File(id, file) => {
                let name = name.to_owned();
                files.entry(id).or_default().push((file, name));
            }
            StoredName::Foreign => {}
        })?;
        let mut orphans = Vec::new();
        for (id, files) in files.into_iter().filter(|(id, _)| !keys.contains(id)) {
            let Some(dir) = &dir else { break };
            if self.is_orphan(dir, &id, &files, before)? {
                let files = files.into_iter().map(|(file, _)| file).collect();
                orphans.push(Orphan { id, files });
            }
        }
        if self.is_shared() {
            self.stale_staged(prefix, before, &mut orphans)?;
        }
        Ok(orphans)
    }

    /// Whether files seen without a manifest have none and get none. The commits under way come
    /// first: one that has ended since has its manifest by now.
    fn is_orphan(
        &self,
        dir: &Folder,
        id: &UploadId,
        files: &[(FileName, CString)],
        before: Timestamp,
    ) -> Result<bool, StoreError> {
        let looking = |error| StoreError::io(format!("looking at {id}"), error);
        if self.is_committing(id) {
            return Ok(false);
        }
        let key = layout::open_regular(dir, &names::manifest_name(id)).map_err(looking)?;
        if key.is_some() {
            return Ok(false);
        }
        for (_, name) in files {
            let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(rustix::io::Errno::NOENT) => return Ok(false),
                Err(error) => return Err(looking(error.into())),
            };
            let regular = FileType::from_raw_mode(stat.st_mode).is_file();
            if !regular || touched(&stat) >= before {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Adds to `orphans` each upload that has files in the stage, none of them touched since
    /// `before`, and no key. In a store that is not shared the start has cleared the stage.
    fn stale_staged(
        &self,
        prefix: Prefix,
        before: Timestamp,
        orphans: &mut Vec<Orphan>,
    ) -> Result<(), StoreError> {
        let listing = |error| StoreError::io("listing the stage", error);
        let mut newest: BTreeMap<UploadId, Timestamp> = BTreeMap::new();
        for (id, stat) in self.layout.staged().map_err(listing)? {
            if id.prefix() == prefix {
                let seen = newest.entry(id).or_insert(touched(&stat));
                *seen = (*seen).max(touched(&stat));
            }
        }
        for (id, touched) in newest {
            let known = orphans.iter().any(|orphan| orphan.id == id);
            if touched >= before || known {
                continue;
            }
            match self.read(&id) {
                Ok(None) => orphans.push(Orphan {
                    id,
                    files: Vec::new(),
                }),
                // The stored upload is whole: a crash cut a replacement of its key short.
                Ok(Some(_)) => self.layout.clear_staged(&id).map_err(listing)?,
                Err(error) => {
                    tracing::error!(upload_id = %id, %error, "cannot tell whether a file in the stage belongs to an upload; it stays")
                }
            }
        }
        Ok(())
    }

    /// Calls `see` with every name in one folder; answers the folder.
    fn entries(
        &self,
        prefix: Prefix,
        mut see: impl FnMut(StoredName, &CStr),
    ) -> Result<Option<std::sync::Arc<Folder>>, StoreError> {
        let listing = |error: io::Error| StoreError::io(format!("listing {prefix}"), error);
        let Some(dir) = self.layout.prefix(prefix).map_err(listing)? else {
            return Ok(None);
        };
        for entry in Dir::read_from(&*dir).map_err(|error| listing(error.into()))? {
            let entry = entry.map_err(|error| listing(error.into()))?;
            let name = entry.file_name();
            see(names::read_name(prefix, name.to_bytes()), name);
        }
        Ok(Some(dir))
    }
}

/// When a file was written, linked or renamed last: each changes its status.
fn touched(stat: &rustix::fs::Stat) -> Timestamp {
    Timestamp::from_millis(stat.st_ctime * 1000 + stat.st_ctime_nsec as i64 / 1_000_000)
}
