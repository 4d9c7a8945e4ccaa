//! Files that have come.

use std::path::PathBuf;

use crate::form::display_name;
use crate::model::{Digest, FileName};

/// A file that has come whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedFile {
    /// The field it came in.
    pub field: String,
    /// Its safe name.
    pub name: FileName,
    /// Where it is now; `None` when it went to a writer.
    pub path: Option<PathBuf>,
    /// Its length in bytes.
    pub size: u64,
    /// Its media type, if it came with one.
    pub media_type: Option<String>,
    /// The SHA-256 that it came with, and has; `None` when it came with none, and nothing but its
    /// length could be checked.
    pub sha256: Option<Digest>,
}

/// A name as people read it.
pub(super) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(&display_name(name)).into_owned()
}
