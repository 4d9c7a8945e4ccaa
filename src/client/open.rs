//! A stored file as a stream.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use reqwest::header::{HeaderName, HeaderValue, LINK};
use reqwest::{Method, Url};

use super::transfer::{Next, Transfer};
use super::{Client, ClientError, NoProgress, RETRIES, blocking};
use crate::hashing::ThreadHasher;
use crate::model::{Digest, expected_sha256};

/// A file of the server that is being read. A connection that breaks is made again, and the file
/// goes on where it broke.
pub struct FileStream {
    transfer: Transfer,
    name: String,
    hasher: ThreadHasher,
    sha256: Option<Digest>,
    done: bool,
}

impl Client {
    /// Opens a file to be read: `ID/FILE`, or the newest file of a name. A server that sends its
    /// clients to a bucket for it is followed, and gives no secret on.
    ///
    /// # Errors
    /// There is none of that name, or the server cannot be asked.
    pub async fn open(&self, name: &str) -> Result<FileStream, ClientError> {
        let url = self.named_url("files", &[name.to_owned()])?;
        let progress = Arc::new(NoProgress);
        let transfer = Transfer::begin(self.clone(), url.clone(), RETRIES, progress).await?;
        let digest = if transfer.is_elsewhere() {
            self.digest_of(url, transfer.link()).await?
        } else {
            transfer.header("repr-digest").cloned()
        };
        let digest = digest.map(|value| expected_sha256(value.as_bytes()));
        let digest = digest.transpose().map_err(|error| ClientError::Damaged {
            name: name.to_owned(),
            how: error.to_string(),
        })?;
        Ok(FileStream {
            transfer,
            name: name.to_owned(),
            hasher: ThreadHasher::default(),
            sha256: digest.flatten(),
            done: false,
        })
    }

    /// The digest that the server has of a file which it does not send itself, as long as the
    /// address is one of the record of this `link`.
    async fn digest_of(
        &self,
        url: Url,
        link: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, ClientError> {
        let head = self.send(self.request(Method::HEAD, url)).await?;
        let field = |name: HeaderName| head.headers().get(name);
        let same = head.status().is_success() && link.is_some() && field(LINK) == link;
        let digest = field(HeaderName::from_static("repr-digest"));
        Ok(digest.filter(|_| same).cloned())
    }
}

impl FileStream {
    /// Its length in bytes, where the server says it.
    pub fn size(&self) -> Option<u64> {
        self.transfer.len()
    }

    /// Its media type, where the server says it.
    pub fn media_type(&self) -> Option<&str> {
        self.transfer.header("content-type")?.to_str().ok()
    }

    /// The digest that it is compared with, where the server gives one.
    pub fn sha256(&self) -> Option<Digest> {
        self.sha256
    }

    /// The next block; `None` at the end of a file that is whole and as the server has it.
    ///
    /// # Errors
    /// The transfer broke and cannot go on, the file has changed on the server, or has arrived
    /// damaged. The bytes that came before are void then.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        if self.done {
            return Ok(None);
        }
        let position = self.transfer.position();
        match self.transfer.next().await? {
            Next::Bytes(bytes) => {
                if self.sha256.is_some() {
                    blocking(|| self.hasher.update(&bytes));
                }
                Ok(Some(bytes))
            }
            Next::Restarted => Err(ClientError::ChangedOnServer(position)),
            Next::End => {
                self.done = true;
                match self.sha256 {
                    Some(expected) => self.compare(expected).map(|()| None),
                    None => Ok(None),
                }
            }
        }
    }

    fn compare(&mut self, expected: Digest) -> Result<(), ClientError> {
        let found = blocking(|| self.hasher.finish());
        if found == expected {
            return Ok(());
        }
        let how = format!("its sha-256 is {found} instead of {expected}");
        let name = self.name.clone();
        Err(ClientError::Damaged { name, how })
    }

    /// The blocks as a stream, which ends with the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, ClientError>> + Send {
        try_unfold(self, |mut file| async move {
            let block = file.chunk().await?;
            Ok(block.map(|block| (block, file)))
        })
    }
}

impl std::fmt::Debug for FileStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileStream")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
