//! Multipart uploads that were begun and not completed.

use std::sync::Once;

use object_store::path::Path;
use serde::Deserialize;

use super::inner::BucketInner;
use super::listing::{QueryError, no_end, time};
use crate::model::{Timestamp, UploadId};
use crate::store::StoreError;

/// A file that was begun.
pub struct Unfinished {
    pub key: Path,
    /// The store's id of it.
    pub upload: String,
    pub begun: Timestamp,
}

/// The answer to a ListMultipartUploads request (S3).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UnfinishedPage {
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
    #[serde(default)]
    upload: Vec<ListedUpload>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedUpload {
    key: String,
    upload_id: String,
    initiated: String,
}

/// The answer to a ListParts request (S3).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PartsPage {
    #[serde(default)]
    is_truncated: bool,
    next_part_number_marker: Option<String>,
    #[serde(default)]
    part: Vec<ListedPart>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedPart {
    last_modified: String,
}

impl BucketInner {
    /// The unfinished multipart uploads whose keys begin with `begin`. A store that does not list them
    /// needs a rule of its own to remove them: the log says so once.
    pub async fn unfinished(&self, begin: &str) -> Result<Vec<Unfinished>, StoreError> {
        let mut found = Vec::new();
        let mut markers: Option<(String, String)> = None;
        loop {
            let mut query = vec![("uploads", ""), ("prefix", begin)];
            if let Some((key, upload)) = &markers {
                query.push(("key-marker", key));
                query.push(("upload-id-marker", upload));
            }
            let page: UnfinishedPage = match self.client.get_xml(&Path::ROOT, &query).await {
                Ok(page) => page,
                Err(QueryError::Refused(status, code)) => {
                    static SAID: Once = Once::new();
                    SAID.call_once(|| tracing::warn!(
                        status,
                        answer = code,
                        "the store does not list unfinished multipart uploads: a lifecycle rule of the bucket has to remove them"
                    ));
                    return Ok(found);
                }
                Err(QueryError::Failed(why)) => {
                    let doing = format!("listing unfinished files of {begin}*");
                    return Err(StoreError::Unavailable(format!("{doing}: {why}")));
                }
            };
            found.extend(page.upload.into_iter().filter_map(|upload| {
                Some(Unfinished {
                    key: Path::parse(upload.key).ok()?,
                    upload: upload.upload_id,
                    begun: time(&upload.initiated),
                })
            }));
            if !page.is_truncated {
                return Ok(found);
            }
            let next = page.next_key_marker.zip(page.next_upload_id_marker);
            if next.is_none() || next == markers {
                return Err(no_end(&format!("listing unfinished files of {begin}*")));
            }
            markers = next;
        }
    }

    /// When the last part of a file came, or the file was begun. Where the store does not tell,
    /// or has none of it any more, that is now: a file that may be under way is not removed.
    pub async fn touched(&self, file: &Unfinished) -> Timestamp {
        const NOW: Timestamp = Timestamp::from_millis(i64::MAX);
        let mut newest = file.begun;
        let mut marker: Option<String> = None;
        loop {
            let mut query = vec![("uploadId", file.upload.as_str())];
            if let Some(marker) = &marker {
                query.push(("part-number-marker", marker));
            }
            let page: PartsPage = match self.client.get_xml(&file.key, &query).await {
                Ok(page) => page,
                Err(QueryError::Refused(404, _)) => return NOW,
                Err(QueryError::Refused(status, why)) => {
                    static SAID: Once = Once::new();
                    SAID.call_once(|| tracing::warn!(
                        status,
                        answer = why,
                        "the store does not list the parts of unfinished multipart uploads: a lifecycle rule of the bucket has to remove them"
                    ));
                    return NOW;
                }
                Err(QueryError::Failed(why)) => {
                    tracing::warn!(key = %file.key, error = why, "cannot tell whether a multipart upload is under way; it is kept for now");
                    return NOW;
                }
            };
            let times = page.part.iter().map(|part| time(&part.last_modified));
            newest = times.fold(newest, Timestamp::max);
            if !page.is_truncated {
                return newest;
            }
            if page.next_part_number_marker.is_none() || page.next_part_number_marker == marker {
                tracing::warn!(key = %file.key, "the list of a multipart upload's parts has no end; it is kept for now");
                return NOW;
            }
            marker = page.next_part_number_marker;
        }
    }

    /// Aborts the unfinished multipart uploads of an upload that is gone. Where the store fails, the
    /// next comparison finds them again.
    pub async fn abort_unfinished(&self, id: &UploadId) {
        match self.unfinished(&self.layout.files(id)).await {
            Ok(found) => {
                for unfinished in found {
                    self.client.abort(&unfinished.key, &unfinished.upload).await;
                }
            }
            Err(error) => {
                tracing::warn!(upload_id = %id, %error, "cannot list unfinished multipart uploads; the next comparison aborts them")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_read() {
        let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Bucket>b</Bucket><KeyMarker></KeyMarker><UploadIdMarker></UploadIdMarker>
  <NextKeyMarker>k2</NextKeyMarker><NextUploadIdMarker>u2</NextUploadIdMarker>
  <MaxUploads>2</MaxUploads><IsTruncated>true</IsTruncated>
  <Upload><Key>a &amp; b</Key><UploadId>u1</UploadId><StorageClass>STANDARD</StorageClass><Initiated>2010-11-10T20:48:33.000Z</Initiated></Upload>
  <Upload><Key>k2</Key><UploadId>u2</UploadId><Initiated>2010-11-10T20:48:34.000Z</Initiated></Upload>
</ListMultipartUploadsResult>"#;
        let page: UnfinishedPage = quick_xml::de::from_str(xml).unwrap();
        assert!(page.is_truncated);
        assert_eq!(page.next_upload_id_marker.as_deref(), Some("u2"));
        assert_eq!(page.upload[0].key, "a & b");
        assert_eq!(
            time(&page.upload[1].initiated).as_millis(),
            1_289_422_114_000
        );
        let none = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>";
        let page: UnfinishedPage = quick_xml::de::from_str(none).unwrap();
        assert!(page.upload.is_empty() && !page.is_truncated);
        let parts = r#"<ListPartsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Key>k</Key><UploadId>u</UploadId><PartNumberMarker>1</PartNumberMarker><NextPartNumberMarker>3</NextPartNumberMarker>
  <MaxParts>2</MaxParts><IsTruncated>true</IsTruncated>
  <Part><PartNumber>2</PartNumber><LastModified>2010-11-10T20:48:34.000Z</LastModified><Size>5</Size></Part>
  <Part><PartNumber>3</PartNumber><LastModified>2010-11-10T20:48:33.000Z</LastModified><Size>5</Size></Part>
</ListPartsResult>"#;
        let page: PartsPage = quick_xml::de::from_str(parts).unwrap();
        assert!(page.is_truncated && page.part.len() == 2);
        assert_eq!(page.next_part_number_marker.as_deref(), Some("3"));
    }
}
