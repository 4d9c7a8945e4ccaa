//! The files of an upload, and the blocks read of them.

use std::borrow::Cow;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::{BoxStream, StreamExt as _};
use tokio::sync::mpsc;

use super::{ClientError, blocking};
use crate::buffers::Pool;
use crate::form::{self, Boundary, is_media_type};
use crate::model::media_type::guess;

/// The field that files are sent in, unless said otherwise.
const FIELD: &str = "file";

/// One file of an [`Upload`](super::Upload).
pub struct FilePart {
    pub(super) source: FileSource,
    field: Cow<'static, str>,
    name: Vec<u8>,
    media_type: Option<String>,
}

pub(super) enum FileSource {
    /// A regular file, and its stamp when it was named.
    Regular(PathBuf, Stamp),
    /// Something that is read to its end: a pipe, a device, a reader. The lock is never held; it
    /// lets the form be shared between threads, as a request has to be.
    Reader(PathBuf, Mutex<Box<dyn Read + Send>>),
    /// Blocks that a task makes. The lock is as above.
    Stream(PathBuf, Mutex<BoxStream<'static, io::Result<Bytes>>>),
}

/// Tells whether a file was changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub size: u64,
    place: (u64, u64),
    modified: Option<SystemTime>,
}

impl FilePart {
    /// The file at `path`, sent under its own name. It is opened when its turn comes; pipes,
    /// devices and other files without a size are opened now, and read to their end.
    ///
    /// # Errors
    /// There is none, it cannot be read, or it is a directory.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ClientError> {
        let path = path.into();
        let failed = |error| ClientError::file(&path, error);
        let metadata = std::fs::metadata(&path).map_err(failed)?;
        if metadata.is_dir() {
            return Err(ClientError::Directory(path));
        }
        let mut file = File::open(&path).map_err(failed)?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .as_encoded_bytes()
            .to_vec();
        // Files of procfs have contents and no size (proc(5)).
        let unsized_file = metadata.is_file() && metadata.len() == 0 && has_content(&mut file);
        let source = if unsized_file {
            FileSource::Reader(
                path.clone(),
                Mutex::new(Box::new(File::open(&path).map_err(failed)?)),
            )
        } else if metadata.is_file() {
            FileSource::Regular(path, Stamp::of(&metadata))
        } else {
            FileSource::Reader(path, Mutex::new(Box::new(file)))
        };
        Ok(Self::new(source, name))
    }

    /// A regular file that was found in a folder, with what was found of it; sent under `name`. It is
    /// opened when its turn comes, and never through a link that has taken its place.
    pub(super) fn found(path: PathBuf, found: &Metadata, name: Vec<u8>) -> io::Result<Self> {
        let mut file = open_itself(&path)?;
        // Files of procfs have contents and no size (proc(5)).
        let unsized_file = found.len() == 0 && has_content(&mut file);
        let source = if unsized_file {
            let reader = Unopened(path.clone(), None);
            FileSource::Reader(path, Mutex::new(Box::new(reader)))
        } else {
            FileSource::Regular(path, Stamp::of(found))
        };
        Ok(Self::new(source, name))
    }

    /// The content of a reader, to its end, sent as a file of this name. It is read on a thread of
    /// its own.
    pub fn reader(name: &str, reader: impl Read + Send + 'static) -> Self {
        let source = FileSource::Reader(PathBuf::from(name), Mutex::new(Box::new(reader)));
        Self::new(source, name.as_bytes().to_vec())
    }

    /// The blocks of a stream, to its end, sent as a file of this name. An error of it breaks the
    /// upload off, and nothing is stored.
    pub fn stream(
        name: &str,
        stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Self {
        let source = FileSource::Stream(PathBuf::from(name), Mutex::new(stream.boxed()));
        Self::new(source, name.as_bytes().to_vec())
    }

    fn new(source: FileSource, name: Vec<u8>) -> Self {
        FilePart {
            source,
            field: Cow::Borrowed(FIELD),
            name,
            media_type: None,
        }
    }

    /// Sends it in this field; otherwise in `file`.
    #[must_use]
    pub fn field(mut self, field: &str) -> Self {
        self.field = Cow::Owned(field.to_owned());
        self
    }

    /// Sends it under this name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.as_bytes().to_vec();
        self
    }

    /// Sends it with this media type; otherwise one is guessed from the name.
    ///
    /// # Errors
    /// It is no media type (RFC 9110 section 8.3.1).
    pub fn media_type(mut self, media_type: &str) -> Result<Self, ClientError> {
        if !is_media_type(media_type.as_bytes()) {
            let reason = format!("{media_type:?} is no media type such as text/plain");
            return Err(ClientError::Setup(reason));
        }
        self.media_type = Some(media_type.to_owned());
        Ok(self)
    }

    /// Its length in bytes, where that is known beforehand.
    pub fn size(&self) -> Option<u64> {
        match &self.source {
            FileSource::Regular(_, stamp) => Some(stamp.size),
            FileSource::Reader(..) | FileSource::Stream(..) => None,
        }
    }

    /// The bytes of its names and its type, which a server keeps in memory.
    pub(super) fn text_len(&self) -> usize {
        self.field.len() + self.name.len() + self.content_type().len()
    }

    fn content_type(&self) -> Cow<'_, str> {
        match &self.media_type {
            Some(given) => Cow::Borrowed(given.as_str()),
            None => Cow::Borrowed(guess(&self.shown_name())),
        }
    }

    /// Its name for people.
    pub(super) fn shown_name(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.name)
    }

    /// The head of its part.
    pub(super) fn head(&self, boundary: &Boundary, first: bool) -> Vec<u8> {
        let content_type = self.content_type();
        let field = self.field.as_bytes();
        form::upload_part_head(
            boundary,
            first,
            field,
            Some(&self.name),
            Some(&content_type),
        )
    }
}

