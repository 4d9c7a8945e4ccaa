//! Whether uploads can be stored, by how the last one went.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Access, AtFlags, accessat};

use super::staging::commit::Committing;
use super::threads::Disk;
use super::{Inner, layout};
use crate::model::{FileName, Prefix, UploadId, Uptime};
use crate::store::{StoreError, names};

/// How often a store that could not be written to is tried again, while readiness is asked for.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// The trouble that stands in the way of every upload, from the upload that found it to the next
/// that succeeds.
#[derive(Debug, Default)]
pub struct Health {
    /// Whether there is trouble: a flag, the only thing that an upload looks at.
    troubled: AtomicBool,
    /// Guards the trouble. A std mutex: held for a look.
    trouble: Mutex<Option<Trouble>>,
    /// Whether somebody tries whether it is over.
    trying: AtomicBool,
}

#[derive(Debug)]
struct Trouble {
    why: String,
    /// The folder in which it was found.
    prefix: Prefix,
    /// When it was found, or looked at last.
    looked: Uptime,
}

impl Health {
    /// What stands in the way.
    pub fn trouble(&self) -> Option<String> {
        if !self.troubled.load(Ordering::Acquire) {
            return None;
        }
        self.lock().as_ref().map(|trouble| trouble.why.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Trouble>> {
        // A panic cannot leave it half changed.
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self, prefix: Prefix, why: String) {
        let looked = Uptime::now();
        let before = self.lock().replace(Trouble {
            why: why.clone(),
            prefix,
            looked,
        });
        self.troubled.store(true, Ordering::Release);
        if before.is_none() {
            tracing::error!(error = why, "uploads cannot be stored");
        }
    }

    fn passed(&self) {
        if !self.troubled.load(Ordering::Acquire) {
            return;
        }
        let before = self.lock().take();
        self.troubled.store(false, Ordering::Release);
        if before.is_some() {
            tracing::info!("uploads can be stored again");
        }
    }

    /// The folder to be tried now, if it is time.
    fn due(&self) -> Option<Prefix> {
        let mut trouble = self.lock();
        let trouble = trouble.as_mut()?;
        let due = trouble.looked.elapsed() >= RETRY && !self.trying.swap(true, Ordering::Relaxed);
        due.then(|| {
            trouble.looked = Uptime::now();
            trouble.prefix
        })
    }
}

/// Somebody tries a store that could not be written to.
struct Trying(Disk);

impl Drop for Trying {
    fn drop(&mut self) {
        let health = &self.0.state().health;
        health.trying.store(false, Ordering::Relaxed);
    }
}

impl Disk {
    /// Learns from a step of an upload how the store is.
    pub async fn learn<T>(
        &self,
        id: &UploadId,
        result: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Err(StoreError::Unwritable(why)) = &result {
            let prefix = id.prefix();
            self.state().health.found(prefix, why.clone());
            let forget = move |inner: &Arc<Inner>| {
                inner.layout.forget_prefix(prefix);
                Ok(())
            };
            // A server that is ending needs to learn nothing.
            let _ = self.quick(forget).await;
        }
        result
    }

    /// Learns from a commit how the store is.
    pub async fn learn_all(
        &self,
        id: &UploadId,
        result: Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if result.is_ok() {
            self.state().health.passed();
        }
        self.learn(id, result).await
    }

    /// Why uploads cannot be stored; tries it beside, now and then, while they cannot: those who
    /// send uploads only to a store that is ready would never find out.
    pub fn trouble(&self) -> Option<String> {
        let health = &self.state().health;
        let why = health.trouble()?;
        if let (Ok(runtime), Some(prefix)) = (tokio::runtime::Handle::try_current(), health.due()) {
            let trying = Trying(self.clone());
            runtime.spawn(async move {
                let tried = trying.0.away(move |inner| inner.try_folder(prefix)).await;
                let health = &trying.0.state().health;
                match tried {
                    Ok(()) => health.passed(),
                    Err(error) => health.found(prefix, error.to_string()),
                }
            });
        }
        Some(why)
    }
}

impl Inner {
    /// Does what an upload does, but for the name that people would see. Blocks.
    fn try_folder(self: &Arc<Self>, prefix: Prefix) -> Result<(), StoreError> {
        let failed = |error| StoreError::change(format!("writing in the folder {prefix}"), error);
        self.layout.forget_prefix(prefix);
        // The folder the store is in, as the next upload finds it.
        let dir = self.layout.make_prefix(prefix).map_err(failed)?;
        let id = UploadId::generate().map_err(|error| failed(io::Error::other(error)))?;
        let id = format!("{prefix}{}", &id.as_str()[prefix.as_str().len()..]);
        let id: UploadId = id
            .parse()
            .map_err(|error| failed(io::Error::other(error)))?;
        // What a crash leaves of it is an orphan like any other.
        let name = names::file_name(&id, &FileName::from_upload(b"probe"));
        let _committing = Committing::new(self, id);
        self.prepare(&dir, &id, b"probe", &name)?
            .give(&dir, &name)?;
        layout::unlink(&dir, name.as_str())
            .map(drop)
            .map_err(failed)
    }

    /// Looks once whether every folder that is there can be written to: those of another user
    /// fail only the uploads that fall into them. Blocks.
    pub fn look_at_folders(&self) {
        let wanted = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        for prefix in Prefix::all() {
            let found = accessat(
                self.layout.root_fd(),
                prefix.as_str(),
                wanted,
                AtFlags::EACCESS,
            );
            let Err(error) = found else { continue };
            if error == rustix::io::Errno::NOENT {
                continue;
            }
            let doing = format!("writing in the folder {prefix}");
            let error = StoreError::change(doing, error);
            self.state.health.found(prefix, error.to_string());
            return;
        }
    }
}
