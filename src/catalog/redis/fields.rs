//! The fields of a record in Redis, and what they say of an upload.

use crate::catalog::{Downloads, IndexEntry};
use crate::model::{FileName, Timestamp, UploadId};

/// The downloads of an upload that an older version, which did not know them, has recorded.
pub const UNKNOWN: &str = "?";

/// Reads generation, creation, deadline, bytes, names, downloads and what is shown of a record.
pub fn entry(id: UploadId, fields: &[String]) -> Option<IndexEntry> {
    let [generation, created, deadline, size, names, downloads, shown] = fields else {
        return None;
    };
    let time = |text: &str| Some(Timestamp::from_millis(text.parse().ok()?));
    let mut names = names.split('/').skip(1);
    let (first, others) = (names.next(), names.count());
    let name = first.filter(|_| others == 0);
    let limited = || {
        let (max, left) = downloads.split_once(' ')?;
        let (max, left) = (max.parse().ok()?, left.parse().ok()?);
        Some(Downloads { max, left })
    };
    let facts = || {
        let (of, facts) = shown.split_once(' ')?;
        // A record that an older version has made since has other facts.
        let facts = Some(facts).filter(|_| of == generation)?;
        serde_json::from_str(facts).ok()
    };
    Some(IndexEntry {
        id,
        generation: generation.parse().ok()?,
        created_at: time(created)?,
        expires_at: time(deadline),
        size: size.parse().ok()?,
        file_count: usize::from(first.is_some()) + others,
        name: name.and_then(|name| FileName::parse(name).ok()),
        downloads: (downloads != UNKNOWN).then(limited),
        shown: facts(),
    })
}
