//! The identity of the store, its total and its doubt: small files beside the lock.

use std::fs::File;
use std::io;

use serde::de::DeserializeOwned;

use super::inner::Inner;
use crate::model::Doubt;
use crate::store::records::{DOUBT, IdentityRecord, STORE, TOTAL, TotalRecord};
use crate::store::{SmallContent, StoreError, StoreId, names, to_json};

impl Inner {
    pub fn identity(&self) -> Result<Option<StoreId>, StoreError> {
        // By the path, as the next process opens it: the folders held open outlive the mount.
        let mounted =
            rustix::fs::stat(&self.dir).map_err(|error| self.cannot_find(error.into()))?;
        let held = self
            .layout
            .stat_root()
            .map_err(|error| self.cannot_find(error))?;
        if (mounted.st_dev, mounted.st_ino) != (held.st_dev, held.st_ino) {
            return Err(self.cannot_find(io::Error::other(
                "another folder is there now; put back the one that was there, or restart to serve this one",
            )));
        }
        let identity: Option<IdentityRecord> = self.read_private(STORE)?;
        Ok(identity.map(|identity| identity.store))
    }

    pub fn set_identity(&self, store: StoreId) -> Result<(), StoreError> {
        self.write_private(STORE, &to_json(&IdentityRecord { store })?)
    }

    pub fn total(&self) -> Result<Option<u64>, StoreError> {
        let total: Option<TotalRecord> = self.read_private(TOTAL)?;
        Ok(total.map(|total| total.total))
    }

    pub fn keep_total(&self, total: u64) -> Result<(), StoreError> {
        self.write_private(TOTAL, &to_json(&TotalRecord { total })?)
    }

    pub fn doubt(&self) -> Result<Doubt, StoreError> {
        Ok(self.read_private(DOUBT)?.unwrap_or_default())
    }

    pub fn keep_doubt(&self, doubt: &Doubt) -> Result<(), StoreError> {
        if !doubt.is_over() {
            return self.write_private(DOUBT, &to_json(doubt)?);
        }
        let path = self.dir.join(names::PRIVATE).join(DOUBT);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.cannot_find(error)),
            _ => Ok(()),
        }
    }

    fn read_private<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let path = self.dir.join(names::PRIVATE).join(name);
        let read = || {
            let file = File::open(&path)?;
            let size = file.metadata()?.len();
            SmallContent::read(file, size)
        };
        match read() {
            Ok(content) => content.record(path.display()).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.cannot_find(error)),
        }
    }

    /// Replaces a private file, whole and durable.
    fn write_private(&self, name: &str, json: &[u8]) -> Result<(), StoreError> {
        let private = self.dir.join(names::PRIVATE);
        let path = private.join(name);
        let write = || {
            let staged = private.join(format!("{name}.{}", std::process::id()));
            let mut file = File::create(&staged)?;
            io::Write::write_all(&mut file, json)?;
            file.sync_all()?;
            std::fs::rename(&staged, &path)?;
            File::open(&private)?.sync_all()
        };
        write().map_err(|error| StoreError::io(format!("writing {}", path.display()), error))
    }

    fn cannot_find(&self, error: io::Error) -> StoreError {
        StoreError::io(format!("looking for {}", self.dir.display()), error)
    }
}
