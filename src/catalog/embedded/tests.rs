use std::path::Path;
use std::time::Duration;

use super::*;
use crate::catalog::conformance::{self, manifest};
use crate::catalog::{Deadlines as _, Listed, Unverified, Verification as _};

fn open(path: &Path) -> EmbeddedCatalog {
    EmbeddedCatalog::open(path, Clock::system()).unwrap()
}

#[tokio::test]
async fn it_is_a_catalog() {
    let dir = tempfile::tempdir().unwrap();
    let mut count = 0;
    conformance::all(async || {
        count += 1;
        open(&dir.path().join(count.to_string()))
    })
    .await;
}

#[tokio::test]
async fn one_that_is_larger_than_its_cache_is_a_catalog() {
    let dir = tempfile::tempdir().unwrap();
    let mut count = 0;
    conformance::all(async || {
        count += 1;
        let catalog = open(&dir.path().join(count.to_string()));
        catalog.shared.in_memory.outgrow();
        catalog
    })
    .await;
}

#[tokio::test]
async fn only_a_clean_end_leaves_it_complete() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.redb");
    let upload = manifest(1, &["a"]);
    let catalog = open(&path);
    catalog.mark_verified(Unverified::default()).await.unwrap();
    catalog.record(&upload).await.unwrap();
    catalog.close(true).await.unwrap();
    drop(catalog);
    // The last that had it, as an older version marks it too.
    assert!(EmbeddedCatalog::is_left_by_older(&path));
    let catalog = open(&path);
    assert!(catalog.unverified().await.unwrap().is_empty());
    assert!(catalog.find(&upload.id).await.unwrap().is_some());
    assert_eq!(catalog.stats().await.unwrap().bytes, upload.room());
    // A copy of the file as a crash would leave it.
    let copy = dir.path().join("copy.redb");
    std::fs::copy(&path, &copy).unwrap();
    assert!(!EmbeddedCatalog::is_left_by_older(&copy));
    let crashed = open(&copy);
    assert!(!crashed.unverified().await.unwrap().is_empty());
    assert!(crashed.find(&upload.id).await.unwrap().is_some());
}

#[tokio::test]
async fn an_upload_at_the_end_of_a_look_is_listed_while_its_change_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.redb");
    let catalog = open(&path);
    let mut last = manifest(0, &["a"]);
    catalog.record(&last).await.unwrap();
    for millis in 1..reads::MAX_STEPS {
        let over = Manifest {
            expires_at: Some(Timestamp::from_millis(5000)),
            ..manifest(millis as i64, &[])
        };
        catalog.record(&over).await.unwrap();
    }
    catalog.mark_verified(Unverified::default()).await.unwrap();
    catalog.close(true).await.unwrap();
    drop(catalog);
    let catalog = open(&path);
    last.generation += 1;
    catalog.record(&last).await.unwrap();
    let now = Timestamp::from_millis(5000);
    let listed = catalog
        .list(None, 10, now, &Listed::All.into())
        .await
        .unwrap();
    let ids: Vec<UploadId> = listed.entries.iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [last.id]);
}

#[tokio::test]
async fn one_look_passes_over_thousands_of_uploads_that_are_over() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(&dir.path().join("catalog.redb"));
    catalog.mark_verified(Unverified::default()).await.unwrap();
    let oldest = manifest(0, &["a"]);
    catalog.record(&oldest).await.unwrap();
    for millis in 1..5000 {
        let mut over = manifest(millis, &["a"]);
        match millis % 2 {
            0 => over.expires_at = Some(Timestamp::from_millis(6000)),
            _ => (over.max_downloads, over.used) = (Some(1), 1),
        }
        catalog.record(&over).await.unwrap();
    }
    // The uploads in the database are walked over, and not those that are still to be written.
    while catalog.shared.lock().pending.len() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let now = Timestamp::from_millis(6000);
    let listed = catalog
        .list(None, 10, now, &Listed::All.into())
        .await
        .unwrap();
    let ids: Vec<UploadId> = listed.entries.iter().map(|entry| entry.id).collect();
    assert_eq!((ids, listed.next), (vec![oldest.id], None));
    let name = FileName::from_upload(b"a");
    let newest = catalog.newest(&name, now, &[]).await;
    assert_eq!(newest.unwrap(), Some(oldest.id));
}

