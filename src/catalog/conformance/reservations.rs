//! The uses of limited downloads.

use std::time::Duration;

use super::samples::manifest;
use crate::catalog::{Catalog, Limit, Reserved};
use crate::model::Manifest;

const TTL: Duration = Duration::from_secs(60);

/// No more uses are reserved than are left.
pub async fn all(catalog: &dyn Catalog) {
    let mut upload = Manifest {
        max_downloads: Some(2),
        ..manifest(1, &[])
    };
    catalog.record(&upload).await.unwrap();
    let reserve = async |upload: &Manifest| {
        let limit = Limit::of(upload).unwrap();
        catalog.reserve(&limit, TTL).await.unwrap()
    };
    let (Reserved::Use(first), Reserved::Use(second)) =
        (reserve(&upload).await, reserve(&upload).await)
    else {
        panic!("two uses are there");
    };
    assert_eq!(reserve(&upload).await, Reserved::Busy);
    catalog.release(&upload.id, first).await.unwrap();
    catalog.release(&upload.id, first).await.unwrap();
    let Reserved::Use(third) = reserve(&upload).await else {
        panic!("one was released")
    };
    catalog.commit(&upload.id, second, 1).await.unwrap();
    // The manifest that was read before says nothing of the use spent since.
    assert_eq!(reserve(&upload).await, Reserved::Busy);
    upload.used = 1;
    assert_eq!(reserve(&upload).await, Reserved::Busy);
    catalog.commit(&upload.id, third, 2).await.unwrap();
    assert_eq!(reserve(&upload).await, Reserved::Spent);
}
