//! Which uploads are to be copied: both stores, folder by folder.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::tally::Tally;
use crate::model::{Clock, Manifest, Prefix, Reason, Stored, UploadId};
use crate::repository::{Removed, Repository};
use crate::store::{Replaced, Store, StoreError};

/// How many uploads are copied at once: a bucket takes long for each, and a disk syncs many together.
const AT_ONCE: usize = 16;
/// How many folders are listed ahead of the uploads that are copied.
const LISTED_AHEAD: usize = 4;
/// Beyond the times that the files can have: no other process has the folder, so that whatever
/// belongs to no upload was left by a copy that was cut off.
const FUTURE: Duration = Duration::from_secs(24 * 3600);

/// A copy under way.
pub struct Walk {
    pub source: Arc<dyn Store>,
    pub target: Repository,
    pub clock: Clock,
    /// Whether what is only at the target is removed.
    pub delete: bool,
    pub tally: Arc<Tally>,
}

/// An upload of one of the stores.
struct Found {
    id: UploadId,
    /// Whether the source lists it, and the target.
    here: bool,
    there: bool,
}

impl Walk {
    /// Copies everything. Damage is reported and passed over.
    ///
    /// # Errors
    /// One of the stores fails.
    pub async fn run(&self) -> anyhow::Result<()> {
        let folders = stream::iter(Prefix::all())
            .map(|prefix| self.list(prefix))
            .buffered(LISTED_AHEAD);
        let uploads = folders.map_ok(|found| stream::iter(found.into_iter().map(Ok)));
        uploads
            .try_flatten()
            .try_for_each_concurrent(AT_ONCE, |found| self.settle(found))
            .await
    }

    /// The uploads in one folder of both stores.
    async fn list(&self, prefix: Prefix) -> anyhow::Result<Vec<Found>> {
        let target = &**self.target.store();
        if target.local().is_some() {
            let before = self.clock.now().after(FUTURE);
            for orphan in target.orphans(prefix, before).await? {
                self.target.remove_orphan(orphan).await?;
            }
        }
        let source = self.source.scan(prefix).await.context(SOURCE)?;
        let there = target.scan(prefix).await.context(TARGET)?;
        let mut there: HashSet<UploadId> = there.into_iter().map(|found| found.id).collect();
        let mut found: Vec<Found> = source
            .into_iter()
            .map(|listed| Found {
                id: listed.id,
                here: true,
                there: there.remove(&listed.id),
            })
            .collect();
        found.extend(there.into_iter().map(|id| Found {
            id,
            here: false,
            there: true,
        }));
        self.tally.listed();
        Ok(found)
    }

    /// Has one upload at the target as it is at the source.
    async fn settle(&self, found: Found) -> anyhow::Result<()> {
        let id = &found.id;
        let here = match found.here {
            true => self.source.read(id).await,
            false => Ok(None),
        };
        let here = match here {
            Err(error @ (StoreError::Damaged(_) | StoreError::Io { .. })) => {
                return self.tally.failed(id, &error.to_string());
            }
            here => here.context(SOURCE)?,
        };
        let there = match found.there {
            true => self.target.store().read(id).await,
            false => Ok(None),
        };
        let there = match there {
            Err(error @ (StoreError::Damaged(_) | StoreError::Io { .. })) => {
                return self
                    .tally
                    .failed(id, &format!("in the second store: {error}"));
            }
            there => there.context(TARGET)?,
        };
        match (here, there) {
            (Some(Stored::Live(here)), None) => self.bring(here).await,
            (Some(Stored::Live(here)), Some(Stored::Live(there))) => self.renew(here, &there).await,
            (Some(Stored::Live(_)), Some(Stored::Gone(_))) => {
                self.tally.deleted_there();
                Ok(())
            }
            (Some(Stored::Gone(tombstone)), Some(Stored::Live(_))) => {
                self.remove(id, tombstone.gone).await
            }
            (None, Some(Stored::Live(_))) if !self.delete => {
                self.tally.only_there();
                Ok(())
            }
            (None, Some(Stored::Live(_))) => self.remove_if_gone(id).await,
            (None | Some(Stored::Gone(_)), None | Some(Stored::Gone(_))) => Ok(()),
        }
    }

    /// Copies an upload that the target does not have.
    async fn bring(&self, manifest: Manifest) -> anyhow::Result<()> {
        // The next cleaning removes it.
        if manifest.is_over(self.clock.now()) {
            self.tally.over();
            return Ok(());
        }
        self.transfer(manifest).await
    }

    /// Replaces the record of an upload that both have, if that of the source is newer: what its
    /// files hold never changes.
    async fn renew(&self, here: Manifest, there: &Manifest) -> anyhow::Result<()> {
        if here == *there {
            self.tally.unchanged();
            return Ok(());
        }
        let files = |of: &Manifest| -> Vec<_> {
            let files = of.files();
            files
                .map(|(_, file)| (file.name.clone(), file.size, file.sha256))
                .collect()
        };
        let id = here.id;
        if here.salt != there.salt || files(&here) != files(there) {
            return self
                .tally
                .failed(&id, "another upload has this id in the second store");
        }
        if here.generation <= there.generation {
            self.tally.newer_there();
            return Ok(());
        }
        match self.target.advance(here).await.context(TARGET)? {
            Replaced::Done => self.tally.renewed(),
            Replaced::Changed => self.tally.newer_there(),
            Replaced::Gone => self.tally.deleted_there(),
        }
        Ok(())
    }

    /// Removes an upload that the source did not list, if it has it by now neither.
    async fn remove_if_gone(&self, id: &UploadId) -> anyhow::Result<()> {
        match self.source.read(id).await {
            Ok(None) => self.remove(id, Reason::Deleted).await,
            Ok(Some(Stored::Gone(tombstone))) => self.remove(id, tombstone.gone).await,
            // It has come since, or cannot be read: it stays.
            Ok(Some(Stored::Live(_))) | Err(StoreError::Damaged(_)) => {
                self.tally.unchanged();
                Ok(())
            }
            Err(error) => Err(error).context(SOURCE),
        }
    }

    async fn remove(&self, id: &UploadId, reason: Reason) -> anyhow::Result<()> {
        let removed = self.target.remove(id, move |_| Some(reason)).await;
        if let Removed::Done(_) = removed.context(TARGET)? {
            self.tally.removed();
        }
        Ok(())
    }
}

/// Which store failed.
pub const SOURCE: &str = "in the first store";
pub const TARGET: &str = "in the second store";
