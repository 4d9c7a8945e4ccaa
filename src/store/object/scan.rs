//! What lies in the folders of a bucket.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use object_store::{Error, ObjectMeta};

use super::Inner;
use super::error::sort;
use super::layout::name_of;
use crate::model::{FileName, Prefix, Timestamp, UploadId};
use crate::store::names::{Entry, read_name};
use crate::store::{Found, Orphan, StoreError};

/// The objects of one upload: in a listing they stand together, for S3 sorts by keys.
struct Group {
    id: UploadId,
    key: bool,
    files: Vec<FileName>,
    newest: Timestamp,
}

impl Inner {
    pub async fn scan(&self, prefix: Prefix) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        self.groups(prefix, |group| {
            if group.key {
                let (id, files) = (group.id, !group.files.is_empty());
                found.push(Found { id, files });
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
        for unfinished in self
            .unfinished(&format!("{}/", self.layout.folder(prefix)))
            .await?
        {
            let Entry::File(id, _) = read_name(prefix, name_of(unfinished.key.as_ref()).as_bytes())
            else {
                continue;
            };
            let (newest, _) = candidates.entry(id).or_default();
            *newest = (*newest).max(unfinished.begun);
        }
        let mut orphans = Vec::new();
        for (id, (newest, files)) in candidates {
            if newest >= before || self.is_under_way(&id) {
                continue;
            }
            // In this order: a commit that has ended since has its manifest by now.
            match self.tagged(&id).await {
                Ok(None) => orphans.push(Orphan { id, files }),
                // The rest of what is there, or was.
                Ok(Some(_)) => self.abort_unfinished(&id).await?,
                Err(error @ StoreError::Damaged(_)) => {
                    tracing::error!(%id, %error, "cannot tell whose files these are");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(orphans)
    }

    async fn abort_unfinished(&self, id: &UploadId) -> Result<(), StoreError> {
        for unfinished in self.unfinished(&self.layout.files(id)).await? {
            self.client.abort(&unfinished.key, &unfinished.upload).await;
        }
        Ok(())
    }

    /// Calls `see` with what each upload has in one folder. No more than a page of the listing
    /// is held.
    async fn groups(&self, prefix: Prefix, mut see: impl FnMut(Group)) -> Result<(), StoreError> {
        let folder = self.layout.folder(prefix);
        let listing = |error: Error| sort(&format!("listing {folder}"), &error);
        let mut objects = self.client.list(&folder);
        let mut current: Option<Group> = None;
        while let Some(object) = objects.try_next().await.map_err(listing)? {
            // Not what others have put into folders of their own below this one.
            if object.location.as_ref().len()
                != folder.as_ref().len() + 1 + name_of(object.location.as_ref()).len()
            {
                continue;
            }
            let entry = read_name(prefix, name_of(object.location.as_ref()).as_bytes());
            let id = match &entry {
                Entry::Manifest(id) | Entry::File(id, _) => *id,
                Entry::Foreign => continue,
            };
            if current.as_ref().is_some_and(|group| group.id != id)
                && let Some(group) = current.take()
            {
                see(group);
            }
            let group = current.get_or_insert_with(|| Group::new(id));
            group.add(entry, &object);
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
        }
    }

    fn add(&mut self, entry: Entry, object: &ObjectMeta) {
        match entry {
            Entry::Manifest(_) => self.key = true,
            Entry::File(_, name) => self.files.push(name),
            Entry::Foreign => {}
        }
        let changed = Timestamp::from_millis(object.last_modified.timestamp_millis());
        self.newest = self.newest.max(changed);
    }
}
