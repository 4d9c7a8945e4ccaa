//! The index itself: generations, names, the listing.

use std::time::Duration;

use super::samples::{at, manifest, name};
use crate::catalog::{
    Catalog, Cursor, Downloads, IndexEntry, ListFilter, Listed, ShownFacts, Stats,
};
use crate::model::{IdBeginning, Manifest, UploadId};

async fn ids(
    catalog: &dyn Catalog,
    after: Option<Cursor>,
    limit: usize,
    now: i64,
) -> Vec<UploadId> {
    let (mut ids, mut after) = (Vec::new(), after);
    while ids.len() < limit {
        let stretch = catalog
            .list(after, limit - ids.len(), at(now), &Listed::All.into())
            .await;
        let stretch = stretch.unwrap();
        ids.extend(stretch.entries.iter().map(|entry| entry.id));
        after = stretch.next;
        if after.is_none() {
            break;
        }
    }
    ids
}

pub async fn generations(catalog: &dyn Catalog, pause: Duration) {
    let mut upload = manifest(1, &["a", "b"]);
    assert!(catalog.record(&upload).await.unwrap());
    tokio::time::sleep(pause).await;
    assert!(!catalog.update(&manifest(1, &["a"])).await.unwrap());
    assert_eq!(catalog.stats().await.unwrap().uploads, 1);
    let old = upload.clone();
    upload.generation = 3;
    upload.expires_at = Some(at(100));
    assert!(catalog.record(&upload).await.unwrap());
    assert!(!catalog.record(&old).await.unwrap());
    assert!(!catalog.update(&old).await.unwrap());
    assert!(catalog.record(&upload).await.unwrap());
    assert!(catalog.update(&upload).await.unwrap());
    let entry = IndexEntry {
        id: upload.id,
        generation: 3,
        created_at: at(1),
        expires_at: Some(at(100)),
        size: 20,
        file_count: 2,
        name: None,
        downloads: Some(None),
        shown: Some(ShownFacts::default()),
    };
    assert_eq!(catalog.find(&upload.id).await.unwrap(), Some(entry));
    assert_eq!(
        catalog.with_prefix(upload.id.prefix()).await.unwrap(),
        [upload.id]
    );
    let stats = Stats {
        uploads: 1,
        bytes: upload.room(),
    };
    assert_eq!(catalog.stats().await.unwrap(), stats);
    for _ in 0..2 {
        catalog.remove(&upload.id, &[]).await.unwrap();
        tokio::time::sleep(pause).await;
        assert_eq!(catalog.find(&upload.id).await.unwrap(), None);
        assert_eq!(catalog.stats().await.unwrap(), Stats::default());
        assert!(
            catalog
                .with_prefix(upload.id.prefix())
                .await
                .unwrap()
                .is_empty()
        );
    }
}

pub async fn newest(catalog: &dyn Catalog, pause: Duration) {
    let (first, second, third) = (
        manifest(1, &["a", "b"]),
        manifest(2, &["a"]),
        manifest(2, &["a"]),
    );
    let mut last = manifest(3, &["a"]);
    last.expires_at = Some(at(10));
    for upload in [&second, &last, &first, &third] {
        catalog.record(upload).await.unwrap();
    }
    tokio::time::sleep(pause).await;
    let newest = async |text: &str, now| catalog.newest(&name(text), at(now), &[]).await.unwrap();
    assert_eq!(newest("a", 9).await, Some(last.id));
    let tied = second.id.max(third.id);
    assert_eq!(newest("a", 10).await, Some(tied));
    let skipping = catalog.newest(&name("a"), at(9), &[last.id, tied]).await;
    assert_eq!(skipping.unwrap(), Some(second.id.min(third.id)));
    assert_eq!(newest("b", 10).await, Some(first.id));
    assert_eq!(newest("c", 10).await, None);
    assert_eq!(newest("A", 10).await, None);
    catalog.remove(&tied, &[]).await.unwrap();
    assert_eq!(newest("a", 10).await, Some(second.id.min(third.id)));
    // Behind more candidates that are over than are asked for at once, many of one time.
    let oldest = manifest(1, &["d"]);
    catalog.record(&oldest).await.unwrap();
    for millis in (2..).step_by(25).take(3).flat_map(|at| [at; 25]) {
        let mut over = manifest(millis, &["d"]);
        over.expires_at = Some(at(10));
        catalog.record(&over).await.unwrap();
    }
    assert_eq!(newest("d", 10).await, Some(oldest.id));
}

