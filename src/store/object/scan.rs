//! Listing the folders of a bucket.

use std::collections::BTreeMap;

use super::inner::BucketInner;
use super::layout::name_of;
use super::listing::ListedObject;
use crate::model::{FileName, Prefix, Timestamp, UploadId};
use crate::store::names::{StoredName, read_name};
use crate::store::{Fingerprint, Orphan, ScannedUpload, StoreError};

/// The objects of one upload: in a listing they stand together, for S3 sorts by keys.
struct Group {
    id: UploadId,
    key: bool,
    files: Vec<FileName>,
    newest: Timestamp,
    /// The state in the listing; `None` when it lacks a size or an ETag.
    fingerprint: Option<Fingerprint>,
}

impl BucketInner {
    pub async fn scan(&self, prefix: Prefix) -> Result<Vec<ScannedUpload>, StoreError> {
        let mut found = Vec::new();
        self.groups(prefix, |group| {
            if group.key {
                found.push(ScannedUpload {
                    id: group.id,
                    files: !group.files.is_empty(),
                    fingerprint: group.fingerprint,
                });
            }
        })
        .await?;
        Ok(found)
    }

    pub async fn orphans(
        &self,
        prefix: Prefix,
        before: Timestamp,
    ) -> Result<Vec<Orphan>, StoreError> {
        let mut candidates: BTreeMap<UploadId, (Timestamp, Vec<FileName>)> = BTreeMap::new();
        self.groups(prefix, |group| {
            if !group.key {
                candidates.insert(group.id, (group.newest, group.files));
            }
        })
        .await?;
        let begin = format!("{}/", self.layout.folder(prefix));
        let unfinished = match self.unfinished(&begin).await {
            Ok(unfinished) => unfinished,
            // Beside a file that looks orphaned another one may be on its way.
            Err(error) => {
                tracing::warn!(%error, "cannot list uploads under way; orphaned files are kept for now");
                return Ok(Vec::new());
            }
        };
        for file in unfinished {
            let StoredName::File(id, _) = read_name(prefix, name_of(file.key.as_ref()).as_bytes())
            else {
                continue;
            };
            let (newest, _) = candidates.entry(id).or_default();
            *newest = (*newest).max(file.begun);
            if *newest < before && !self.is_under_way(&id) {
                *newest = (*newest).max(self.touched(&file).await);
            }
        }
        let mut orphans = Vec::new();
        for (id, (newest, files)) in candidates {
            if newest >= before || self.is_under_way(&id) {
                continue;
            }
            // In this order: a commit that has ended since has its manifest by now.
            match self.tagged(&id).await {
                Ok(None) => orphans.push(Orphan { id, files }),
                // It has a manifest or a tombstone: unfinished files are left over.
                Ok(Some(_)) => self.abort_unfinished(&id).await,
                Err(error @ StoreError::Damaged(_)) => {
                    tracing::error!(upload_id = %id, %error, "cannot read the manifest of these files; they are kept");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(orphans)
    }

    /// Calls `see` with the objects of each upload in one folder. No more than a page of the listing
    /// is in memory.
    async fn groups(&self, prefix: Prefix, mut see: impl FnMut(Group)) -> Result<(), StoreError> {
        let begin = format!("{}/", self.layout.folder(prefix));
        let mut current: Option<Group> = None;
        let mut token = None;
        loop {
            let (objects, next) = self.client.page(&begin, token.as_deref()).await?;
            for object in objects {
                let name = name_of(object.key.as_ref());
                // Others may have folders of their own below this one.
                if object.key.as_ref().len() != begin.len() + name.len() {
                    continue;
                }
                let entry = read_name(prefix, name.as_bytes());
                let id = match &entry {
                    StoredName::Manifest(id) | StoredName::File(id, _) => *id,
                    StoredName::Foreign => continue,
                };
                if current.as_ref().is_some_and(|group| group.id != id)
                    && let Some(group) = current.take()
                {
                    see(group);
                }
                current
                    .get_or_insert_with(|| Group::new(id))
                    .add(entry, &object);
            }
            token = next;
            if token.is_none() {
                break;
            }
        }
        if let Some(group) = current {
            see(group);
        }
        Ok(())
    }
}

impl Group {
    fn new(id: UploadId) -> Self {
        Group {
            id,
            key: false,
            files: Vec::new(),
            newest: Timestamp::default(),
            fingerprint: Some(Fingerprint::default()),
        }
    }

    fn add(&mut self, entry: StoredName, object: &ListedObject) {
        match entry {
            StoredName::Manifest(_) => {
                self.key = true;
                match (&mut self.fingerprint, &object.tag) {
                    (Some(fingerprint), Some(tag)) => fingerprint.set_key(tag),
                    _ => self.fingerprint = None,
                }
            }
            StoredName::File(_, name) => {
                match (&mut self.fingerprint, object.size) {
                    (Some(fingerprint), Some(size)) => fingerprint.add_file(&name, size),
                    _ => self.fingerprint = None,
                }
                self.files.push(name);
            }
            StoredName::Foreign => {}
        }
        self.newest = self.newest.max(object.changed);
    }
}
