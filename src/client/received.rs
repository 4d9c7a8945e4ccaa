//! Files that have come.

use std::path::PathBuf;

use crate::form::display_name;
use crate::model::{Digest, FileName, FilePath, UniqueNames, UniquePaths};

/// A file that has come whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedFile {
    /// The field it came in.
    pub field: String,
    /// Its safe name.
    pub name: FileName,
    /// Where it lies below the directory, were no other file in its place.
    pub(super) place: FilePath,
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

/// The places that the files of a form get.
pub(super) enum Names {
    /// Below folders.
    Paths(UniquePaths),
    /// All in one.
    Flat(UniqueNames),
}

impl Names {
    /// The places below folders, or all in one.
    pub fn new(flat: bool) -> Self {
        match flat {
            true => Names::Flat(UniqueNames::default()),
            false => Names::Paths(UniquePaths::default()),
        }
    }

    /// The place of a file that came under this name, made safe.
    pub fn assign(&mut self, name: &[u8]) -> FilePath {
        match self {
            Names::Paths(paths) => paths.assign(&FilePath::from_upload(name)),
            Names::Flat(names) => names.assign(FileName::from_upload(name)).into(),
        }
    }

    /// The bytes that are kept of the folders, about.
    pub fn kept(&self) -> usize {
        match self {
            Names::Paths(paths) => paths.kept(),
            Names::Flat(_) => 0,
        }
    }

    /// For another form.
    pub fn restart(&mut self) {
        *self = Names::new(matches!(self, Names::Flat(_)));
    }
}
