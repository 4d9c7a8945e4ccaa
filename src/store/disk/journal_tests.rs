//! A store with a journal: what a power cut takes of its names and contents, the next start brings
//! back.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::journal::Body;
use super::*;
use crate::model::Reason;
use crate::store::{conformance, to_json};

/// Bytes of a journal.
const SIZE: u64 = 8 << 20;

fn options(dir: &Path) -> Options {
    Options {
        dir: dir.to_owned(),
        durability: Durability::Strict,
        min_free: 0,
        descriptors: 100,
        shared: None,
        sendfile: crate::store::Sendfile::Auto,
    }
}

/// A store whose journal is ready.
fn open(dir: &Path) -> DiskStore {
    open_with(&options(dir))
}

fn open_with(options: &Options) -> DiskStore {
    let store = DiskStore::open(options).unwrap();
    store.recover(|| false).unwrap();
    store.start_journal(Some(SIZE)).unwrap();
    let start = Instant::now();
    while store.0.inner().journal().is_none() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "there is no journal"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    store
}

async fn commit(store: &DiskStore, files: &[(&str, &[u8])]) -> Manifest {
    let id = UploadId::generate().unwrap();
    let (staged, manifest) = conformance::stage(store, id, files).await;
    staged.commit(&manifest).await.unwrap();
    manifest
}

async fn prolong(store: &DiskStore, manifest: &Manifest) -> Manifest {
    let mut next = manifest.clone();
    next.generation += 1;
    next.expires_at = Some(Timestamp::from_millis(7_000_000_000_000));
    assert_eq!(store.replace(&next).await.unwrap(), Replaced::Done);
    next
}

async fn remove(store: &DiskStore, manifest: &Manifest) {
    let at = Timestamp::from_millis(1);
    let tombstone = Tombstone::of(manifest, Reason::Deleted, at);
    assert_eq!(store.remove(&tombstone).await.unwrap(), Replaced::Done);
}

fn records(store: &DiskStore) -> u64 {
    let journal = store.0.inner().journal().unwrap();
    journal.figures().records
}