/// A lock stands for a disk that does not answer: the thread of the test must not wait for it.
#[tokio::test]
async fn a_look_that_may_read_the_disk_leaves_the_thread() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(&dir.path().join("catalog.redb"));
    catalog.mark_verified(Unverified::default()).await.unwrap();
    let upload = manifest(1, &["a"]);
    catalog.record(&upload).await.unwrap();
    let (here, name) = (std::thread::current().id(), FileName::from_upload(b"a"));
    let place = || catalog.read(|_| Ok(std::thread::current().id()));
    assert_eq!(place().await.unwrap(), here, "all of it is in memory");
    catalog.shared.in_memory.outgrow();
    assert_ne!(place().await.unwrap(), here);
    let now = Timestamp::from_millis(2);
    let all = Listed::All.into();
    let mut looks = Box::pin(async {
        tokio::join!(
            catalog.newest(&name, now, &[]),
            catalog.find(&upload.id),
            catalog.list(None, 1, now, &all),
            catalog.due(now, 1, now),
            catalog.next_due(),
            catalog.with_prefix(upload.id.prefix()),
        )
    });
    let held = catalog.shared.lock();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(looks.as_mut().poll(&mut context).is_pending());
    drop(held);
    let (newest, found, listed, due, next, with_prefix) = looks.await;
    assert_eq!(newest.unwrap(), Some(upload.id));
    assert!(found.unwrap().is_some());
    assert_eq!(listed.unwrap().entries.len(), 1);
    assert_eq!((due.unwrap(), next.unwrap()), (Vec::new(), None));
    assert_eq!(with_prefix.unwrap(), [upload.id]);
    let names = [FileName::from_upload(b"b")];
    let later = manifest(3, &["b"]);
    assert!(catalog.record(&later).await.unwrap());
    let newest = catalog.newest(&names[0], Timestamp::from_millis(4), &[]);
    assert_eq!(newest.await.unwrap(), Some(later.id));
    catalog.remove(&later.id, &names).await.unwrap();
    assert_eq!(catalog.find(&later.id).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_damaged_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.redb");
    let catalog = open(&path);
    for millis in 0..500 {
        catalog
            .record(&manifest(millis, &["a", "b"]))
            .await
            .unwrap();
    }
    catalog.mark_verified(Unverified::default()).await.unwrap();
    catalog.close(true).await.unwrap();
    drop(catalog);
    let good = std::fs::read(&path).unwrap();
    let mut damaged = vec![
        b"rubbish".repeat(10_000),
        good[..good.len() / 2].to_vec(),
        good[..100].to_vec(),
    ];
    for start in [0, 512, 4096, 8192, good.len() / 3] {
        let mut bytes = good.clone();
        let end = (start + 3000).min(bytes.len());
        bytes[start..end].fill(0xa5);
        damaged.push(bytes);
    }
    for (i, bytes) in damaged.into_iter().enumerate() {
        let path = dir.path().join(format!("damaged-{i}.redb"));
        std::fs::write(&path, bytes).unwrap();
        let catalog = open(&path);
        assert!(catalog.record(&manifest(1, &["a"])).await.unwrap());
        catalog.mark_verified(Unverified::default()).await.unwrap();
        assert!(
            catalog
                .newest(
                    &FileName::from_upload(b"a"),
                    Timestamp::from_millis(9999),
                    &[]
                )
                .await
                .is_ok(),
            "{i}"
        );
    }
}

#[tokio::test]
async fn a_large_one_opens_at_once_and_what_is_damaged_in_it_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.redb");
    let catalog = open(&path);
    const MANY: i64 = 10_001;
    for millis in 0..MANY {
        catalog.record(&manifest(millis, &["a"])).await.unwrap();
    }
    catalog.mark_verified(Unverified::default()).await.unwrap();
    let stats = catalog.stats().await.unwrap();
    catalog.close(true).await.unwrap();
    drop(catalog);
    let again = open(&path);
    assert_eq!(again.stats().await.unwrap(), stats);
    assert_eq!(stats.uploads, MANY as u64);
    again.close(true).await.unwrap();
    drop(again);

    let mut bytes = std::fs::read(&path).unwrap();
    let (start, end) = (bytes.len() / 4, bytes.len() / 2);
    bytes[start..end].fill(0xa5);
    let path = dir.path().join("damaged.redb");
    std::fs::write(&path, bytes).unwrap();
    let damaged = open(&path);
    let start = std::time::Instant::now();
    // Found at the opening, or soon after.
    while damaged.stats().await.is_ok_and(|stats| stats.uploads > 0) {
        assert!(start.elapsed().as_secs() < 60);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let _ = damaged.close(true).await;
    drop(damaged);
    let anew = open_when_free(&path).await;
    assert_eq!(anew.ready(), Ok(()));
    assert_eq!(anew.stats().await.unwrap().uploads, 0);
    assert!(!anew.unverified().await.unwrap().is_empty());
}

/// Opens it when the check of the one before has ended.
async fn open_when_free(path: &Path) -> EmbeddedCatalog {
    loop {
        match EmbeddedCatalog::open(path, Clock::system()) {
            Err(IndexOpenError::Locked) => {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            opened => return opened.unwrap(),
        }
    }
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.redb");
    let _first = open(&path);
    assert!(matches!(
        EmbeddedCatalog::open(&path, Clock::system()),
        Err(IndexOpenError::Locked)
    ));
}

#[tokio::test]
async fn a_writer_that_died_is_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(&dir.path().join("catalog.redb"));
    assert_eq!(catalog.ready(), Ok(()));
    catalog.shared.lock().broken = Some("the disk is gone".to_owned());
    assert!(catalog.ready().unwrap_err().contains("the disk is gone"));
    let recorded = catalog.record(&manifest(1, &["a"])).await;
    assert!(matches!(recorded, Err(super::CatalogError::Failed(_))));
}

#[tokio::test]
async fn a_name_gives_the_later_upload_though_the_clock_was_set_back_since_the_last_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.redb");
    let catalog = open(&path);
    catalog.mark_verified(Unverified::default()).await.unwrap();
    catalog.record(&manifest(5000, &["a"])).await.unwrap();
    let mut later = manifest(1000, &["a", "b"]);
    later.follow(catalog.order(&later));
    assert!(later.order() > Timestamp::from_millis(5000));
    assert!(catalog.admit(&later).await.unwrap());
    let name = FileName::from_upload(b"a");
    let newest = catalog.newest(&name, Timestamp::from_millis(1001), &[]);
    assert_eq!(newest.await.unwrap(), Some(later.id));
    catalog.close(true).await.unwrap();
    drop(catalog);
    let catalog = open(&path);
    let next = Manifest::order_behind(Timestamp::from_millis(1000), later.order());
    assert_eq!(catalog.order(&manifest(1000, &["b"])), next);
    assert_eq!(catalog.order(&manifest(1000, &["c"])).as_millis(), 1000);
    let newest = catalog.newest(&name, Timestamp::from_millis(1001), &[]);
    assert_eq!(newest.await.unwrap(), Some(later.id));
}
