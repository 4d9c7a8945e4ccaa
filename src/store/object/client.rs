//! The requests to an object store, retried within bounds.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{HttpClient, HttpConnector as _};
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::{
    Attributes, BackoffConfig, ClientConfigKey, ClientOptions, Error, GetOptions, GetResult,
    ObjectMeta, ObjectStore as _, ObjectStoreExt as _, PutOptions, PutPayload, PutResult,
    RetryConfig,
};

use url::Url;

use super::connector::Connector;
use super::error::{classify, is_absent, is_bare_404, is_retryable, message};
use super::options::BucketOptions;
use crate::store::small::LARGEST;
use crate::store::{SmallContent, StoreError};

/// How long an answer may take to begin, and between two blocks.
const ANSWER_TIMEOUT: &str = "15s";
/// Longer than any transfer: [`timeout_for`] bounds those to the store; those from it are bounded
/// block by block.
const NO_TIMEOUT: &str = "1day";
/// The lowest rate at which bytes may go to the store, in bytes a second.
const MIN_RATE: u64 = 256 * 1024;
/// How often a transfer that hangs is sent.
const MAX_TRIES: u32 = 3;

/// How long the head of an answer that is a file may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest that putting parts together may take at a time, in seconds.
const COMPLETE_SECONDS: u64 = 600;

/// The client of one bucket.
#[derive(Debug, Clone)]
pub struct BucketClient {
    /// For requests whose answers begin soon.
    s3: AmazonS3,
    /// For those that send many bytes first.
    bulk: AmazonS3,
    /// For requests that are signed here.
    http: HttpClient,
    /// Whether requests go out without a signature.
    unsigned: bool,
}

/// A small object as it was read.
pub struct Small {
    pub content: SmallContent,
    /// Its ETag.
    pub tag: Option<String>,
    pub attributes: Attributes,
}

/// How the library retries requests: on 5xx, 429, and connections that fail or break.
fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(4),
            base: 2.5,
        },
        max_retries: 8,
        retry_timeout: Duration::from_secs(20),
    }
}