/// The files of uploads in a store, with their content.
fn tree(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for prefix in std::fs::read_dir(dir).unwrap() {
        let prefix = prefix.unwrap();
        if prefix.file_name() == ".wharf" {
            continue;
        }
        for file in std::fs::read_dir(prefix.path()).unwrap() {
            let path = file.unwrap().path();
            let content = std::fs::read(&path).unwrap();
            found.push((path, content));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn it_is_a_store() {
    for descriptors in [0, 1000] {
        let dir = tempfile::tempdir().unwrap();
        let store = open_with(&Options {
            descriptors,
            ..options(dir.path())
        });
        conformance::all(&store).await;
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn what_a_power_cut_takes_comes_back_and_what_was_removed_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let kept = commit(&store, &[("a", b"first"), ("b", &[5; 9000])]).await;
    let prolonged = commit(&store, &[("a", b"second")]).await;
    let removed = commit(&store, &[("a", b"third")]).await;
    // A larger one has syncs of its own, and what becomes of it is recorded.
    let large = commit(&store, &[("large", &[6; 400_000])]).await;
    assert_eq!(records(&store), 3);
    let prolonged = prolong(&store, &prolonged).await;
    let large = prolong(&store, &large).await;
    let before = tree(dir.path());
    remove(&store, &removed).await;
    assert_eq!(records(&store), 6);
    let whole = tree(dir.path());
    drop(store);
    // The names and contents of what was not synced are not there, or not whole; what was removed is.
    let large_file = format!("{}-large", large.id);
    let not_synced = |path: &Path| path.file_name().unwrap() != large_file.as_str();
    for (i, (path, content)) in before.iter().enumerate() {
        match i % 4 {
            _ if !not_synced(path) => continue,
            0 => drop(std::fs::remove_file(path)),
            1 => std::fs::write(path, b"").unwrap(),
            2 => std::fs::write(path, vec![0; content.len()]).unwrap(),
            _ => std::fs::write(path, content).unwrap(),
        }
    }
    let store = open(dir.path());
    assert_eq!(tree(dir.path()), whole);
    for manifest in [kept, prolonged, large] {
        assert_eq!(store.manifest(&manifest.id).await.unwrap(), Some(manifest));
    }
    assert_eq!(store.manifest(&removed.id).await.unwrap(), None);
    assert_eq!(store.0.inner().layout.staged().unwrap().len(), 0);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_replay_that_is_cut_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut uploads = Vec::new();
    for i in 0..20_u8 {
        uploads.push(commit(&store, &[("a", &[i; 100])]).await);
    }
    remove(&store, &uploads.pop().unwrap()).await;
    let whole = tree(dir.path());
    drop(store);
    for (path, _) in &whole {
        std::fs::remove_file(path).unwrap();
    }
    // Something is in the way of one of the names, and is not any more.
    let (stuck, _) = &whole[30];
    std::fs::create_dir(stuck).unwrap();
    for _ in 0..2 {
        let store = DiskStore::open(&options(dir.path())).unwrap();
        assert!(store.recover(|| false).is_err());
    }
    std::fs::remove_dir(stuck).unwrap();
    drop(open(dir.path()));
    assert_eq!(tree(dir.path()), whole);
    // And once more, over what is there by now.
    drop(open(dir.path()));
    assert_eq!(tree(dir.path()), whole);
}

#[tokio::test]
async fn a_newer_manifest_on_the_disk_stays_and_a_clean_end_leaves_no_records() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let manifest = commit(&store, &[("a", b"x")]).await;
    drop(store);
    // As one that found no room in the journal.
    let mut newer = manifest.clone();
    newer.generation = 5;
    let prefix = dir.path().join(manifest.id.prefix().as_str());
    let path = prefix.join(format!("{}.json", manifest.id));
    std::fs::write(&path, to_json(&newer).unwrap()).unwrap();
    let store = open(dir.path());
    assert_eq!(store.manifest(&manifest.id).await.unwrap(), Some(newer));
    let other = commit(&store, &[("a", b"y")]).await;
    store.close().await.unwrap();
    drop(store);
    // Nothing is brought back of what was on the disk at a clean end.
    std::fs::remove_dir_all(&prefix).unwrap();
    let name = format!("{}.json", other.id);
    let _ = std::fs::remove_file(dir.path().join(other.id.prefix().as_str()).join(name));
    let store = open(dir.path());
    assert_eq!(store.manifest(&other.id).await.unwrap(), None);
    assert_eq!(store.manifest(&manifest.id).await.unwrap(), None);
}

/// The folders of journals in a store.
fn journals(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join(".wharf")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("journal")).collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_journal_of_a_copy_and_one_that_an_older_version_passed_by_are_set_aside() {
    let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path());
    let manifest = commit(&store, &[("a", b"x")]).await;
    let copy = copies.path().join("copy");
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([dir.path(), &copy])
        .status();
    assert!(copied.unwrap().success());
    remove(&store, &manifest).await;
    drop(store);
    // The copy was made of a running server: it has the upload, and is no part of that journal.
    let other = open(&copy);
    assert_eq!(journals(&copy), ["journal", "journal.foreign-1"]);
    assert!(other.manifest(&manifest.id).await.unwrap().is_some());
    drop(other);
    let store = DiskStore::open(&options(dir.path())).unwrap();
    store.recover(|| true).unwrap();
    store.start_journal(None).unwrap();
    assert_eq!(journals(dir.path()), ["journal.old-1"]);
}

#[tokio::test]
async fn without_one_in_the_settings_the_journal_is_read_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let manifest = commit(&store, &[("a", b"x")]).await;
    drop(store);
    std::fs::remove_dir_all(dir.path().join(manifest.id.prefix().as_str())).unwrap();
    let inspected = DiskStore::inspect(dir.path()).unwrap();
    assert_eq!(inspected.0.inner().unreplayed().unwrap(), 1);
    drop(inspected);
    let shared = Options {
        shared: Some(Duration::from_secs(3600)),
        ..options(dir.path())
    };
    let store = DiskStore::open(&shared).unwrap();
    store.recover(|| false).unwrap();
    assert_eq!(journals(dir.path()), Vec::<String>::new());
    assert_eq!(store.manifest(&manifest.id).await.unwrap(), Some(manifest));
    // Another has the store beside it.
    let second = DiskStore::open(&shared).unwrap();
    second.recover(|| false).unwrap();
}

#[tokio::test]
async fn a_journal_that_has_failed_takes_uploads_and_readiness_until_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let manifest = commit(&store, &[("a", b"x")]).await;
    let id = UploadId::generate().unwrap();
    let (staged, failing) = conformance::stage(&store, id, &[("a", b"y")]).await;
    store.0.inner().journal().unwrap().fail("a test");
    let failed = staged.commit(&failing).await;
    assert!(
        matches!(failed, Err(StoreError::Unwritable(_))),
        "{failed:?}"
    );
    assert_eq!(store.manifest(&id).await.unwrap(), None);
    let refused = store.stage(id).await.map(drop);
    assert!(
        matches!(refused, Err(StoreError::Unwritable(_))),
        "{refused:?}"
    );
    assert_eq!(store.ready(), Err("a test".to_owned()));
    let mut next = manifest.clone();
    next.generation += 1;
    assert!(store.replace(&next).await.is_err());
    let tombstone = Tombstone::of(&manifest, Reason::Deleted, Timestamp::from_millis(1));
    assert!(store.remove(&tombstone).await.is_err());
    assert_eq!(
        store.manifest(&manifest.id).await.unwrap(),
        Some(manifest.clone())
    );
    assert!(
        store.close().await.is_err(),
        "the index must not be marked as clean"
    );
    drop(store);
    let whole = tree(dir.path());
    assert_eq!(whole.len(), 2, "nothing is left of the one that failed");
    let store = open(dir.path());
    assert!(store.ready().is_ok());
    assert_eq!(tree(dir.path()), whole);
}

