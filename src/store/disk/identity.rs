//! Who the store is: a small file beside the lock.

use std::io;

use serde::{Deserialize, Serialize};

use super::{Inner, StoreError};
use crate::store::{StoreId, names};

/// The file of the private folder.
const NAME: &str = "store.json";

#[derive(Serialize, Deserialize)]
struct Identity {
    store: StoreId,
}

impl Inner {
    pub fn identity(&self) -> Result<Option<StoreId>, StoreError> {
        // By its path, as the next process will: the folders held open outlive the mount.
        let mounted = rustix::fs::stat(&self.dir).map_err(|error| self.lost(error.into()))?;
        let held = self.layout.stat_root().map_err(|error| self.lost(error))?;
        if (mounted.st_dev, mounted.st_ino) != (held.st_dev, held.st_ino) {
            return Err(self.lost(io::Error::other("another folder is there now")));
        }
        let path = self.dir.join(names::PRIVATE).join(NAME);
        let json = match std::fs::read(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.lost(error)),
        };
        let identity: Identity = serde_json::from_slice(&json).map_err(|error| {
            StoreError::Damaged(format!("{} cannot be understood: {error}", path.display()))
        })?;
        Ok(Some(identity.store))
    }

    pub fn identify(&self, store: StoreId) -> Result<(), StoreError> {
        let private = self.dir.join(names::PRIVATE);
        let path = private.join(NAME);
        let json = serde_json::to_vec(&Identity { store })
            .map_err(|error| self.lost(io::Error::other(error)))?;
        let write = || {
            let waiting = private.join(format!("{NAME}.{}", std::process::id()));
            let mut file = std::fs::File::create(&waiting)?;
            io::Write::write_all(&mut file, &json)?;
            file.sync_all()?;
            std::fs::rename(&waiting, &path)?;
            std::fs::File::open(&private)?.sync_all()
        };
        write().map_err(|error| StoreError::io(format!("writing {}", path.display()), error))
    }

    fn lost(&self, error: io::Error) -> StoreError {
        StoreError::io(format!("looking for {}", self.dir.display()), error)
    }
}
