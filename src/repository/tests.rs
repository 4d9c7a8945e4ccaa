use super::slowed::{Bench, cut};
use super::*;
use crate::catalog::{Limit, Verification as _};
use crate::model::{Portion, Timestamp};
use crate::store::disk::Durability;

/// How long a download may take.
const TTL: Duration = Duration::from_secs(3600);

/// Runs `work` on a new upload again and again, dropped after one poll more each time until it
/// comes to its end, and compares store, index and memory after each.
async fn at_every_await<T, F: Future<Output = T>>(
    max_downloads: Option<u64>,
    work: impl Fn(Repository, Arc<Manifest>) -> F,
    check: impl Fn(&Manifest, Option<&Manifest>, bool),
) {
    for polls in 0.. {
        let bench = Bench::new().await;
        let before = Arc::new(bench.store(max_downloads).await);
        let ended = cut(work(bench.uploads.clone(), before.clone()), polls).await;
        let live = bench.settled().await;
        check(&before, live.first(), ended.is_some());
        bench.uploads.close(INDEX_TIMEOUT).await.unwrap();
        assert!(
            bench.catalog.unverified().await.unwrap().is_empty(),
            "clean"
        );
        if ended.is_some() {
            assert!(polls > 1, "it did wait for something");
            return;
        }
    }
}

#[tokio::test]
async fn a_removal_that_is_left_alone_ends() {
    let remove = async |uploads: Repository, upload: Arc<Manifest>| {
        let removed = uploads.remove(&upload.id, |_| Some(Reason::Deleted)).await;
        assert!(matches!(removed, Ok(Removed::Done(_))), "{removed:?}");
    };
    let gone_or_whole = |_: &Manifest, now: Option<&Manifest>, ended: bool| {
        assert!(!ended || now.is_none());
    };
    at_every_await(None, remove, gone_or_whole).await;
}

#[tokio::test]
async fn a_new_deadline_that_is_left_alone_is_in_store_and_index() {
    let deadline = Timestamp::from_millis(1 << 42);
    let prolong = async |uploads: Repository, upload: Arc<Manifest>| {
        let change = move |manifest: &mut Manifest| {
            manifest.expires_at = Some(deadline);
            true
        };
        let updated = uploads.update(&upload.id, change).await.unwrap().unwrap();
        assert!(updated.changed);
    };
    let old_or_new = |_: &Manifest, now: Option<&Manifest>, ended: bool| {
        let now = now.unwrap();
        assert_eq!(now.expires_at.is_some(), now.generation == 2);
        assert!(!ended || now.generation == 2);
    };
    at_every_await(None, prolong, old_or_new).await;
}

#[tokio::test]
async fn an_upload_that_is_left_alone_is_stored_or_not() {
    for polls in 0.. {
        let bench = Bench::new().await;
        let ended = cut(bench.store(None), polls).await;
        let live = bench.settled().await;
        if ended.is_some() {
            assert_eq!(live.len(), 1);
            return;
        }
    }
}

/// Reserves a use of each of these uploads.
async fn reserve_each(bench: &Bench, uploads: &[Manifest]) -> Vec<Use> {
    let mut uses = Vec::new();
    for upload in uploads {
        let limit = Limit::of(upload, Portion::Form).unwrap();
        match bench.uploads.reserve_use(&limit, TTL).await.unwrap() {
            ReservedUse::Use(held) => uses.push(held),
            taken => panic!("{taken:?}"),
        }
    }
    uses
}

#[tokio::test]
async fn the_uses_of_a_download_are_counted_all_or_none_and_what_is_not_comes_back() {
    for polls in 0.. {
        let bench = Bench::new().await;
        let uploads = [bench.store(Some(2)).await, bench.store(Some(2)).await];
        let download = async {
            let uses = reserve_each(&bench, &uploads).await;
            assert_eq!(bench.uploads.commit_uses(uses).await.unwrap(), None);
        };
        let ended = cut(download, polls).await;
        let now = bench.settled().await;
        assert_eq!(now[0].used, now[1].used, "after {polls} polls");
        assert!(ended.is_none() || now[0].used == 1);
        // So many are left of each, and no more.
        for now in now {
            let limit = Limit::of(&now, Portion::Form).unwrap();
            let mut left = Vec::new();
            while let ReservedUse::Use(held) = bench.uploads.reserve_use(&limit, TTL).await.unwrap()
            {
                left.push(held);
            }
            assert_eq!(left.len() as u64, 2 - now.used, "after {polls} polls");
        }
        if ended.is_some() {
            return;
        }
    }
}

#[tokio::test]
async fn a_download_of_which_one_use_is_gone_spends_none_of_the_others() {
    let bench = Bench::new().await;
    let uploads = [bench.store(Some(2)).await, bench.store(Some(1)).await];
    let uses = reserve_each(&bench, &uploads).await;
    // Another process has spent it, which lost sight of this one.
    let spend = |manifest: &mut Manifest| {
        manifest.used += 1;
        true
    };
    let id = uploads[1].id;
    bench.uploads.update(&id, spend).await.unwrap();
    assert_eq!(bench.uploads.commit_uses(uses).await.unwrap(), Some(id));
    let other = bench.uploads.get(&uploads[0].id).await.unwrap().unwrap();
    assert_eq!(other.used, 0);
}