/// A file that is opened when it is read: a folder may hold more of them than a process can have
/// open.
struct Unopened(PathBuf, Option<File>);

impl Read for Unopened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let file = match &mut self.1 {
            Some(file) => file,
            closed => closed.insert(open_itself(&self.0)?),
        };
        file.read(buffer)
    }
}

/// Opens a regular file, and no other that a link at its place leads to; a pipe there is not waited
/// for.
fn open_itself(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed());
    }
    options.read(true).open(path)
}

/// Whether there is anything to be read.
fn has_content(file: &mut File) -> bool {
    matches!(file.read(&mut [0]), Ok(1..))
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let place = {
            use std::os::unix::fs::MetadataExt as _;
            (metadata.dev(), metadata.ino())
        };
        // Elsewhere length and time have to tell.
        #[cfg(not(unix))]
        let place = (0, 0);
        Stamp {
            size: metadata.len(),
            place,
            modified: metadata.modified().ok(),
        }
    }

    fn difference(&self, now: &Self) -> Option<String> {
        if self.place != now.place {
            return Some("another file has taken its place".to_owned());
        }
        if self.size != now.size {
            return Some(format!("it had {} bytes and has {}", self.size, now.size));
        }
        (self.modified != now.modified).then(|| "it was written to".to_owned())
    }
}

