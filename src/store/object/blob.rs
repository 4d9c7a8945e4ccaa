//! Reading what is stored.

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

use super::Inner;
use super::error::{is_absent, is_outside, sort};
use crate::model::{FileName, Manifest, UploadId};
use crate::store::{Blob, Elsewhere, StoreError};

/// How many files of an upload are looked at at once.
const AT_ONCE: usize = 16;
/// How long an address is good that a client is sent to.
const SIGNED_FOR: Duration = Duration::from_secs(300);

impl Inner {
    pub async fn open(
        &self,
        id: &UploadId,
        name: &FileName,
        size: u64,
        range: Range<u64>,
    ) -> Result<Box<dyn Blob>, StoreError> {
        let key = self.layout.file(id, name);
        if range.is_empty() {
            // A range of nothing cannot be asked for.
            let meta = self.client.head(&key).await?;
            check(&key, meta.map(|meta| meta.size), size)?;
            let left = 0;
            let stream = stream::empty().boxed();
            return Ok(Box::new(BucketBlob { key, stream, left }));
        }
        let options = GetOptions {
            range: (range != (0..size)).then(|| GetRange::Bounded(range.clone())),
            ..GetOptions::default()
        };
        let found = match self.client.get(&key, options).await {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Err(damaged(&key, None, size)),
            Err(error) if is_outside(&error) => {
                let meta = self.client.head(&key).await?;
                return Err(damaged(&key, meta.map(|meta| meta.size), size));
            }
            Err(error) => return Err(sort(&format!("opening {key}"), &error)),
        };
        check(&key, Some(found.meta.size), size)?;
        Ok(Box::new(BucketBlob {
            key,
            stream: found.into_stream(),
            left: range.end - range.start,
        }))
    }

    pub async fn verify(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let files = manifest
            .files()
            .map(|(_, file)| (self.layout.file(&manifest.id, &file.name), file.size));
        let files: Vec<(Path, u64)> = files.collect();
        let looks = stream::iter(files).map(async |(key, size)| {
            let found = self.client.head(&key).await?;
            check(&key, found.map(|meta| meta.size), size)
        });
        looks.buffered(AT_ONCE).try_collect().await
    }

    /// Where a client can fetch a file by itself, for five minutes.
    pub async fn elsewhere(&self, file: &Elsewhere<'_>) -> Result<String, StoreError> {
        let key = self.layout.file(file.id, file.name);
        let options = SignedUrlOptions::new().with_query([
            ("response-content-type", file.media_type),
            ("response-content-disposition", file.disposition),
        ]);
        let s3 = self.client.s3();
        let url = s3
            .signed_url_opts(Method::GET, &key, SIGNED_FOR, &options)
            .await;
        let url = url.map_err(|error| sort(&format!("signing an address of {key}"), &error))?;
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

/// A range of an object on its way here.
struct BucketBlob {
    key: Path,
    /// Goes on behind a cut with another request, as long as the object is the same.
    stream: BoxStream<'static, Result<Bytes, Error>>,
    /// Bytes.
    left: u64,
}

#[async_trait]
impl Blob for BucketBlob {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let key = &self.key;
        loop {
            if self.left == 0 {
                return Ok(None);
            }
            let block = self.stream.try_next().await;
            match block.map_err(|error| sort(&format!("reading {key}"), &error))? {
                Some(block) if block.is_empty() => {}
                Some(block) if block.len() as u64 <= self.left => {
                    self.left -= block.len() as u64;
                    return Ok(Some(block));
                }
                Some(_) => return Err(StoreError::Damaged(format!("{key} became longer"))),
                None => return Err(StoreError::Damaged(format!("{key} became shorter"))),
            }
        }
    }
}