/// An upload whose downloads are limited later leaves its names and the listing, and one whose
/// limit is taken away comes into them.
pub async fn limits_that_change(catalog: &dyn Catalog, pause: Duration) {
    let older = manifest(1, &["a"]);
    catalog.record(&older).await.unwrap();
    let mut upload = manifest(2, &["a", "b"]);
    catalog.record(&upload).await.unwrap();
    let found = async || {
        let newest = async |text: &str| catalog.newest(&name(text), at(9), &[]).await.unwrap();
        let listed = catalog
            .list(None, 9, at(9), &Listed::Unlimited.into())
            .await;
        let listed = listed.unwrap().entries.len();
        (newest("a").await, newest("b").await, listed)
    };
    for _ in 0..2 {
        tokio::time::sleep(pause).await;
        assert_eq!(found().await, (Some(upload.id), Some(upload.id), 2));
        upload.generation += 1;
        upload.max_downloads = Some(3);
        assert!(catalog.update(&upload).await.unwrap());
        assert_eq!(found().await, (Some(older.id), None, 1));
        // One that changes nothing of that.
        upload.generation += 1;
        upload.expires_at = Some(at(100));
        assert!(catalog.update(&upload).await.unwrap());
        tokio::time::sleep(pause).await;
        assert_eq!(found().await, (Some(older.id), None, 1));
        upload.generation += 1;
        upload.max_downloads = None;
        assert!(catalog.update(&upload).await.unwrap());
    }
    assert_eq!(found().await, (Some(upload.id), Some(upload.id), 2));
    // Nothing is recorded of an upload that was removed meanwhile.
    catalog.remove(&upload.id, &[]).await.unwrap();
    upload.generation += 1;
    assert!(!catalog.update(&upload).await.unwrap());
    assert_eq!(found().await, (Some(older.id), None, 1));
}

/// A listing by names, and by what ids begin with.
pub async fn filters(catalog: &dyn Catalog, pause: Duration) {
    let mut uploads: Vec<Manifest> = (0..400).map(|i| manifest(i, &["x", "ax"])).collect();
    for place in [3, 200, 390] {
        uploads[place] = manifest(place as i64, &["a", "x"]);
    }
    uploads[200].max_downloads = Some(1);
    for upload in &uploads {
        catalog.record(upload).await.unwrap();
    }
    tokio::time::sleep(pause).await;
    // Two uploads that are recorded last, and so perhaps not written yet.
    let recent = [manifest(1000, &["a"]), manifest(1001, &["x"])];
    for upload in &recent {
        catalog.record(upload).await.unwrap();
    }
    let found = async |filter: &ListFilter, limit: usize| {
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let stretch = catalog.list(after, limit, at(5000), filter).await.unwrap();
            assert!(stretch.entries.len() <= limit);
            ids.extend(stretch.entries.iter().map(|entry| entry.id));
            after = stretch.next;
            if after.is_none() {
                return ids;
            }
        }
    };
    let mut filter = ListFilter {
        names: vec![name("a"), name("b")],
        ..Listed::All.into()
    };
    let all = [
        recent[0].id,
        uploads[390].id,
        uploads[200].id,
        uploads[3].id,
    ];
    for limit in [1, 2, 9] {
        assert_eq!(found(&filter, limit).await, all);
    }
    filter.listed = Listed::Unlimited;
    assert_eq!(found(&filter, 2).await, [all[0], all[1], all[3]]);
    for upload in [&uploads[7], &uploads[390], &recent[1]] {
        let id = IdBeginning::parse(&upload.id.as_str()[..12]).unwrap();
        let mut filter = ListFilter {
            id: Some(id),
            ..Listed::All.into()
        };
        assert_eq!(found(&filter, 1).await, [upload.id]);
        filter.names = vec![name("none")];
        assert!(found(&filter, 1).await.is_empty());
    }
}

