use std::time::Duration;

use super::staging::placement::Method;
use super::*;
use crate::store::conformance;

fn options(dir: &Path, durability: Durability, descriptors: usize) -> Options {
    Options {
        dir: dir.to_owned(),
        durability,
        min_free: 0,
        descriptors,
        shared: None,
        sendfile: crate::store::Sendfile::Auto,
    }
}

/// The same for a directory that other processes have too.
fn shared(dir: &Path, descriptors: usize) -> Options {
    Options {
        shared: Some(Duration::from_secs(3600)),
        ..options(dir, Durability::Strict, descriptors)
    }
}

#[tokio::test]
async fn it_is_a_store_that_is_shared() {
    for descriptors in [0, 1000] {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskStore::open(&shared(dir.path(), descriptors)).unwrap();
        conformance::all(&store).await;
        conformance::shared(&store).await;
    }
}

#[tokio::test]
async fn a_shared_store_and_one_that_is_not_exclude_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let alone = options(dir.path(), Durability::Strict, 10);
    let shared = shared(dir.path(), 10);
    let (first, second) = (
        DiskStore::open(&shared).unwrap(),
        DiskStore::open(&shared).unwrap(),
    );
    let locked = |options| matches!(DiskStore::open(options), Err(OpenError::Locked(_)));
    assert!(locked(&alone));
    drop((first, second));
    let alone = DiskStore::open(&alone).unwrap();
    assert!(locked(&shared));
    drop(alone);
    assert!(DiskStore::open(&shared).is_ok());
}

#[tokio::test]
async fn a_commit_that_comes_too_late_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = DiskStore::open(&Options {
        shared: Some(Duration::from_millis(20)),
        ..shared(dir.path(), 10)
    })
    .unwrap();
    let id = UploadId::generate().unwrap();
    let (staged, manifest) = conformance::stage(&store, id, &[("a", b"x")]).await;
    tokio::time::sleep(Duration::from_millis(40)).await;
    let late = staged.commit(&manifest).await;
    assert!(matches!(late, Err(StoreError::Stale(_))), "{late:?}");
    assert_eq!(store.manifest(&id).await.unwrap(), None);
    let folder = dir.path().join(id.prefix().as_str());
    let left: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, [format!("{id}.json").as_str()], "its tombstone alone");
}

#[tokio::test]
async fn a_sync_that_fails_for_many_leaves_nothing_of_each() {
    // That of the contents, and that of the names.
    for round in [1, 2] {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskStore::open(&options(dir.path(), Durability::Strict, 10)).unwrap();
        let syncer = &store.0.inner().syncer;
        syncer.break_round(round);
        // Beside two others a small commit shares its syncs, and waits for them as a task.
        let _others = [Session::begin(syncer, 1), Session::begin(syncer, 1)];
        assert!(Session::begin(syncer, 1).is_async());
        let id = UploadId::generate().unwrap();
        let (staged, manifest) = conformance::stage(&store, id, &[("a", b"x")]).await;
        let failed = staged.commit(&manifest).await;
        assert!(matches!(failed, Err(StoreError::Io { .. })), "{failed:?}");
        assert_eq!(store.manifest(&id).await.unwrap(), None);
        let folder = std::fs::read_dir(dir.path().join(id.prefix().as_str()));
        assert_eq!(folder.unwrap().count(), 0, "round {round}");
        assert!(store.ready().is_err(), "the disk is broken");
    }
}

