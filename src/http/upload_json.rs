//! An upload as JSON.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::form::display_name;
use crate::model::{Manifest, RawText, StoredFile};

/// What stands for itself in a path segment (RFC 3986 section 3.3, and no more than that).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The upload as everybody sees it; URLs begin with `base`.
pub fn show(manifest: &Manifest, base: &str) -> Value {
    let files: Vec<Value> = manifest
        .files()
        .map(|(field, file)| file_json(manifest, field, file, base))
        .collect();
    let mut fields = Map::new();
    for field in manifest.fields() {
        let values = fields
            .entry(name(&field.field))
            .or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(json!(field.value.to_text()));
        }
    }
    let first = files.first();
    let of_first = |key: &str| first.map_or(Value::Null, |file| file[key].clone());
    let url = match files.as_slice() {
        [only] => only["url"].clone(),
        _ => json!(format!("{base}/download/{}", manifest.id)),
    };
    json!({
        "id": manifest.id,
        "url": url,
        "name": of_first("name"),
        "size": of_first("size"),
        "type": of_first("type"),
        "sha256": of_first("sha256"),
        "files": files,
        "fields": fields,
        "created_at": manifest.created_at.to_string(),
        "expires_at": manifest.expires_at.map(|time| time.to_string()),
        "max_downloads": manifest.max_downloads,
    })
}

/// The same with its secret, for who has just stored it.
pub fn created(manifest: &Manifest, base: &str, delete_token: &str) -> Value {
    let mut upload = show(manifest, base);
    upload["delete_token"] = json!(delete_token);
    upload
}

/// The address of one file's bytes.
pub fn file_url(manifest: &Manifest, file: &StoredFile, base: &str) -> String {
    format!(
        "{base}/files/{}/{}",
        manifest.id,
        utf8_percent_encode(file.name.as_str(), SEGMENT)
    )
}

fn file_json(manifest: &Manifest, field: &RawText, file: &StoredFile, base: &str) -> Value {
    json!({
        "field": name(field),
        "name": file.name,
        "size": file.size,
        "type": file.media_type,
        "sha256": file.sha256,
        "url": file_url(manifest, file, base),
    })
}

/// A field name as people read it.
fn name(field: &RawText) -> String {
    String::from_utf8_lossy(&display_name(field.as_bytes())).into_owned()
}