pub async fn listing(catalog: &dyn Catalog, pause: Duration) {
    let mut uploads: Vec<Manifest> = (0..20).map(|i| manifest(i / 2, &[])).collect();
    uploads[7].expires_at = Some(at(50));
    for upload in &uploads {
        catalog.record(upload).await.unwrap();
        if upload.created_at == at(4) {
            tokio::time::sleep(pause).await;
        }
    }
    uploads.sort_by_key(|upload| std::cmp::Reverse((upload.created_at, upload.id)));
    let all: Vec<UploadId> = uploads.iter().map(|upload| upload.id).collect();
    assert_eq!(ids(catalog, None, 100, 49).await, all);
    let alive: Vec<UploadId> = uploads
        .iter()
        .filter(|u| u.expires_at.is_none())
        .map(|u| u.id)
        .collect();
    assert_eq!(ids(catalog, None, 100, 50).await, alive);
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let stretch = catalog
            .list(after, 3, at(50), &Listed::All.into())
            .await
            .unwrap();
        assert!(stretch.entries.len() <= 3);
        paged.extend(stretch.entries.iter().map(|entry| entry.id));
        after = stretch.next;
        if after.is_none() {
            break;
        }
        // An upload that comes in front of the cursor meanwhile disturbs nothing.
        catalog.record(&manifest(1000, &[])).await.unwrap();
    }
    assert_eq!(paged, alive);
    overdue(catalog, pause).await;
}

/// A live upload is reached behind any number of expired ones, by reads of a bounded number of
/// uploads.
async fn overdue(catalog: &dyn Catalog, pause: Duration) {
    let limited = Manifest {
        max_downloads: Some(3),
        used: 1,
        ..manifest(2000, &["one"])
    };
    catalog.record(&limited).await.unwrap();
    for millis in 0..1500 {
        let over = Manifest {
            expires_at: Some(at(4000)),
            ..manifest(2001 + millis, &["a", "b"])
        };
        catalog.record(&over).await.unwrap();
    }
    tokio::time::sleep(pause).await;
    let mut after = None;
    let found = loop {
        let stretch = catalog
            .list(after, 1, at(4000), &Listed::All.into())
            .await
            .unwrap();
        match stretch.entries.into_iter().next() {
            Some(found) => break found,
            None => assert!(stretch.next < after || after.is_none()),
        }
        after = stretch.next;
    };
    assert_eq!((found.id, found.file_count), (limited.id, 1));
    assert_eq!(found.name, Some(name("one")));
    assert_eq!(found.downloads, Some(Some(Downloads { max: 3, left: 2 })));
    // It is in no other listing, and no answer to its name.
    let mut after = None;
    loop {
        let stretch = catalog
            .list(after, 1, at(4000), &Listed::Unlimited.into())
            .await;
        let stretch = stretch.unwrap();
        assert!(stretch.entries.iter().all(|entry| entry.id != limited.id));
        after = stretch.next;
        if after.is_none() {
            break;
        }
    }
    let newest = catalog.newest(&name("one"), at(4000), &[]).await;
    assert_eq!(newest.unwrap(), None);
    let first = catalog
        .list(None, 1, at(3999), &Listed::All.into())
        .await
        .unwrap()
        .entries;
    assert_eq!((first[0].file_count, &first[0].name), (2, &None));
    assert_eq!(first[0].downloads, Some(None));
}
