//! Reading stored files.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::Method;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};
use object_store::{Error, GetOptions, GetRange};

use super::client::BucketClient;
use super::error::{classify, is_absent, is_outside};
use super::inner::BucketInner;
use crate::model::{FileName, Manifest, StoredFile, UploadId};
use crate::store::{Blob, PresignRequest, StoreError};

/// How many files of an upload are verified at once.
const CONCURRENT_LOOKS: usize = 16;
/// How long a URL is good that a client is sent to.
const URL_LIFETIME: Duration = Duration::from_secs(300);
/// How long the next bytes of a file may take, once they are asked for.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(15);
/// A request that broke after fewer bytes than this was fruitless, and so many of those in a row are
/// no transient failure.
const MIN_PROGRESS: u64 = 8 << 20;
const MAX_FRUITLESS_RETRIES: u32 = 3;
/// The pause before the next request.
const RETRY_DELAY: Duration = Duration::from_millis(200);

impl BucketInner {
    pub async fn open(
        &self,
        id: &UploadId,
        name: &FileName,
        size: u64,
        range: Range<u64>,
    ) -> Result<Box<dyn Blob>, StoreError> {
        let key = self.layout.file(id, name);
        if range.is_empty() {
            // HTTP has no range of no bytes.
            let meta = self.client.head(&key).await?;
            check(&key, meta.map(|meta| meta.size), size)?;
            let stream = stream::empty().boxed();
            return Ok(Box::new(self.blob(key, None, stream, 0..0)));
        }
        let options = GetOptions {
            range: (range != (0..size)).then(|| GetRange::Bounded(range.clone())),
            ..GetOptions::default()
        };
        let found = match self.client.open(&key, options).await {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Err(damaged(&key, None, size)),
            Err(error) if is_outside(&error) => {
                let meta = self.client.head(&key).await?;
                return Err(damaged(&key, meta.map(|meta| meta.size), size));
            }
            Err(error) => return Err(classify(&format!("opening {key}"), &error)),
        };
        check(&key, Some(found.meta.size), size)?;
        let tag = found.meta.e_tag.clone();
        Ok(Box::new(self.blob(key, tag, found.into_stream(), range)))
    }

    fn blob(
        &self,
        key: Path,
        tag: Option<String>,
        stream: Blocks,
        range: Range<u64>,
    ) -> BucketBlob {
        BucketBlob {
            client: self.client.clone(),
            key,
            tag,
            stream,
            at: range.start,
            end: range.end,
            begun: range.start,
            fruitless: 0,
        }
    }

    /// Checks that the files among some parts of an upload have their sizes. Several files are
    /// looked up in one listing of the upload's keys, a single one by a request of its own.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names a file that is missing or has another size.
    pub async fn verify(&self, manifest: &Manifest, parts: Range<usize>) -> Result<(), StoreError> {
        let id = &manifest.id;
        let files = manifest.files_among(parts);
        let mut expected: HashMap<&str, &StoredFile> =
            files.map(|file| (file.name.as_str(), file)).collect();
        if expected.len() > 1 {
            let begin = self.layout.files(id);
            let mut token = None;
            loop {
                let (objects, next) = self.client.page(&begin, token.as_deref()).await?;
                for object in objects {
                    let name = &object.key.as_ref()[begin.len()..];
                    if let Some(file) = expected.get(name)
                        && object.size == Some(file.size)
                    {
                        expected.remove(name);
                    }
                }
                token = next;
                if token.is_none() || expected.is_empty() {
                    break;
                }
            }
        }
        // A listing may lag behind: each file that it does not have as expected is asked for.
        let left = expected.into_values();
        let left = left.map(|file| (self.layout.file(id, &file.name), file.size));
        let left: Vec<(Path, u64)> = left.collect();
        let looks = stream::iter(left).map(async |(key, size)| {
            let found = self.client.head(&key).await?;
            check(&key, found.map(|meta| meta.size), size)
        });
        looks.buffered(CONCURRENT_LOOKS).try_collect().await
    }