/// The blocks of one file.
pub(super) enum FileBlocks {
    Regular(Regular),
    Reader(PathBuf, mpsc::Receiver<io::Result<Bytes>>),
    Stream(PathBuf, BoxStream<'static, io::Result<Bytes>>),
}

/// A regular file being read.
pub(super) struct Regular {
    path: PathBuf,
    file: File,
    stamp: Stamp,
    at: u64,
    block: usize,
    pool: Arc<Pool>,
}

impl FileBlocks {
    /// Opens the file to be read in blocks of `block` bytes, the size of the buffers in `pool`.
    pub fn open(source: FileSource, block: usize, pool: Arc<Pool>) -> Result<Self, ClientError> {
        match source {
            FileSource::Regular(path, stamp) => {
                let open = || File::open(&path);
                let file = blocking(open).map_err(|error| ClientError::file(&path, error))?;
                // Twice the readahead; a file that is not on a disk has no use for it.
                #[cfg(target_os = "linux")]
                let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Sequential);
                let regular = Regular {
                    path,
                    file,
                    stamp,
                    at: 0,
                    block,
                    pool,
                };
                regular.check()?;
                Ok(FileBlocks::Regular(regular))
            }
            FileSource::Stream(path, stream) => {
                let stream = stream.into_inner();
                let stream = stream.unwrap_or_else(|poisoned| poisoned.into_inner());
                Ok(FileBlocks::Stream(path, stream))
            }
            FileSource::Reader(path, reader) => {
                let reader = reader
                    .into_inner()
                    .unwrap_or_else(|poisoned| poisoned.into_inner());
                let (sender, receiver) = mpsc::channel(1);
                let name = "wharf-reader".to_owned();
                let thread = std::thread::Builder::new().name(name);
                thread
                    .spawn(move || read_all(reader, block, &sender))
                    .map_err(|error| ClientError::file(&path, error))?;
                Ok(FileBlocks::Reader(path, receiver))
            }
        }
    }

    /// The next block; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read, or has changed since it was named.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        match self {
            FileBlocks::Regular(regular) => blocking(|| regular.next()),
            FileBlocks::Reader(path, receiver) => {
                let block = receiver.recv().await.transpose();
                block.map_err(|error| ClientError::file(path, error))
            }
            FileBlocks::Stream(path, stream) => {
                let block = stream.next().await.transpose();
                block.map_err(|error| ClientError::file(path, error))
            }
        }
    }
}

impl Regular {
    fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let left = self.stamp.size - self.at;
        if left == 0 {
            return Ok(None);
        }
        let len = usize::try_from(left).map_or(self.block, |left| left.min(self.block));
        let mut block = self.pool.take(len);
        let read = self.file.read_exact(block.as_mut());
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.changed("it has become shorter".to_owned()),
            _ => ClientError::file(&self.path, error),
        })?;
        self.at += len as u64;
        if self.at == self.stamp.size {
            // Before the last block goes out: without it the form is not whole.
            self.check()?;
        }
        Ok(Some(block.into()))
    }

    /// Checks that the file is the one that was named, unchanged.
    fn check(&self) -> Result<(), ClientError> {
        let metadata = self.file.metadata();
        let metadata = metadata.map_err(|error| ClientError::file(&self.path, error))?;
        match self.stamp.difference(&Stamp::of(&metadata)) {
            None => Ok(()),
            Some(how) => Err(self.changed(how)),
        }
    }

    fn changed(&self, how: String) -> ClientError {
        let path = self.path.clone();
        ClientError::Changed { path, how }
    }
}

/// Reads to the end, or until the receiver is dropped.
fn read_all(mut reader: impl Read, block: usize, sender: &mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let mut bytes = Vec::with_capacity(block);
        // A full block each time: pipes give 64 KiB at most.
        let read = (&mut reader).take(block as u64).read_to_end(&mut bytes);
        let result = match read {
            Ok(0) => return,
            Ok(_) => Ok(Bytes::from(bytes)),
            Err(error) => Err(error),
        };
        let failed = result.is_err();
        if sender.blocking_send(result).is_err() || failed {
            return;
        }
    }
}

impl std::fmt::Debug for FilePart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path: &Path = match &self.source {
            FileSource::Regular(path, _)
            | FileSource::Reader(path, _)
            | FileSource::Stream(path, _) => path,
        };
        f.debug_struct("FilePart")
            .field("path", &path)
            .field("field", &self.field)
            .finish_non_exhaustive()
    }
}