#[tokio::test]
async fn a_commit_whose_name_is_taken_at_its_end_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = UploadId::generate().unwrap();
    let (staged, manifest) = conformance::stage(&store, id, &[("a", b"x")]).await;
    // The manifest cannot get its name once the record is durable.
    let folder = dir.path().join(id.prefix().as_str());
    std::fs::create_dir_all(folder.join(format!("{id}.json"))).unwrap();
    assert!(staged.commit(&manifest).await.is_err());
    assert_eq!(records(&store), 2, "and its removal is recorded");
    std::fs::remove_dir(folder.join(format!("{id}.json"))).unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.manifest(&id).await.unwrap(), None);
    assert_eq!(tree(dir.path()), []);
}

#[tokio::test]
async fn without_room_in_the_journal_commits_sync_for_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let journal = store.0.inner().journal().unwrap();
    // Its names are never given.
    let id = UploadId::generate().unwrap();
    let _held = journal.append(Body::replace(&id, b"{}")).await.unwrap();
    for size in [400_000, 1] {
        let content = || bytes::Bytes::from(vec![1; size as usize]);
        let commit = || Body::commit(&id, b"{}", &[size], content());
        while journal.append(commit()).await.is_ok() {}
    }
    let before = records(&store);
    let manifest = commit(&store, &[("a", b"x")]).await;
    assert_eq!(records(&store), before);
    let crowd = store.crowd();
    commit(&store, &[("a", b"x")]).await;
    drop(crowd);
    remove(&store, &manifest).await;
    assert_eq!(records(&store), before + 1, "a removal finds the last room");
}
