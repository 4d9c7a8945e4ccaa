//! The parts of the index that were compared with the store.

use super::samples::{at, manifest, name};
use crate::catalog::{Catalog, CatalogError, Listed};
use crate::model::Prefix;

/// An index that was not compared with the store finds an upload by its id, and no names.
pub async fn all(catalog: &dyn Catalog) {
    let unverified = catalog.unverified().await.unwrap();
    assert!(unverified.prefixes.iter().copied().eq(Prefix::all()));
    let known = manifest(1, &["a"]);
    assert!(catalog.record(&known).await.unwrap());
    assert!(catalog.find(&known.id).await.unwrap().is_some());
    let newest = async |text: &str| catalog.newest(&name(text), at(9), &[]).await;
    // A newer upload than the known one may be missing.
    for text in ["a", "b"] {
        assert!(matches!(newest(text).await, Err(CatalogError::Rebuilding)));
    }
    assert!(matches!(
        catalog.list(None, 1, at(9), &Listed::All.into()).await,
        Err(CatalogError::Rebuilding)
    ));
    assert!(catalog.mark_verified(unverified).await.unwrap());
    assert!(catalog.unverified().await.unwrap().is_empty());
    assert_eq!(newest("a").await.unwrap(), Some(known.id));
    assert_eq!(newest("b").await.unwrap(), None);
    let listed = catalog
        .list(None, 1, at(9), &Listed::All.into())
        .await
        .unwrap();
    assert_eq!(listed.entries.len(), 1);
}
