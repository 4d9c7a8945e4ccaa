//! Listings that the library cannot ask for, or gives up where a key is no path of its own: it
//! signs the requests, and they are sent from here.

use std::io::BufReader;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use futures_util::TryStreamExt as _;
use http::Method;
use object_store::client::{HttpRequest, HttpRequestBody, HttpResponseBody};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::client::BucketClient;
use super::error::{classify, element};
use crate::model::Timestamp;
use crate::store::StoreError;

/// How long a signature is good.
const SIGNED_FOR: Duration = Duration::from_secs(60);
/// How often a request is sent again that fails.
const MAX_RETRIES: usize = 6;
/// The pause before the first retry, doubled each time: 6 s in all.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// The most bytes of an answer: a page has a thousand keys of 1 KiB, which escapes make six times as
/// long at worst.
const LARGEST_ANSWER: usize = 16 << 20;

/// Why a query has no answer.
pub enum QueryError {
    /// The store refuses, and would do so again: with this status and code.
    Refused(u16, String),
    /// All tries failed; the last one so.
    Failed(String),
}

/// A page of a listing of objects (S3, ListObjectsV2).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ObjectPage {
    /// Not to be left out: an answer that is none, from something before the store, has none.
    is_truncated: bool,
    next_continuation_token: Option<String>,
    #[serde(default)]
    contents: Vec<ListedContent>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedContent {
    key: String,
    last_modified: String,
    size: Option<u64>,
    e_tag: Option<String>,
}

/// An object as a listing has it.
pub struct ListedObject {
    pub key: Path,
    pub changed: Timestamp,
    /// Bytes, where the store says so.
    pub size: Option<u64>,
    /// Its ETag, where the store says so.
    pub tag: Option<String>,
}

impl BucketClient {
    /// The answer to a GET with this query.
    pub async fn get_xml<T: DeserializeOwned>(
        &self,
        key: &Path,
        query: &[(&str, &str)],
    ) -> Result<T, QueryError> {
        let delays = ExponentialBuilder::new()
            .with_min_delay(RETRY_DELAY)
            .with_max_times(MAX_RETRIES);
        (|| self.get_xml_once(key, query))
            .retry(delays)
            .when(|error| matches!(error, QueryError::Failed(_)))
            .await
    }

    async fn get_xml_once<T: DeserializeOwned>(
        &self,
        key: &Path,
        query: &[(&str, &str)],
    ) -> Result<T, QueryError> {
        let failed = |why: &dyn ToString| QueryError::Failed(why.to_string());
        let options = SignedUrlOptions::new().with_query(query.iter().copied());
        let signed = self
            .s3()
            .signed_url_opts(Method::GET, key, SIGNED_FOR, &options)
            .await;
        let url = signed.map_err(|error| failed(&classify("signing", &error)))?;
        let url = self.as_sent(url);
        let (mut head, body) = HttpRequest::new(HttpRequestBody::empty()).into_parts();
        head.uri = url.as_str().parse().map_err(|error| failed(&error))?;
        let request = HttpRequest::from_parts(head, body);
        let answer = self.http().execute(request).await;
        let (head, body) = answer.map_err(|error| failed(&error))?.into_parts();
        let body = bounded(body).await.map_err(|why| failed(&why))?;
        if head.status.is_success() {
            let read = quick_xml::de::from_reader(BufReader::new(&body[..]));
            return read.map_err(|error| failed(&error));
        }
        // Its code alone: an answer can repeat the request, its signature and all.
        let text = String::from_utf8_lossy(&body);
        let code = element(&text, "Code").unwrap_or_default();
        // A request that is not implemented (501) will not be the next time. A refusal without a code is not
        // the store's own, and a bucket that is gone may be back.
        let passes = matches!(head.status.as_u16(), 408 | 429 | 500 | 502..)
            || matches!(
                code,
                "" | "NoSuchBucket" | "RequestTimeout" | "OperationAborted"
            );
        match passes {
            true => Err(failed(&format!("{}: {code}", head.status))),
            false => Err(QueryError::Refused(head.status.as_u16(), code.to_owned())),
        }
    }