#[tokio::test]
async fn a_file_left_in_a_shared_stage_is_removed_when_it_is_stale() {
    let dir = tempfile::tempdir().unwrap();
    let store = DiskStore::open(&shared(dir.path(), 0)).unwrap();
    let id = UploadId::generate().unwrap();
    let waiting = dir.path().join(format!(".wharf/stage/{id}.7"));
    std::fs::write(&waiting, "x").unwrap();
    let early = store.orphans(id.prefix(), Timestamp::from_millis(0)).await;
    assert_eq!(early.unwrap(), []);
    let late = Timestamp::from_millis(i64::MAX);
    let orphans = store.orphans(id.prefix(), late).await.unwrap();
    let files = Vec::new();
    assert_eq!(orphans, [Orphan { id, files }]);
    let tombstone = Tombstone::orphaned(id, Vec::new(), late);
    assert_eq!(store.remove(&tombstone).await.unwrap(), Replaced::Done);
    assert!(!waiting.exists());
    // The rest of a replacement that was cut short belongs to what is there.
    std::fs::write(&waiting, "x").unwrap();
    assert_eq!(store.orphans(id.prefix(), late).await.unwrap(), []);
    assert!(!waiting.exists());
}

#[tokio::test]
async fn it_is_a_store_in_each_mode() {
    for durability in [Durability::Strict, Durability::Relaxed] {
        for descriptors in [0, 1, 1000] {
            let dir = tempfile::tempdir().unwrap();
            let store = DiskStore::open(&options(dir.path(), durability, descriptors)).unwrap();
            conformance::all(&store).await;
            let stage = dir.path().join(".wharf/stage");
            // A file that was dropped is removed on another thread.
            for _ in 0..1000 {
                if std::fs::read_dir(&stage).unwrap().count() == 0 {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            assert_eq!(std::fs::read_dir(&stage).unwrap().count(), 0);
        }
    }
}

#[tokio::test]
async fn it_is_a_store_however_files_get_their_names() {
    for method in [Method::Rename, Method::Link, Method::Check] {
        let dir = tempfile::tempdir().unwrap();
        let mut store = DiskStore::open(&options(dir.path(), Durability::Strict, 0)).unwrap();
        let inner = store.0.inner_mut();
        inner.placement = Placement::only(method);
        inner.descriptors = Descriptors::new(0, false);
        conformance::all(&store).await;
    }
}

#[tokio::test]
async fn it_is_a_store_on_another_machine() {
    for descriptors in [0, 1000] {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskStore::open(&shared(dir.path(), descriptors)).unwrap();
        let store = DiskStore(store.0.made_remote());
        assert!(store.0.local().is_none());
        conformance::all(&store).await;
        conformance::shared(&store).await;
        store.ready().unwrap();
        store.close().await.unwrap();
    }
}

#[test]
fn a_directory_is_served_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path(), Durability::Strict, 10);
    let first = DiskStore::open(&options).unwrap();
    assert!(matches!(
        DiskStore::open(&options),
        Err(OpenError::Locked(_))
    ));
    assert!(DiskStore::inspect(dir.path()).is_ok());
    drop(first);
    assert!(DiskStore::open(&options).is_ok());
}

#[tokio::test]
async fn orphans_go_and_the_rest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = DiskStore::open(&options(dir.path(), Durability::Relaxed, 10)).unwrap();
    let id = UploadId::generate().unwrap();
    let folder = dir.path().join(id.prefix().as_str());
    std::fs::create_dir_all(&folder).unwrap();
    let orphan = folder.join(format!("{id}-a.txt"));
    let foreign = folder.join("a.txt");
    for path in [&orphan, &foreign] {
        std::fs::write(path, "x").unwrap();
    }
    let early = Timestamp::from_millis(0);
    assert_eq!(store.orphans(id.prefix(), early).await.unwrap(), []);
    let late = Timestamp::from_millis(i64::MAX);
    let found = store.orphans(id.prefix(), late).await.unwrap();
    let files = vec![FileName::from_upload(b"a.txt")];
    let tombstone = Tombstone::orphaned(id, files.clone(), late);
    assert_eq!(found, [Orphan { id, files }]);
    assert_eq!(store.remove(&tombstone).await.unwrap(), Replaced::Done);
    assert!(!orphan.exists() && foreign.exists());
    // Stage leftovers of an earlier process go at the start, others' files do not.
    drop(store);
    let stage = dir.path().join(".wharf/stage");
    std::fs::write(stage.join(format!("{id}.3")), "x").unwrap();
    std::fs::write(stage.join("mine"), "x").unwrap();
    let _store = DiskStore::open(&options(dir.path(), Durability::Relaxed, 10)).unwrap();
    let left: Vec<_> = std::fs::read_dir(&stage)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["mine"]);
}