impl BucketClient {
    /// The client that `options` describe.
    pub fn new(options: &BucketOptions) -> Result<Self, Error> {
        let mut builder = AmazonS3Builder::new();
        let mut http = ClientOptions::new();
        for (name, value) in &options.settings {
            // Others of these names mean nothing to a store.
            if let Ok(key) = name.parse::<AmazonS3ConfigKey>() {
                if let AmazonS3ConfigKey::Client(key) = key {
                    http = http.with_config(key, value);
                }
                builder = builder.with_config(key, value);
            }
        }
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
        }
        let value = |key| builder.get_config_value(&key);
        let endpoint = value(AmazonS3ConfigKey::S3Endpoint).or(value(AmazonS3ConfigKey::Endpoint));
        let skipped = value(AmazonS3ConfigKey::SkipSignature);
        let unsigned = skipped.is_some_and(|skipped| skipped == "true");
        let style = AmazonS3ConfigKey::VirtualHostedStyleRequest;
        let chosen = options
            .settings
            .iter()
            .any(|(name, _)| name == "aws_virtual_hosted_style_request");
        match &endpoint {
            // A bucket with a dot in its name matches no certificate as a host.
            None if !chosen && !options.bucket.contains('.') => {
                builder = builder.with_config(style, "true");
            }
            Some(endpoint) if endpoint.starts_with("http://") => {
                let plain = AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp);
                builder = builder.with_config(plain, "true");
            }
            _ => {}
        }
        if unsigned {
            // No request is signed with these. Without them the library would look for credentials
            // elsewhere.
            builder = builder.with_access_key_id("unsigned");
            builder = builder.with_secret_access_key("unsigned");
        }
        let client = AmazonS3ConfigKey::Client;
        let bulk = builder
            .with_bucket_name(&options.bucket)
            .with_http_connector(Connector)
            .with_retry(retries())
            .with_config(client(ClientConfigKey::Timeout), NO_TIMEOUT);
        let s3 = bulk
            .clone()
            .with_config(client(ClientConfigKey::ReadTimeout), ANSWER_TIMEOUT);
        let s3 = s3.build()?;
        let bulk = bulk
            .with_credentials(Arc::clone(s3.credentials()))
            .build()?;
        let http = http.with_allow_http(true);
        Ok(BucketClient {
            http: Connector.connect(&http)?,
            s3,
            bulk,
            unsigned,
        })
    }

    /// Whether requests go out without a signature.
    pub fn is_unsigned(&self) -> bool {
        self.unsigned
    }

    /// A signed address as it is sent: without the signature where requests go out unsigned.
    pub fn as_sent(&self, mut url: Url) -> Url {
        if self.unsigned {
            let plain = url.query_pairs();
            let plain = plain.filter(|(name, _)| !name.starts_with("X-Amz-"));
            let plain: Vec<(String, String)> = plain.map(|(a, b)| (a.into(), b.into())).collect();
            url.query_pairs_mut().clear().extend_pairs(plain);
        }
        url
    }

    /// For requests that this client has no method for.
    pub fn s3(&self) -> &AmazonS3 {
        &self.s3
    }

    /// For requests that the caller signs.
    pub fn http(&self) -> &HttpClient {
        &self.http
    }

    /// Stores a small object, under the condition that `options` have.
    pub async fn put(
        &self,
        key: &Path,
        content: Vec<u8>,
        options: PutOptions,
    ) -> Result<PutResult, Error> {
        self.s3.put_opts(key, content.into(), options).await
    }

    /// Reads an object, or a range of it.
    pub async fn get(&self, key: &Path, options: GetOptions) -> Result<GetResult, Error> {
        self.s3.get_opts(key, options).await
    }

    /// Opens a file, to be read as slowly as its client reads: the read time-out of other requests
    /// runs on while no more is asked for.
    pub async fn open(&self, key: &Path, options: GetOptions) -> Result<GetResult, Error> {
        let opened = tokio::time::timeout(OPEN_TIMEOUT, self.bulk.get_opts(key, options));
        opened.await.unwrap_or_else(|late| {
            Err(Error::Generic {
                store: "S3",
                source: late.into(),
            })
        })
    }

    /// Size, ETag and time of an object; `None` when there is none.
    pub async fn head(&self, key: &Path) -> Result<Option<ObjectMeta>, StoreError> {
        let looked = match self.s3.head(key).await {
            // Only the answer to a GET has an error code in its body.
            Err(error) if is_bare_404(&error) => {
                let options = GetOptions::new().with_range(Some(0..1_u64));
                self.get(key, options).await.map(|found| found.meta)
            }
            looked => looked,
        };
        match looked {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(classify(&format!("looking at {key}"), &error)),
        }
    }

    /// The ETag of an object; `None` when there may be none, which only reading it tells.
    pub async fn tag(&self, key: &Path) -> Result<Option<String>, StoreError> {
        match self.s3.head(key).await {
            Ok(meta) => Ok(meta.e_tag),
            Err(error) if is_absent(&error) || is_bare_404(&error) => Ok(None),
            Err(error) => Err(classify(&format!("looking at {key}"), &error)),
        }
    }

    /// Removes objects, a thousand by each request; answers how many. One that is not there counts
    /// as removed; one that stays is logged.
    pub async fn delete(&self, keys: Vec<Path>) -> u64 {
        let mut removed = 0;
        let keys = stream::iter(keys).map(Ok).boxed();
        let mut results = self.s3.delete_stream(keys);
        while let Some(result) = results.next().await {
            match result {
                Ok(_) => removed += 1,
                Err(error) if is_absent(&error) => removed += 1,
                Err(error) => {
                    let said = message(&error);
                    tracing::warn!(
                        error = said,
                        "cannot remove a file of a removed upload; the next comparison removes it"
                    );
                }
            }
        }
        removed
    }

    /// Stores a whole file.
    pub async fn put_file(&self, key: &Path, content: PutPayload) -> Result<(), StoreError> {
        let len = content.content_length();
        let put = || self.bulk.put(key, content.clone());
        with_timeout(&format!("storing {key}"), len, put)
            .await
            .map(drop)
    }

    /// Begins a file of several parts.
    pub async fn begin(&self, key: &Path) -> Result<String, StoreError> {
        // An upload of parts whose answer was lost has no parts, and is removed when it is stale.
        let begin = || self.s3.create_multipart(key);
        with_timeout(&format!("beginning {key}"), 0, begin).await
    }

    /// Stores one part.
    pub async fn put_part(
        &self,
        key: &Path,
        upload: &String,
        number: usize,
        content: PutPayload,
    ) -> Result<PartId, StoreError> {
        let len = content.content_length();
        let put = || self.bulk.put_part(key, upload, number, content.clone());
        with_timeout(&format!("storing part {number} of {key}"), len, put).await
    }

    /// Makes a file of its parts, `size` bytes in all.
    pub async fn complete(
        &self,
        key: &Path,
        upload: &String,
        parts: Vec<PartId>,
        size: u64,
    ) -> Result<(), StoreError> {
        // Putting thousands of parts together can take minutes.
        let len = (size / 64).min(COMPLETE_SECONDS * MIN_RATE);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let complete = || self.bulk.complete_multipart(key, upload, parts.clone());
        let completed = with_timeout(&format!("completing {key}"), len, complete).await;
        match completed {
            Ok(_) => Ok(()),
            // One whose answer was lost is not there to be completed again.
            Err(error) => match self.head(key).await? {
                Some(meta) if meta.size == size => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Gives up a file of several parts.
    pub async fn abort(&self, key: &Path, upload: &String) {
        match self.s3.abort_multipart(key, upload).await {
            Err(error) if !is_absent(&error) => {
                let said = message(&error);
                tracing::warn!(%key, error = said, "cannot abort a multipart upload; it is removed when it is stale");
            }
            _ => {}
        }
    }

    /// The whole of a small object, with its ETag and attributes; `None` when there is none. Of one
    /// that is too large nothing more is fetched.
    pub async fn read(&self, key: &Path) -> Result<Option<Small>, StoreError> {
        let reading = |error: &Error| classify(&format!("reading {key}"), error);
        let found = match self.get(key, GetOptions::default()).await {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(reading(&error)),
        };
        let (meta, attributes) = (found.meta.clone(), found.attributes.clone());
        let mut body = found.into_stream();
        let mut content = Vec::new();
        // A store that does not say how large it is can send any number of bytes.
        let mut size = meta.size;
        while size <= LARGEST
            && let Some(block) = body.try_next().await.map_err(|error| reading(&error))?
        {
            content.extend_from_slice(&block);
            size = content.len() as u64;
        }
        let content = match size <= LARGEST {
            true => SmallContent::of(content),
            false => SmallContent::TooLarge,
        };
        Ok(Some(Small {
            content,
            tag: meta.e_tag,
            attributes,
        }))
    }
}

/// How long a request may take that sends `len` bytes.
fn timeout_for(len: usize) -> Duration {
    Duration::from_secs(10 + len as u64 / MIN_RATE)
}

/// Sends a transfer again that hangs, or of which the store says that it came too slowly or not as
/// it was. The client of the library retries one that fails, with its own pauses; here there is
/// none, for the time-out was one: no policy of back-off fits.
async fn with_timeout<T, F: Future<Output = Result<T, Error>>>(
    doing: &str,
    len: usize,
    transfer: impl Fn() -> F,
) -> Result<T, StoreError> {
    let timeout = timeout_for(len);
    for again in (0..MAX_TRIES).rev() {
        match tokio::time::timeout(timeout, transfer()).await {
            Ok(Err(error)) if again > 0 && is_retryable(&error) => {
                tracing::info!("{doing} is sent again: {}", message(&error));
            }
            Ok(result) => return result.map_err(|error| classify(doing, &error)),
            Err(_) => tracing::info!("{doing} takes longer than {timeout:?}"),
        }
    }
    Err(StoreError::Unavailable(format!(
        "{doing}: no answer within {timeout:?}, {MAX_TRIES} times"
    )))
}
