//! An upload as JSON.

use std::borrow::Cow;
use std::fmt::Display;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::delivery::Summary;
use crate::form::display_name;
use crate::manage;
use crate::model::{Digest, FileName, Manifest, RawText, StoredFile, Timestamp, Title, UploadId};

/// Characters that stand for themselves in a path segment (RFC 3986 section 3.3, and no more than
/// that).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// An upload; in this order, which people read.
#[derive(Serialize)]
pub struct UploadJson<'a> {
    id: &'a UploadId,
    url: String,
    name: Option<&'a FileName>,
    size: Option<u64>,
    #[serde(rename = "type")]
    media_type: Option<&'a str>,
    sha256: Option<Digest>,
    title: Option<&'a Title>,
    files: Vec<FileJson<'a>>,
    fields: Map<String, Value>,
    #[serde(serialize_with = "text")]
    created_at: Timestamp,
    #[serde(serialize_with = "optional_text")]
    expires_at: Option<Timestamp>,
    max_downloads: Option<u64>,
    downloads_left: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_token: Option<&'a str>,
    /// Id and delete token in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    manage_key: Option<String>,
}

/// A file of an upload.
#[derive(Serialize)]
struct FileJson<'a> {
    field: Cow<'a, str>,
    name: &'a FileName,
    size: u64,
    #[serde(rename = "type")]
    media_type: &'a str,
    sha256: Option<Digest>,
    url: String,
    downloads_left: Option<u64>,
}

/// An upload in a listing.
#[derive(Serialize)]
pub struct SummaryJson<'a> {
    id: &'a UploadId,
    url: String,
    name: Option<&'a FileName>,
    size: u64,
    file_count: usize,
    #[serde(serialize_with = "text")]
    created_at: Timestamp,
    #[serde(serialize_with = "optional_text")]
    expires_at: Option<Timestamp>,
    max_downloads: Option<u64>,
    downloads_left: Option<u64>,
}

/// A summary; its URL begins with `base`.
pub fn summary<'a>(upload: &'a Summary, base: &str) -> SummaryJson<'a> {
    SummaryJson {
        id: &upload.id,
        url: match &upload.name {
            Some(name) => address(&upload.id, name, base),
            None => format!("{base}/download/{}", upload.id),
        },
        name: upload.name.as_ref(),
        size: upload.size,
        file_count: upload.file_count,
        created_at: upload.created_at,
        expires_at: upload.expires_at,
        max_downloads: upload.downloads.map(|downloads| downloads.max),
        downloads_left: upload.downloads.map(|downloads| downloads.left),
    }
}

/// The upload as every reader sees it; URLs begin with `base`.
pub fn show<'a>(manifest: &'a Manifest, base: &str) -> UploadJson<'a> {
    let files: Vec<FileJson<'_>> = manifest
        .files()
        .map(|(field, file)| FileJson {
            field: name(field),
            name: &file.name,
            size: file.size,
            media_type: file.served_type(),
            sha256: file.sha256,
            url: file_url(manifest, file, base),
            downloads_left: manifest.downloads_left_of(file),
        })
        .collect();
    let url = match files.as_slice() {
        [only] => only.url.clone(),
        _ => format!("{base}/download/{}", manifest.id),
    };
    let first = files.first();
    UploadJson {
        id: &manifest.id,
        url,
        name: first.map(|file| file.name),
        size: first.map(|file| file.size),
        media_type: first.map(|file| file.media_type),
        sha256: first.and_then(|file| file.sha256),
        title: manifest.title.as_ref(),
        files,
        fields: fields(manifest),
        created_at: manifest.created_at,
        expires_at: manifest.expires_at,
        max_downloads: manifest.max_downloads,
        downloads_left: manifest.downloads_left(),
        delete_token: None,
        manage_key: None,
    }
}

/// The same with its delete token, for the client that has just stored it.
pub fn created<'a>(manifest: &'a Manifest, base: &str, delete_token: &'a str) -> UploadJson<'a> {
    UploadJson {
        delete_token: Some(delete_token),
        manage_key: Some(manage::key(&manifest.id, delete_token)),
        ..show(manifest, base)
    }
}

/// The text fields: all values of each name, in their order.
fn fields(manifest: &Manifest) -> Map<String, Value> {
    let mut fields = Map::new();
    for field in manifest.fields() {
        let values = fields
            .entry(name(&field.field))
            .or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(json!(field.value.to_text()));
        }
    }
    fields
}

/// The address of one file's bytes.
pub fn file_url(manifest: &Manifest, file: &StoredFile, base: &str) -> String {
    address(&manifest.id, &file.name, base)
}

fn address(id: &UploadId, name: &FileName, base: &str) -> String {
    let name = utf8_percent_encode(name.as_str(), SEGMENT);
    format!("{base}/files/{id}/{name}")
}

/// A field name as people read it.
fn name(field: &RawText) -> Cow<'_, str> {
    match display_name(field.as_bytes()) {
        Cow::Borrowed(name) => String::from_utf8_lossy(name),
        Cow::Owned(name) => String::from_utf8_lossy(&name).into_owned().into(),
    }
}

fn text<S: Serializer>(shown: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(shown)
}

fn optional_text<S: Serializer>(
    shown: &Option<impl Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match shown {
        Some(shown) => serializer.collect_str(shown),
        None => serializer.serialize_none(),
    }
}