#[tokio::test]
async fn a_small_file_is_read_from_the_page_cache_as_it_was_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = DiskStore::open(&options(dir.path(), Durability::Relaxed, 10)).unwrap();
    let id = UploadId::generate().unwrap();
    let name = FileName::from_upload(b"a.txt");
    assert_eq!(store.try_read_cached(&id, &name, 5), None);
    let large = vec![7; 64 * 1024 + 1];
    let files = [("a.txt", &b"hello"[..]), ("b.txt", &large)];
    let (staged, manifest) = conformance::stage(&store, id, &files).await;
    assert_eq!(store.try_read_cached(&id, &name, 5), None);
    staged.commit(&manifest).await.unwrap();
    assert_eq!(store.try_read_cached(&id, &name, 5).unwrap(), "hello");
    let large = FileName::from_upload(b"b.txt");
    assert_eq!(store.try_read_cached(&id, &large, 64 * 1024 + 1), None);
    // A damaged file is reported when it is opened.
    for size in [4, 6] {
        assert_eq!(store.try_read_cached(&id, &name, size), None);
        assert!(store.open(&id, &name, size, 0..size).await.is_err());
    }
}

#[tokio::test]
async fn a_file_that_is_held_open_is_no_longer_served_when_it_was_touched() {
    for descriptors in [0, 1000] {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskStore::open(&options(dir.path(), Durability::Relaxed, descriptors));
        let store = store.unwrap();
        let name = FileName::from_upload(b"a.txt");
        let stored = async || {
            let id = UploadId::generate().unwrap();
            let (staged, manifest) = conformance::stage(&store, id, &[("a.txt", b"hello")]).await;
            staged.commit(&manifest).await.unwrap();
            for _ in 0..3 {
                assert_eq!(store.try_read_cached(&id, &name, 5).unwrap(), "hello");
            }
            let file = dir
                .path()
                .join(id.prefix().as_str())
                .join(format!("{id}-a.txt"));
            (manifest, file)
        };
        let held = || {
            let files = std::fs::read_dir("/proc/self/fd").unwrap();
            let links = files.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
            let root = dir.path().to_owned();
            links.filter(move |link| {
                link.starts_with(&root) && link.to_string_lossy().contains("-a.txt")
            })
        };
        let (truncated, file) = stored().await;
        std::fs::write(file, "hell").unwrap();
        assert_eq!(store.try_read_cached(&truncated.id, &name, 5), None);
        let (replaced, file) = stored().await;
        let other = dir.path().join("other");
        std::fs::write(&other, "howdy").unwrap();
        std::fs::rename(other, file).unwrap();
        assert_eq!(
            store.try_read_cached(&replaced.id, &name, 5).unwrap(),
            "howdy"
        );
        let (unlinked, file) = stored().await;
        std::fs::remove_file(file).unwrap();
        assert_eq!(store.try_read_cached(&unlinked.id, &name, 5), None);
        // One that is linked elsewhere is not held: its removal here could not be seen.
        let (linked, file) = stored().await;
        std::fs::hard_link(&file, dir.path().join("backup")).unwrap();
        assert_eq!(
            store.try_read_cached(&linked.id, &name, 5).unwrap(),
            "hello"
        );
        std::fs::remove_file(file).unwrap();
        assert_eq!(store.try_read_cached(&linked.id, &name, 5), None);
        // The place of a removed one on the disk is free at once.
        let (removed, _) = stored().await;
        assert_eq!(held().count(), usize::from(descriptors > 0) * 2);
        let end = Tombstone::of(&removed, crate::model::Reason::Deleted, removed.created_at);
        assert_eq!(store.remove(&end).await.unwrap(), Replaced::Done);
        assert_eq!(store.try_read_cached(&removed.id, &name, 5), None);
        assert_eq!(held().count(), usize::from(descriptors > 0));
    }
}
