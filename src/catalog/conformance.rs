//! What every catalog does: one suite for all of them.

use std::time::Duration;

use super::{
    Catalog, CatalogError, Cursor, Downloads, Entry, Limit, Reserved, Stats, capacity_conformance,
};
use crate::model::{FileName, Manifest, Part, Prefix, StoredFile, Timestamp, UploadId};

const HOLD: Duration = Duration::from_secs(60);

fn at(millis: i64) -> Timestamp {
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

fn name(text: &str) -> FileName {
    FileName::from_upload(text.as_bytes())
}

async fn ids(
    catalog: &dyn Catalog,
    after: Option<Cursor>,
    limit: usize,
    now: i64,
) -> Vec<UploadId> {
    let (mut ids, mut after) = (Vec::new(), after);
    while ids.len() < limit {
        let stretch = catalog.list(after, limit - ids.len(), at(now)).await;
        let stretch = stretch.unwrap();
        ids.extend(stretch.entries.iter().map(|entry| entry.id));
        after = stretch.next;
        if after.is_none() {
            break;
        }
    }
    ids
}

/// Runs the whole suite; `empty` gives a catalog that holds nothing and was not yet compared.
pub async fn all<C: Catalog>(mut empty: impl AsyncFnMut() -> C) {
    incomplete(&empty().await).await;
    for case in 0..2 {
        // Once with everything still pending, once with all of it written.
        let pause = Duration::from_millis(case * 50);
        let catalog = empty().await;
        mend(&catalog).await;
        generations(&catalog, pause).await;
        let catalog = empty().await;
        mend(&catalog).await;
        newest(&catalog, pause).await;
        let catalog = empty().await;
        mend(&catalog).await;
        listing(&catalog, pause).await;
        let catalog = empty().await;
        mend(&catalog).await;
        deadlines(&catalog, pause).await;
    }
    uses(&empty().await).await;
    capacity_conformance::all(&mut empty).await;
}

/// Marks it as compared with a store.
pub async fn mend(catalog: &dyn Catalog) {
    let gaps = catalog.gaps().await.unwrap();
    catalog.mended(gaps).await.unwrap();
}

async fn incomplete(catalog: &dyn Catalog) {
    let gaps = catalog.gaps().await.unwrap();
    assert!(gaps.prefixes.iter().copied().eq(Prefix::all()));
    let known = manifest(1, &["a"]);
    assert!(catalog.record(&known).await.unwrap());
    assert!(catalog.find(&known.id).await.unwrap().is_some());
    let newest = async |text: &str| catalog.newest(&name(text), at(9), &[]).await;
    // A newer one than what is known may be missing.
    for text in ["a", "b"] {
        assert!(matches!(newest(text).await, Err(CatalogError::Rebuilding)));
    }
    assert!(matches!(
        catalog.list(None, 1, at(9)).await,
        Err(CatalogError::Rebuilding)
    ));
    assert!(catalog.mended(gaps).await.unwrap());
    assert!(catalog.gaps().await.unwrap().is_empty());
    assert_eq!(newest("a").await.unwrap(), Some(known.id));
    assert_eq!(newest("b").await.unwrap(), None);
    assert_eq!(ids(catalog, None, 1, 9).await.len(), 1);
}

async fn generations(catalog: &dyn Catalog, pause: Duration) {
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
    let entry = Entry {
        id: upload.id,
        generation: 3,
        created_at: at(1),
        expires_at: Some(at(100)),
        size: 20,
        file_count: 2,
        name: None,
        downloads: Some(None),
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
        catalog.forget(&upload.id, &[]).await.unwrap();
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

async fn newest(catalog: &dyn Catalog, pause: Duration) {
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
    catalog.forget(&tied, &[]).await.unwrap();
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

async fn listing(catalog: &dyn Catalog, pause: Duration) {
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
        let stretch = catalog.list(after, 3, at(50)).await.unwrap();
        assert!(stretch.entries.len() <= 3);
        paged.extend(stretch.entries.iter().map(|entry| entry.id));
        after = stretch.next;
        if after.is_none() {
            break;
        }
        // What comes in front of the cursor meanwhile disturbs nothing.
        catalog.record(&manifest(1000, &[])).await.unwrap();
    }
    assert_eq!(paged, alive);
    overdue(catalog, pause).await;
}

/// A live upload is reached behind any number of expired ones, by looks that have a bound each.
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
        let stretch = catalog.list(after, 1, at(4000)).await.unwrap();
        match stretch.entries.into_iter().next() {
            Some(found) => break found,
            None => assert!(stretch.next < after || after.is_none()),
        }
        after = stretch.next;
    };
    assert_eq!((found.id, found.file_count), (limited.id, 1));
    assert_eq!(found.name, Some(name("one")));
    assert_eq!(found.downloads, Some(Some(Downloads { max: 3, left: 2 })));
    let first = catalog.list(None, 1, at(3999)).await.unwrap().entries;
    assert_eq!((first[0].file_count, &first[0].name), (2, &None));
    assert_eq!(first[0].downloads, Some(None));
}

async fn deadlines(catalog: &dyn Catalog, pause: Duration) {
    let upload = |expires_at| Manifest {
        expires_at,
        ..manifest(1, &[])
    };
    let (never, late, soon) = (upload(None), upload(Some(at(30))), upload(Some(at(20))));
    assert_eq!(catalog.next_due().await.unwrap(), None);
    for upload in [&never, &late, &soon] {
        catalog.record(upload).await.unwrap();
    }
    let told = tokio::time::timeout(Duration::from_secs(5), catalog.earlier()).await;
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
    catalog.forget(&spent.id, &[]).await.unwrap();
    tokio::time::sleep(pause).await;
    assert_eq!(due(40, 9).await, [soon.id]);
}

async fn uses(catalog: &dyn Catalog) {
    let mut upload = Manifest {
        max_downloads: Some(2),
        ..manifest(1, &[])
    };
    catalog.record(&upload).await.unwrap();
    let reserve = async |upload: &Manifest| {
        let limit = Limit::of(upload).unwrap();
        catalog.reserve(&limit, HOLD).await.unwrap()
    };
    let (Reserved::Held(first), Reserved::Held(second)) =
        (reserve(&upload).await, reserve(&upload).await)
    else {
        panic!("two uses are there");
    };
    assert_eq!(reserve(&upload).await, Reserved::Busy);
    catalog.give_back(&upload.id, first).await.unwrap();
    catalog.give_back(&upload.id, first).await.unwrap();
    let Reserved::Held(third) = reserve(&upload).await else {
        panic!("one was given back")
    };
    catalog.keep(&upload.id, second, 1).await.unwrap();
    // The manifest that was read before says nothing of the use kept since.
    assert_eq!(reserve(&upload).await, Reserved::Busy);
    upload.used = 1;
    assert_eq!(reserve(&upload).await, Reserved::Busy);
    catalog.keep(&upload.id, third, 2).await.unwrap();
    assert_eq!(reserve(&upload).await, Reserved::Spent);
}
