//! One file, of a form or alone.

use bytes::Bytes;
use futures_util::Stream;

use super::error::{BodyError, IngestError};
use super::options::IngestOptions;
use super::quota::{BodyLength, RoomClaim};
use super::source::{CheckedBody, compare};
use super::{Ingest, Receipt, UploadRequest};
use crate::form::is_media_type;
use crate::model::media_type::guess;
use crate::model::{Digest, FileName, FilePath, Limit, Part, RawText, StoredFile};
use crate::store::{FileSummary, Staged};

/// The file that a raw body becomes.
#[derive(Debug, Clone)]
pub struct RawUpload {
    /// The name as it came.
    pub name: RawText,
    /// The media type as it came.
    pub media_type: Option<Bytes>,
    /// The digest that the content must have (RFC 9530 section 3).
    pub repr_digest: Option<Digest>,
}

impl Ingest {
    /// Stores a raw body as an upload of one file.
    ///
    /// # Errors
    /// Nothing was stored; see [`IngestError`].
    pub async fn raw<S>(
        &self,
        file: RawUpload,
        body: S,
        request: UploadRequest,
    ) -> Result<Receipt, IngestError>
    where
        S: Stream<Item = Result<Bytes, BodyError>> + Unpin + Send,
    {
        // A wrong option is refused before the body is read.
        request.given.parse(&self.options, self.clock.now())?;
        let length = request.length.map_or(BodyLength::Unknown, BodyLength::File);
        let mut upload = self.begin(length).await?;
        let frames = CheckedBody::new(body, self.options.max_request_size, request.content_digest);
        let path = FilePath::from_upload(file.name.as_bytes());
        let name = path.file_name();
        let limits = FileLimits::new(0, [file.repr_digest, None], &self.options);
        let target = FileTarget {
            staged: &mut *upload.staged,
            claim: &mut upload.claim,
        };
        let received = store_file(target, name.clone(), &limits, frames).await?;
        let given = file.media_type.as_deref().and_then(media_type);
        let part = Part::File {
            field: b"file"[..].into(),
            file: StoredFile {
                media_type: given.unwrap_or_else(|| guess(name.as_str()).to_owned()),
                given_type: None,
                path: Some(path).filter(|path| path.as_str() != name.as_str()),
                name,
                original: file.name,
                extended: None,
                size: received.size,
                sha256: received.checksums.map(|of| of.sha256),
                crc32: received.checksums.map(|of| of.crc32),
                used: None,
                rest: Default::default(),
            },
        };
        let options = request.given.parse(&self.options, self.clock.now())?;
        self.commit(upload, vec![part], options).await
    }
}

/// Where a file goes.
pub struct FileTarget<'a> {
    pub staged: &'a mut dyn Staged,
    pub claim: &'a mut RoomClaim,
}

/// The limits and digests of one file.
pub struct FileLimits {
    part: usize,
    max_size: Option<u64>,
    expected: [Option<Digest>; 2],
    digest: bool,
}

impl FileLimits {
    pub fn new(part: usize, expected: [Option<Digest>; 2], options: &IngestOptions) -> Self {
        FileLimits {
            part,
            max_size: options.max_file_size,
            digest: options.digest || expected.iter().any(Option::is_some),
            expected,
        }
    }
}

/// Where the bytes of a file come from.
pub trait FileContent: Send {
    /// The next bytes; `None` at the end of the file.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, IngestError>> + Send;
}

impl<S> FileContent for CheckedBody<S>
where
    S: Stream<Item = Result<Bytes, BodyError>> + Unpin + Send,
{
    async fn next(&mut self) -> Result<Option<Bytes>, IngestError> {
        self.frame().await
    }
}

/// Streams one file to the store.
pub async fn store_file(
    target: FileTarget<'_>,
    name: FileName,
    limits: &FileLimits,
    mut content: impl FileContent,
) -> Result<FileSummary, IngestError> {
    let mut sink = target.staged.file(name, limits.digest).await?;
    let mut size = 0;
    while let Some(data) = content.next().await? {
        size += data.len() as u64;
        match limits.max_size {
            Some(max) if size > max => {
                let limit = Limit::bytes("max_file_size", max);
                return Err(IngestError::limit(limits.part, limit));
            }
            _ => {}
        }
        target.claim.take(data.len() as u64).await?;
        sink.write(data).await?;
    }
    let received = sink.finish().await?;
    target.claim.end_file();
    for expected in limits.expected.into_iter().flatten() {
        if let Some(found) = received.checksums {
            compare(limits.part, expected, found.sha256)?;
        }
    }
    Ok(received)
}

/// A media type as it came, when it is one.
pub fn media_type(given: &[u8]) -> Option<String> {
    header_text(given).filter(|_| is_media_type(given))
}

/// The value of a part's header as it came, when every reader understands it.
pub fn header_text(given: &[u8]) -> Option<String> {
    let plain = |&byte: &u8| (b' '..=b'~').contains(&byte) || byte == b'\t';
    let text = str::from_utf8(given).ok()?.trim();
    text.bytes()
        .all(|byte| plain(&byte))
        .then(|| text.to_owned())
}