#[tokio::test]
async fn what_the_index_missed_keeps_it_from_being_called_clean() {
    let bench = Bench::new().await;
    let upload = bench.store(None).await;
    let behind = async |mut change: Change| {
        change.index_is_behind();
        Ok::<_, StoreError>(())
    };
    let id = upload.id;
    bench.uploads.change("test", &id, behind).await.unwrap();
    assert!(bench.uploads.0.backlog.is_behind());
    // At the end it is told once more.
    bench.uploads.close(INDEX_TIMEOUT).await.unwrap();
    assert!(!bench.uploads.0.backlog.is_behind());
    assert!(bench.catalog.unverified().await.unwrap().is_empty());
    let refused = bench.uploads.remove(&id, |_| None).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("is ending"), "{refused}");
}

#[tokio::test]
async fn a_change_that_hangs_does_not_keep_the_end_and_the_index_is_not_clean() {
    let bench = Bench::new().await;
    let upload = bench.store(None).await;
    let (uploads, id) = (bench.uploads.clone(), upload.id);
    let hanging = tokio::spawn(async move {
        let hang = async |change: Change| {
            std::future::pending::<()>().await;
            drop(change);
            Ok::<_, StoreError>(())
        };
        uploads.change("test", &id, hang).await
    });
    tokio::task::yield_now().await;
    bench.uploads.close(Duration::ZERO).await.unwrap();
    assert!(!bench.catalog.unverified().await.unwrap().is_empty());
    hanging.abort();
}

#[tokio::test]
async fn a_change_that_panics_is_an_error_and_the_next_one_goes_on() {
    let bench = Bench::new().await;
    let upload = bench.store(None).await;
    let failed = bench
        .uploads
        .remove(&upload.id, |_| panic!("as the test has it"))
        .await;
    let failed = failed.unwrap_err().to_string();
    assert!(failed.contains("as the test has it"), "{failed}");
    assert_eq!(bench.settled().await.len(), 1);
    let removed = bench.uploads.remove(&upload.id, |_| Some(Reason::Deleted));
    assert!(matches!(removed.await, Ok(Removed::Done(_))));
    assert_eq!(bench.settled().await, []);
}

#[tokio::test]
async fn a_commit_that_panics_half_way_is_taken_back_at_once() {
    let steps = ["named a file", "written the manifest", "named the manifest"];
    for (step, by_task) in steps.into_iter().flat_map(|it| [(it, false), (it, true)]) {
        let bench = Bench::with(Durability::Strict).await;
        let crowd = by_task.then(|| bench.disk.crowd());
        bench.disk.panic_at(step);
        let id = UploadId::generate().unwrap();
        let store = &**bench.uploads.store();
        let files = [("a.txt", &b"a"[..]), ("b.txt", b"b")];
        let (staged, manifest) = crate::store::conformance::stage(store, id, &files).await;
        let manifest = Arc::new(manifest);
        let failed = bench.uploads.commit(staged, manifest, |_| {}).await;
        let failed = failed.unwrap_err().to_string();
        assert!(failed.contains(step), "{failed}");
        assert_eq!(bench.settled().await, [], "{step} {by_task}");
        let folder = std::fs::read_dir(bench.dir.path().join(id.prefix().as_str()));
        assert_eq!(folder.unwrap().count(), 0, "{step} {by_task}");
        // The store goes on.
        bench.store(None).await;
        assert_eq!(bench.settled().await.len(), 1);
        drop(crowd);
    }
}

#[tokio::test]
async fn a_damaged_upload_goes_by_order_alone_and_one_of_a_newer_version_stays() {
    let bench = Bench::new().await;
    let upload = bench.store(None).await;
    let folder = bench.dir.path().join(upload.id.prefix().as_str());
    let manifest = folder.join(format!("{}.json", upload.id));
    let whole = std::fs::read_to_string(&manifest).unwrap();
    assert!(!bench.uploads.remove_damaged(&upload.id).await.unwrap());
    std::fs::write(&manifest, whole.replace("\"schema\":1", "\"schema\":9")).unwrap();
    let newer = bench.uploads.remove_damaged(&upload.id).await;
    assert!(newer.unwrap_err().to_string().contains("schema 9"));
    std::fs::write(&manifest, &whole[..40]).unwrap();
    let deleted = bench.uploads.remove(&upload.id, |_| Some(Reason::Deleted));
    assert!(deleted.await.is_err());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
    // A file that the manifest may not have named goes with it; a file that is not wharf's stays.
    std::fs::write(folder.join(format!("{}-b.txt", upload.id)), "b").unwrap();
    std::fs::write(folder.join("mine"), "b").unwrap();
    assert!(bench.uploads.remove_damaged(&upload.id).await.unwrap());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(bench.settled().await, []);
    assert!(!bench.uploads.remove_damaged(&upload.id).await.unwrap());
}
