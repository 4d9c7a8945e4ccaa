//! Where a download goes, before it is asked for.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ClientError;
use super::place::{Directory, Tree};
use super::receive::Place;
use crate::model::FileName;

/// Where files are to go.
pub(super) enum Destination {
    Directory(PathBuf),
    File(PathBuf),
    Writer(Box<dyn Write + Send>),
}

/// The state of a destination, before anything is asked for.
pub(super) enum Target {
    /// A directory, and the name of the one file in it where that is fixed.
    Open(Directory, Option<OsString>),
    /// A directory that the download makes if it is missing.
    Missing(PathBuf),
    Writer(Box<dyn Write + Send>),
}

impl Destination {
    /// Looks at it.
    ///
    /// # Errors
    /// It cannot be written to.
    pub fn look(self) -> Result<Target, ClientError> {
        match self {
            Destination::Directory(path) => match Directory::open(&path) {
                Err(ClientError::File { error, .. })
                    if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() =>
                {
                    Ok(Target::Missing(path))
                }
                opened => Ok(Target::Open(opened?, None)),
            },
            Destination::File(path) => match path.file_name() {
                Some(name) if !path.is_dir() => {
                    let parent = path.parent().unwrap_or(Path::new(""));
                    Ok(Target::Open(
                        Directory::open(parent)?,
                        Some(name.to_owned()),
                    ))
                }
                _ => Err(ClientError::NotAFile(path)),
            },
            Destination::Writer(writer) => Ok(Target::Writer(writer)),
        }
    }
}

impl Target {
    /// The file that has the name already that one file would get, which is `name` where no other
    /// is fixed.
    pub fn taken(&self, name: &FileName) -> Option<PathBuf> {
        let Target::Open(directory, fixed) = self else {
            return None;
        };
        let name = fixed.as_deref().unwrap_or(name.as_str().as_ref());
        directory.has(name).then(|| directory.path(name))
    }

    /// The place for files that come.
    ///
    /// # Errors
    /// It is missing, and cannot be made.
    pub fn make(self) -> Result<Place, ClientError> {
        Ok(match self {
            Target::Open(directory, None) => Place::Directory(Tree::new(directory)),
            Target::Open(directory, Some(name)) => Place::File {
                directory: Arc::new(directory),
                name,
            },
            Target::Missing(path) => Place::Directory(Tree::new(Directory::make(&path)?)),
            Target::Writer(writer) => Place::Writer {
                writer,
                taken: false,
                count: 0,
            },
        })
    }
}