    /// A URL at which a client can fetch a file by itself, for five minutes, or for as long as it
    /// exists.
    pub async fn presigned_url(&self, file: &PresignRequest<'_>) -> Result<String, StoreError> {
        let key = self.layout.file(file.id, file.name);
        // This server does not see what the bucket answers to the client.
        let meta = self.client.head(&key).await?;
        check(&key, meta.map(|meta| meta.size), file.size)?;
        let good_for = URL_LIFETIME.min(file.lives);
        let options = SignedUrlOptions::new().with_query([
            ("response-content-type", file.media_type),
            ("response-content-disposition", file.disposition),
        ]);
        let s3 = self.client.s3();
        let url = s3
            .signed_url_opts(Method::GET, &key, good_for, &options)
            .await;
        let url = url.map_err(|error| classify(&format!("signing an address of {key}"), &error))?;
        Ok(url.into())
    }
}

fn check(key: &Path, found: Option<u64>, size: u64) -> Result<(), StoreError> {
    match found {
        Some(found) if found == size => Ok(()),
        found => Err(damaged(key, found, size)),
    }
}

fn damaged(key: &Path, found: Option<u64>, size: u64) -> StoreError {
    StoreError::Damaged(match found {
        None => format!("{key} is missing"),
        Some(found) => format!("{key} has {found} bytes instead of {size}"),
    })
}

/// The content of an object, block by block.
type Blocks = BoxStream<'static, Result<Bytes, Error>>;

/// A range of an object on its way here. Where it breaks it goes on with another request, as long
/// as the object is the same.
struct BucketBlob {
    client: BucketClient,
    key: Path,
    /// The ETag of the object.
    tag: Option<String>,
    stream: Blocks,
    /// Where the next byte is, and where the last.
    at: u64,
    end: u64,
    /// Where the present request began.
    begun: u64,
    /// How many in a row were fruitless.
    fruitless: u32,
}

impl BucketBlob {
    /// Goes on behind a failure, unless it is one too many. Not a retry of one request: each goes on
    /// where the last one broke, and progress clears the count.
    async fn resume(&mut self, failure: StoreError) -> Result<(), StoreError> {
        self.fruitless = match self.at - self.begun >= MIN_PROGRESS {
            true => 0,
            false => self.fruitless + 1,
        };
        if self.tag.is_none() || self.fruitless >= MAX_FRUITLESS_RETRIES {
            return Err(failure);
        }
        self.begun = self.at;
        tracing::debug!(key = %self.key, at = self.at, error = %failure, "reading a file broke off; another request reads on");
        tokio::time::sleep(RETRY_DELAY).await;
        let options = GetOptions {
            range: Some(GetRange::Bounded(self.at..self.end)),
            if_match: self.tag.clone(),
            ..GetOptions::default()
        };
        let found = self.client.open(&self.key, options).await;
        let found = found.map_err(|error| classify(&format!("reading {}", self.key), &error))?;
        // Some stores ignore If-Match.
        if found.meta.e_tag != self.tag {
            let key = &self.key;
            return Err(StoreError::Damaged(format!(
                "{key} was replaced while it was read"
            )));
        }
        self.stream = found.into_stream();
        Ok(())
    }
}

#[async_trait]
impl Blob for BucketBlob {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            if self.at == self.end {
                return Ok(None);
            }
            let block = tokio::time::timeout(BLOCK_TIMEOUT, self.stream.try_next()).await;
            let key = &self.key;
            let failure = match block {
                Ok(Ok(Some(block))) if block.is_empty() => continue,
                Ok(Ok(Some(block))) if block.len() as u64 <= self.end - self.at => {
                    self.at += block.len() as u64;
                    return Ok(Some(block));
                }
                Ok(Ok(Some(_))) => {
                    return Err(StoreError::Damaged(format!("{key} became longer")));
                }
                Ok(Ok(None)) => return Err(StoreError::Damaged(format!("{key} became shorter"))),
                Ok(Err(error)) => classify(&format!("reading {key}"), &error),
                Err(_) => {
                    StoreError::Unavailable(format!("reading {key}: nothing for {BLOCK_TIMEOUT:?}"))
                }
            };
            self.resume(failure).await?;
        }
    }
}
