//! The members of a record, in the order in which people read them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::archive::Format;
use crate::delivery::Summary;
use crate::model::{Digest, FileName, Manifest, StoredFile, Timestamp, Title, UploadId};

/// Characters that stand for themselves in a path segment (RFC 3986 section 3.3, and no more than
/// that).
pub const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The beginning of a record.
#[derive(Serialize)]
pub struct Head<'a> {
    #[serde(flatten)]
    pub addresses: Addresses<'a>,
    pub size: u64,
    pub file_count: usize,
    pub name: Option<&'a FileName>,
    #[serde(rename = "type")]
    pub media_type: Option<&'a str>,
    pub sha256: Option<Digest>,
    pub title: Option<&'a Title>,
}

/// A file in a record, behind its field.
#[derive(Serialize)]
pub struct FileJson<'a> {
    pub name: &'a FileName,
    /// Where it lies below its upload; the name where it came without folders.
    pub path: &'a str,
    pub size: u64,
    #[serde(rename = "type")]
    pub media_type: &'a str,
    pub sha256: Option<Digest>,
    pub url: String,
    pub downloads_left: Option<u64>,
}

/// The end of a record.
#[derive(Serialize)]
pub struct Tail<'a> {
    #[serde(flatten)]
    pub terms: Terms,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_token: Option<&'a str>,
    /// Id and delete token in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manage_key: Option<String>,
}

/// Where an upload is found.
#[derive(Serialize)]
pub struct Addresses<'a> {
    pub id: &'a UploadId,
    /// Of its file, where there is exactly one; else of the upload.
    pub url: String,
    pub upload_url: String,
    pub form_url: String,
    /// Of all files in one; `None` where there is none.
    pub archive_url: Option<String>,
}

/// How long it is kept, and for how many.
#[derive(Serialize)]
pub struct Terms {
    pub created_at: String,
    pub expires_at: Option<String>,
    pub max_downloads: Option<u64>,
    pub downloads_left: Option<u64>,
    /// Whether it asks for a password. None does yet.
    pub protected: bool,
}

/// An upload in a listing: what the index knows of it.
#[derive(Serialize)]
pub struct SummaryJson<'a> {
    #[serde(flatten)]
    pub addresses: Addresses<'a>,
    pub size: u64,
    pub file_count: usize,
    pub name: Option<&'a FileName>,
    #[serde(rename = "type")]
    pub media_type: Option<&'a str>,
    pub sha256: Option<Digest>,
    pub title: Option<&'a Title>,
    #[serde(flatten)]
    pub terms: Terms,
}

impl<'a> Addresses<'a> {
    pub fn of(id: &'a UploadId, only: Option<&FileName>, files: usize, base: &str) -> Self {
        Addresses {
            id,
            url: match only {
                Some(name) => address(id, name, base),
                None => upload_url(id, base),
            },
            upload_url: upload_url(id, base),
            form_url: form_url(id, base),
            archive_url: (files > 0).then(|| archive_url(id, Format::Zip, base)),
        }
    }
}

impl Terms {
    pub fn of(
        created_at: Timestamp,
        expires_at: Option<Timestamp>,
        max_downloads: Option<u64>,
        downloads_left: Option<u64>,
    ) -> Self {
        Terms {
            created_at: created_at.to_string(),
            expires_at: expires_at.map(|time| time.to_string()),
            max_downloads,
            downloads_left,
            protected: false,
        }
    }
}

/// A summary; its addresses begin with `base`.
pub fn summary<'a>(upload: &'a Summary, base: &str) -> SummaryJson<'a> {
    let name = upload.name.as_ref();
    let (max, left) = match upload.downloads {
        Some(downloads) => (Some(downloads.max), Some(downloads.left)),
        None => (None, None),
    };
    SummaryJson {
        addresses: Addresses::of(&upload.id, name, upload.file_count, base),
        size: upload.size,
        file_count: upload.file_count,
        name,
        media_type: upload.shown.media_type.as_deref(),
        sha256: upload.shown.sha256,
        title: upload.shown.title.as_ref(),
        terms: Terms::of(upload.created_at, upload.expires_at, max, left),
    }
}

/// The address of an upload: its record for programs, its page for people.
pub fn upload_url(id: &UploadId, base: &str) -> String {
    [base, "/uploads/", id.as_str()].concat()
}

/// The address of an upload as a form.
pub fn form_url(id: &UploadId, base: &str) -> String {
    [base, "/download/", id.as_str()].concat()
}

/// The address of all files of an upload in one.
pub fn archive_url(id: &UploadId, format: Format, base: &str) -> String {
    format!("{base}/archive/{id}.{}", format.extension())
}

/// The address of one file's bytes.
pub fn file_url(manifest: &Manifest, file: &StoredFile, base: &str) -> String {
    address(&manifest.id, &file.name, base)
}

/// The same of a file of this name.
pub fn address(id: &UploadId, name: &FileName, base: &str) -> String {
    let name = utf8_percent_encode(name.as_str(), SEGMENT);
    format!("{base}/files/{id}/{name}")
}

/// The file of an upload that has exactly one.
pub fn only_file(manifest: &Manifest) -> Option<&StoredFile> {
    let mut files = manifest.files();
    match (files.next(), files.next()) {
        (Some((_, only)), None) => Some(only),
        _ => None,
    }
}
