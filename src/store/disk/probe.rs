//! Learns whether uploads can be stored: from each upload, and by a probe once one has failed.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::{Access, AtFlags, accessat};
use rustix::io::Errno;

use super::inner::{Committing, Inner};
use super::layout;
use super::staging::file::PendingLink;
use super::threads::Disk;
use crate::model::{FileName, Prefix, UploadId};
use crate::store::{StoreError, names};

/// A probe of a store that could not be written to, until it is dropped.
struct Probe(Disk);

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.state().health.probed();
    }
}

impl Disk {
    /// Records what a step of an upload says of the health of the store; answers its result.
    pub async fn record<T>(
        &self,
        id: &UploadId,
        result: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Err(StoreError::Unwritable(why)) = &result {
            let prefix = id.prefix();
            self.state().health.record_failure(prefix, why.clone());
            let forget = move |inner: &Arc<Inner>| {
                inner.layout.forget_prefix(prefix);
                Ok(())
            };
            // It fails where the server is ending, which needs the folder no more.
            let _ = self.run_quick(forget).await;
        }
        result
    }

    /// The same of a commit.
    pub async fn record_commit(
        &self,
        id: &UploadId,
        result: Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if result.is_ok() {
            self.state().health.record_success();
        }
        self.record(id, result).await
    }

    /// Why uploads cannot be stored; while they cannot, probes the store in the background, now
    /// and then: a load balancer sends uploads only to a server that is ready.
    pub fn trouble(&self) -> Option<String> {
        let health = &self.state().health;
        let why = health.trouble()?;
        if let (Ok(runtime), Some(prefix)) =
            (tokio::runtime::Handle::try_current(), health.start_probe())
        {
            let probe = Probe(self.clone());
            runtime.spawn(async move {
                let run = move |inner: &Arc<Inner>| probe_folder(inner, prefix);
                let probed = probe.0.run_blocking(run).await;
                let health = &probe.0.state().health;
                match probed {
                    Ok(()) => health.record_success(),
                    Err(error) => health.record_failure(prefix, error.to_string()),
                }
            });
        }
        Some(why)
    }
}

/// Does all that an upload does, but for a name that callers could see. Blocks.
fn probe_folder(inner: &Arc<Inner>, prefix: Prefix) -> Result<(), StoreError> {
    let failed = |error| StoreError::change(format!("writing in the folder {prefix}"), error);
    inner.layout.forget_prefix(prefix);
    // The folder as the next upload finds it.
    let dir = inner.layout.make_prefix(prefix).map_err(failed)?;
    let id = UploadId::generate().map_err(|error| failed(io::Error::other(error)))?;
    let id = format!("{prefix}{}", &id.as_str()[prefix.as_str().len()..]);
    let id: UploadId = id
        .parse()
        .map_err(|error| failed(io::Error::other(error)))?;
    // A file that a crash leaves of it is an orphan like any other.
    let name = names::file_name(&id, &FileName::from_upload(b"probe"));
    let _committing = Committing::new(inner, id);
    PendingLink::write(inner, &dir, &id, b"probe", &name)?.link(&dir, &name)?;
    layout::unlink(&dir, name.as_str())
        .map(drop)
        .map_err(failed)
}

/// Checks once whether every folder that exists can be written to: a folder of another user fails
/// only the uploads that fall into it. Blocks.
pub fn check_folders(inner: &Inner) {
    if let Some((prefix, error)) = closed_folder(inner.layout.root_fd()) {
        let doing = format!("writing in the folder {prefix}");
        let error = StoreError::change(doing, error);
        inner.state.health.record_failure(prefix, error.to_string());
    }
}

/// The first folder of uploads below `root` that is there and cannot be written to, and why.
pub fn closed_folder(root: impl AsFd) -> Option<(Prefix, Errno)> {
    let wanted = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    Prefix::all().find_map(|prefix| {
        let found = accessat(&root, prefix.as_str(), wanted, AtFlags::EACCESS);
        let error = found.err().filter(|error| *error != Errno::NOENT)?;
        Some((prefix, error))
    })
}
