//! Deadlines.

use std::time::Duration;

use super::samples::{at, manifest};
use crate::catalog::Catalog;
use crate::model::{Manifest, UploadId};

/// Uploads are due at their deadlines, and again when they were postponed.
pub async fn all(catalog: &dyn Catalog, pause: Duration) {
    let upload = |expires_at| Manifest {
        expires_at,
        ..manifest(1, &[])
    };
    let (never, late, soon) = (upload(None), upload(Some(at(30))), upload(Some(at(20))));
    assert_eq!(catalog.next_due().await.unwrap(), None);
    for upload in [&never, &late, &soon] {
        catalog.record(upload).await.unwrap();
    }
    let told = tokio::time::timeout(Duration::from_secs(5), catalog.wait_for_earlier()).await;
    assert!(told.is_ok(), "a nearer deadline is told");
    tokio::time::sleep(pause).await;
    assert_eq!(catalog.next_due().await.unwrap(), Some(at(20)));
    let due = async |now, limit| catalog.due(at(now), limit, at(now)).await.unwrap();
    assert!(due(19, 9).await.is_empty());
    assert_eq!(due(20, 9).await, [soon.id]);
    assert_eq!(due(30, 9).await, [soon.id, late.id]);
    assert_eq!(due(30, 1).await.len(), 1);
    catalog.postpone(&soon.id, at(40)).await.unwrap();
    tokio::time::sleep(pause).await;
    assert_eq!(due(30, 9).await, [late.id]);
    assert_eq!(due(40, 9).await, [late.id, soon.id]);
    let taken = catalog.due(at(50), 9, at(60)).await.unwrap();
    assert_eq!(taken.len(), 2);
    assert!(due(59, 9).await.is_empty(), "what was taken waits");
    assert_eq!(catalog.next_due().await.unwrap(), Some(at(60)));
    for upload in [&late, &soon] {
        catalog.postpone(&upload.id, at(40)).await.unwrap();
    }
    catalog.postpone(&never.id, at(1)).await.unwrap();
    catalog
        .postpone(&UploadId::generate().unwrap(), at(1))
        .await
        .unwrap();
    assert_eq!(due(1, 9).await, [never.id], "what is unknown is never due");
    catalog.record(&never).await.unwrap();
    let spent = Manifest {
        max_downloads: Some(1),
        used: 1,
        ..manifest(1, &[])
    };
    catalog.record(&spent).await.unwrap();
    assert_eq!(due(1, 9).await, [spent.id]);
    let prolonged = Manifest {
        generation: 2,
        expires_at: None,
        ..late.clone()
    };
    catalog.record(&prolonged).await.unwrap();
    catalog.remove(&spent.id, &[]).await.unwrap();
    tokio::time::sleep(pause).await;
    assert_eq!(due(40, 9).await, [soon.id]);
}