    /// A page of the objects whose keys begin with `begin`, sorted by their keys, and the
    /// token of the next page. An object whose key wharf cannot have given, with an empty part in it or
    /// the like, is left out.
    pub async fn page(
        &self,
        begin: &str,
        token: Option<&str>,
    ) -> Result<(Vec<ListedObject>, Option<String>), StoreError> {
        let mut query = vec![("list-type", "2"), ("prefix", begin)];
        query.extend(token.map(|token| ("continuation-token", token)));
        let page: ObjectPage = self.get_xml(&Path::ROOT, &query).await.map_err(|why| {
            let doing = format!("listing {begin}*");
            match why {
                QueryError::Failed(why) => StoreError::Unavailable(format!("{doing}: {why}")),
                QueryError::Refused(status, code) => {
                    StoreError::Unavailable(format!("{doing}: {status}: {code}"))
                }
            }
        })?;
        let mut listed = Vec::with_capacity(page.contents.len());
        for content in page.contents {
            match Path::parse(&content.key) {
                Ok(key) if key.as_ref() == content.key => listed.push(ListedObject {
                    key,
                    changed: time(&content.last_modified),
                    size: content.size,
                    tag: content.e_tag,
                }),
                // With a slash at its end, as some programs mark a folder.
                Ok(_) => {}
                Err(_) => {
                    tracing::warn!(
                        key = content.key,
                        "ignoring an object that wharf did not store"
                    );
                }
            }
        }
        let next = page.next_continuation_token.filter(|_| page.is_truncated);
        if page.is_truncated
            && (next.as_deref().is_none_or(str::is_empty) || next.as_deref() == token)
        {
            return Err(no_end(&format!("listing {begin}*")));
        }
        Ok((listed, next))
    }
}

/// The bytes of an answer.
async fn bounded(body: HttpResponseBody) -> Result<Vec<u8>, String> {
    let (mut body, mut bytes) = (body.bytes_stream(), Vec::new());
    while let Some(block) = body.try_next().await.map_err(|error| error.to_string())? {
        bytes.extend_from_slice(&block);
        if bytes.len() > LARGEST_ANSWER {
            return Err(format!("the answer has more than {LARGEST_ANSWER} bytes"));
        }
    }
    Ok(bytes)
}

/// The error of a listing that says that there is more, and not where.
pub fn no_end(doing: &str) -> StoreError {
    StoreError::Unavailable(format!(
        "{doing}: the store says that there is more, and does not say where it goes on"
    ))
}

/// A time in an answer; one that cannot be read counts as new.
pub fn time(text: &str) -> Timestamp {
    let time: Result<jiff::Timestamp, _> = text.parse();
    Timestamp::from_millis(time.map_or(i64::MAX, |time| time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_objects_is_read() {
        let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>b</Name><Prefix>up/</Prefix><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated>
  <NextContinuationToken>t/+=</NextContinuationToken>
  <Contents><Key>a &amp; b</Key><LastModified>2010-11-10T20:48:34.000Z</LastModified><ETag>"x"</ETag><Size>1</Size></Contents>
  <Contents><Key>a//b</Key><LastModified>today</LastModified></Contents>
</ListBucketResult>"#;
        let page: ObjectPage = quick_xml::de::from_str(xml).unwrap();
        assert_eq!(page.next_continuation_token.as_deref(), Some("t/+="));
        assert_eq!(page.contents[0].key, "a & b");
        let changed = time(&page.contents[0].last_modified);
        assert_eq!(changed.as_millis(), 1_289_422_114_000);
        assert!(time(&page.contents[1].last_modified) > changed);
        assert_eq!(
            (page.contents[0].size, page.contents[1].size),
            (Some(1), None)
        );
        assert_eq!(page.contents[0].e_tag.as_deref(), Some("\"x\""));
        assert_eq!(page.contents[1].e_tag, None);
        let none = "<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>";
        let page: ObjectPage = quick_xml::de::from_str(none).unwrap();
        assert!(page.contents.is_empty() && !page.is_truncated);
        let other = "<html><body>It works</body></html>";
        assert!(quick_xml::de::from_str::<ObjectPage>(other).is_err());
    }
}
