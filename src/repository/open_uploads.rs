//! The open uploads of this process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::{UploadId, Uptime};

/// The open uploads of this process. A std mutex: held for a read or an insertion.
#[derive(Debug, Default)]
pub struct OpenUploads(Mutex<HashMap<UploadId, OpenState>>);

/// How far an open upload is.
#[derive(Debug)]
pub struct OpenState {
    pub begun: Uptime,
    /// When a note of it was left or renewed last.
    pub noted: Option<Uptime>,
}

impl OpenUploads {
    pub fn lock(&self) -> MutexGuard<'_, HashMap<UploadId, OpenState>> {
        // Nothing between a lock and its release can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
