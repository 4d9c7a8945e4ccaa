//! The manifests that the suite records.

use crate::catalog::Catalog;
use crate::model::{FileName, Manifest, Part, StoredFile, Timestamp};

pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// A manifest of an upload committed at `millis` with files of these names, of 10 bytes each.
pub fn manifest(millis: i64, names: &[&str]) -> Manifest {
    let file = |name: &&str| Part::sample(StoredFile::sample(name, 10));
    Manifest {
        created_at: at(millis),
        ..Manifest::sample(names.iter().map(file).collect())
    }
}

pub fn name(text: &str) -> FileName {
    FileName::from_upload(text.as_bytes())
}

/// Marks all of an index as compared with the store.
pub async fn mark_verified(catalog: &dyn Catalog) {
    let unverified = catalog.unverified().await.unwrap();
    catalog.mark_verified(unverified).await.unwrap();
}
