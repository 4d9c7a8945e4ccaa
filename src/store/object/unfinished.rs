//! Files of several parts that were begun and not ended.

use std::io::BufReader;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use object_store::client::{HttpRequest, HttpRequestBody};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};
use serde::Deserialize;

use super::Inner;
use super::error::{element, sort};
use crate::model::Timestamp;
use crate::store::StoreError;

/// How long the signature of a listing is good.
const SIGNED_FOR: Duration = Duration::from_secs(60);

/// A file that was begun.
pub struct Unfinished {
    pub key: Path,
    /// What the store calls it.
    pub upload: String,
    pub begun: Timestamp,
}

/// The answer to a ListMultipartUploads request (S3).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
    #[serde(default)]
    upload: Vec<Upload>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    upload_id: String,
    initiated: String,
}

impl Inner {
    /// What is unfinished of the keys that begin with `begin`. A store that cannot say has its
    /// own rule to remove them: the log says so once.
    pub async fn unfinished(&self, begin: &str) -> Result<Vec<Unfinished>, StoreError> {
        let mut found = Vec::new();
        let mut markers: Vec<(&str, String)> = Vec::new();
        loop {
            let Some(page) = self.page(begin, markers).await? else {
                return Ok(found);
            };
            found.extend(page.upload.into_iter().filter_map(|upload| {
                Some(Unfinished {
                    key: Path::parse(upload.key).ok()?,
                    upload: upload.upload_id,
                    begun: begun(&upload.initiated),
                })
            }));
            match (page.next_key_marker, page.next_upload_id_marker) {
                (Some(key), Some(upload)) if page.is_truncated => {
                    markers = vec![("key-marker", key), ("upload-id-marker", upload)];
                }
                _ => return Ok(found),
            }
        }
    }

    /// One page of the listing, which the library cannot ask for; it signs the request.
    async fn page(
        &self,
        begin: &str,
        markers: Vec<(&str, String)>,
    ) -> Result<Option<Page>, StoreError> {
        static SAID: AtomicBool = AtomicBool::new(false);
        let doing = || format!("listing unfinished files of {begin}*");
        let failed = |why: String| StoreError::Unavailable(format!("{}: {why}", doing()));
        let options = SignedUrlOptions::new()
            .with_query([("uploads", ""), ("prefix", begin)])
            .with_query(markers);
        let (s3, bucket) = (self.client.s3(), Path::ROOT);
        let signed = s3.signed_url_opts(Method::GET, &bucket, SIGNED_FOR, &options);
        let url = signed.await.map_err(|error| sort(&doing(), &error))?;
        let request = HttpRequest::new(HttpRequestBody::empty());
        let (mut head, body) = request.into_parts();
        head.uri = url
            .as_str()
            .parse()
            .map_err(|_| failed("no address".to_owned()))?;
        let answer = self
            .client
            .http()
            .execute(HttpRequest::from_parts(head, body))
            .await;
        let (head, body) = answer
            .map_err(|error| failed(error.to_string()))?
            .into_parts();
        let body = body
            .bytes()
            .await
            .map_err(|error| failed(error.to_string()))?;
        // Its code alone: an answer can repeat the request, its signature and all.
        let text = String::from_utf8_lossy(&body);
        let text = element(&text, "Code").unwrap_or_default();
        if head.status.is_server_error() && head.status.as_u16() != 501 {
            return Err(failed(format!("{}: {text}", head.status)));
        }
        if !head.status.is_success() {
            if !SAID.swap(true, Ordering::Relaxed) {
                let status = head.status.as_u16();
                tracing::warn!(
                    status,
                    answer = text,
                    "the store does not list unfinished multipart uploads: a lifecycle rule of the bucket has to remove them"
                );
            }
            return Ok(None);
        }
        let page = quick_xml::de::from_reader(BufReader::new(&*body));
        page.map(Some).map_err(|error| failed(error.to_string()))
    }
}

/// When a file was begun; one of which that cannot be told is taken for a new one.
fn begun(initiated: &str) -> Timestamp {
    let time: Result<jiff::Timestamp, _> = initiated.parse();
    Timestamp::from_millis(time.map_or(i64::MAX, |time| time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_read() {
        let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Bucket>b</Bucket><KeyMarker></KeyMarker><UploadIdMarker></UploadIdMarker>
  <NextKeyMarker>k2</NextKeyMarker><NextUploadIdMarker>u2</NextUploadIdMarker>
  <MaxUploads>2</MaxUploads><IsTruncated>true</IsTruncated>
  <Upload><Key>a &amp; b</Key><UploadId>u1</UploadId><StorageClass>STANDARD</StorageClass><Initiated>2010-11-10T20:48:33.000Z</Initiated></Upload>
  <Upload><Key>k2</Key><UploadId>u2</UploadId><Initiated>2010-11-10T20:48:34.000Z</Initiated></Upload>
</ListMultipartUploadsResult>"#;
        let page: Page = quick_xml::de::from_str(xml).unwrap();
        assert!(page.is_truncated);
        assert_eq!(page.next_upload_id_marker.as_deref(), Some("u2"));
        assert_eq!(page.upload[0].key, "a & b");
        let time = begun(&page.upload[1].initiated);
        assert_eq!(time.as_millis(), 1_289_422_114_000);
        assert!(begun("today") > time);
        let none = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>";
        let page: Page = quick_xml::de::from_str(none).unwrap();
        assert!(page.upload.is_empty() && !page.is_truncated);
    }
}
