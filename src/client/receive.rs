//! One file that comes: written, hashed where there is a digest to compare, checked.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::place::{Directory, DraftFile, Tree};
use super::received::{ReceivedFile, shown};
use super::{ClientError, blocking};
use crate::form::PartHead;
use crate::hashing::ThreadHasher;
use crate::model::{Digest, DigestHeaderError, FilePath, expected_sha256};

/// The name of the writer in errors.
const OUTPUT: &str = "the output";

/// Where files go.
pub(super) enum Place {
    /// Into a directory, each into its folders and under its name.
    Directory(Tree),
    /// One, into a directory under this name.
    File {
        directory: Arc<Directory>,
        name: OsString,
    },
    /// One, to a writer, which has been given so many bytes.
    Writer {
        writer: Box<dyn Write + Send>,
        /// Whether a file goes there already.
        taken: bool,
        count: u64,
    },
}

/// A file that has come as the server has it, and waits for its name.
pub(super) struct Checked {
    draft: Option<DraftFile>,
    target: OsString,
    replace: bool,
    received: ReceivedFile,
}

/// A file that is coming.
pub(super) struct Incoming {
    path: FilePath,
    /// Its name in the directory.
    target: OsString,
    /// Where it is going to be, for messages.
    destination: PathBuf,
    replace: bool,
    /// Where it waits for its name; `None` when it goes to the writer.
    draft: Option<DraftFile>,
    size: u64,
    field: String,
    media_type: Option<String>,
    expected_size: Option<u64>,
    expected_digest: Result<Option<Digest>, DigestHeaderError>,
}

/// The facts that are sent of a file before it comes.
pub(super) struct Announced<'a> {
    pub field: &'a [u8],
    pub media_type: Option<&'a [u8]>,
    pub size: Option<u64>,
    pub digest: Option<&'a [u8]>,
}

impl<'a> From<&'a PartHead> for Announced<'a> {
    fn from(head: &'a PartHead) -> Self {
        Announced {
            field: &head.name,
            media_type: head.content_type.as_deref(),
            size: head.content_length,
            digest: head.repr_digest.as_deref(),
        }
    }
}

impl Place {
    /// Makes room for another form; a writer that has bytes of the last one cannot.
    ///
    /// # Errors
    /// [`ClientError::ChangedOnServer`] when bytes were written out.
    pub fn restart(&mut self) -> Result<(), ClientError> {
        match self {
            Place::Writer { taken, count, .. } => {
                *taken = false;
                match count {
                    0 => Ok(()),
                    written => Err(ClientError::ChangedOnServer(*written)),
                }
            }
            Place::Directory(_) | Place::File { .. } => Ok(()),
        }
    }
}

impl Incoming {
    /// Begins a file whose place will be `path`.
    ///
    /// # Errors
    /// [`ClientError::Exists`] when something has that name and is not to be replaced,
    /// [`ClientError::NotAFolder`] when something else is in the place of its folder.
    pub fn begin(
        place: &mut Place,
        announced: &Announced<'_>,
        path: FilePath,
        replace: bool,
        hasher: &mut ThreadHasher,
    ) -> Result<Self, ClientError> {
        let (directory, target) = match place {
            Place::Directory(tree) => {
                let mut folders: Vec<&str> = path.as_str().split('/').collect();
                let name = folders.pop().unwrap_or_default();
                (Some(tree.folder(&folders)?), OsString::from(name))
            }
            Place::File { directory, name } => (Some(Arc::clone(directory)), name.clone()),
            Place::Writer { taken: true, .. } => return Err(ClientError::SeveralFiles),
            Place::Writer { taken, .. } => {
                *taken = true;
                (None, OsString::new())
            }
        };
        let (draft, destination) = match directory {
            Some(directory) => {
                let destination = directory.path(&target);
                if !replace && directory.has(&target) {
                    return Err(ClientError::Exists(destination));
                }
                (Some(directory.draft()?), destination)
            }
            None => (None, PathBuf::from(OUTPUT)),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let expected_digest = announced.digest.map(expected_sha256);
        hasher.begin();
        Ok(Incoming {
            path,
            target,
            destination,
            replace,
            draft,
            size: 0,
            field: shown(announced.field),
            media_type: announced.media_type.map(text),
            expected_size: announced.size,
            expected_digest: expected_digest.transpose().map(Option::flatten),
        })
    }

    pub fn write(
        &mut self,
        place: &mut Place,
        data: &Bytes,
        hasher: &mut ThreadHasher,
    ) -> Result<(), ClientError> {
        self.size += data.len() as u64;
        let hashed = matches!(self.expected_digest, Ok(Some(_)));
        let written = blocking(|| {
            if hashed {
                hasher.update(data);
            }
            match (&mut self.draft, &mut *place) {
                (Some(draft), _) => draft.write(data),
                (None, Place::Writer { writer, count, .. }) => {
                    *count += data.len() as u64;
                    writer.write_all(data)
                }
                (None, Place::Directory(_) | Place::File { .. }) => {
                    unreachable!("a file in a directory has a draft")
                }
            }
        });
        written.map_err(|error| ClientError::file(&self.destination, error))
    }

    /// Checks the file.
    ///
    /// # Errors
    /// [`ClientError::Damaged`] when length or digest differ from those of the head.
    pub fn check(self, hasher: &mut ThreadHasher) -> Result<Checked, ClientError> {
        let damaged = |how: String| ClientError::Damaged {
            name: self.path.to_string(),
            how,
        };
        if let Some(expected) = self.expected_size
            && expected != self.size
        {
            return Err(damaged(format!(
                "{} bytes instead of {expected}",
                self.size
            )));
        }
        let sha256 = self.expected_digest.as_ref();
        let sha256 = *sha256.map_err(|error| damaged(error.to_string()))?;
        if let Some(expected) = sha256 {
            let found = blocking(|| hasher.finish());
            if found != expected {
                return Err(damaged(format!(
                    "its sha-256 is {found} instead of {expected}"
                )));
            }
        }
        Ok(Checked {
            draft: self.draft,
            target: self.target,
            replace: self.replace,
            received: ReceivedFile {
                field: self.field,
                name: self.path.file_name(),
                place: self.path,
                path: None,
                size: self.size,
                media_type: self.media_type,
                sha256,
            },
        })
    }
}

impl Checked {
    /// Gives the file its name.
    ///
    /// # Errors
    /// [`ClientError::Exists`] when something has got that name meanwhile.
    pub fn publish(self, place: &mut Place) -> Result<ReceivedFile, ClientError> {
        let mut received = self.received;
        match (self.draft, place) {
            (Some(draft), _) => received.path = Some(draft.publish(&self.target, self.replace)?),
            (None, Place::Writer { writer, .. }) => {
                let flushed = writer.flush();
                flushed.map_err(|error| ClientError::file(Path::new(OUTPUT), error))?;
            }
            (None, _) => {}
        }
        Ok(received)
    }
}
