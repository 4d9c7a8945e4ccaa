//! One suite of tests that every store passes.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::{FileSink, Note, Replaced, ScannedUpload, Staged, Store, StoreError, StoreId};
use crate::model::{
    Clock, FileName, Manifest, Part, Prefix, Reason, Stored, StoredFile, Timestamp, Tombstone,
    UploadId,
};

/// A point in time after everything a test does.
const LATER: Timestamp = Timestamp::from_millis(i64::MAX);

fn name(text: &str) -> FileName {
    FileName::from_upload(text.as_bytes())
}

/// A point in time before everything a test does.
const EARLY: Timestamp = Timestamp::from_millis(0);

/// Receives files into an upload that is not committed yet, and makes its manifest.
pub async fn stage(
    store: &dyn Store,
    id: UploadId,
    files: &[(&str, &[u8])],
) -> (Box<dyn Staged>, Manifest) {
    let mut staged = store.stage(id).await.unwrap();
    let mut parts = Vec::new();
    for (text, content) in files {
        let mut sink: Box<dyn FileSink> = staged.file(name(text), true).await.unwrap();
        for frame in content.chunks(100_000) {
            sink.write(Bytes::copy_from_slice(frame)).await.unwrap();
        }
        let received = sink.finish().await.unwrap();
        assert_eq!(received.size, content.len() as u64);
        let checksums = received.checksums.unwrap();
        parts.push(Part::sample(StoredFile {
            sha256: Some(checksums.sha256),
            crc32: Some(checksums.crc32),
            ..StoredFile::sample(text, received.size)
        }));
    }
    let manifest = Manifest {
        id,
        ..Manifest::sample(parts)
    };
    (staged, manifest)
}

async fn commit(store: &dyn Store, files: &[(&str, &[u8])]) -> Manifest {
    let (staged, manifest) = stage(store, UploadId::generate().unwrap(), files).await;
    staged.commit(&manifest).await.unwrap();
    manifest
}

async fn content(store: &dyn Store, manifest: &Manifest, file: &str) -> Result<Bytes, StoreError> {
    let (_, stored) = manifest.file(&name(file)).unwrap();
    read(store, manifest, &stored.name, stored.size, 0..stored.size).await
}

async fn read(
    store: &dyn Store,
    manifest: &Manifest,
    name: &FileName,
    size: u64,
    range: Range<u64>,
) -> Result<Bytes, StoreError> {
    let mut blob = store.open(&manifest.id, name, size, range).await?;
    let mut content = Vec::new();
    while let Some(block) = blob.next().await? {
        assert!(!block.is_empty());
        content.extend_from_slice(&block);
    }
    assert_eq!(blob.next().await.unwrap(), None);
    Ok(content.into())
}

async fn all_ids(store: &dyn Store) -> Vec<UploadId> {
    let mut ids = Vec::new();
    for prefix in Prefix::all() {
        for ScannedUpload { id, .. } in store.scan(prefix).await.unwrap() {
            if store.manifest(&id).await.unwrap().is_some() {
                ids.push(id);
            }
        }
    }
    ids
}

/// The end of an upload as this version of its manifest has it.
fn end(manifest: &Manifest) -> Tombstone {
    Tombstone::of(manifest, Reason::Deleted, Timestamp::from_millis(5))
}

async fn remove(store: &dyn Store, manifest: &Manifest) {
    assert_eq!(store.remove(&end(manifest)).await.unwrap(), Replaced::Done);
}

/// Runs the whole suite on an empty store.
pub async fn all(store: &dyn Store) {
    nothing_before_the_commit(store).await;
    what_is_committed_is_read(store).await;
    an_id_is_committed_once(store).await;
    the_last_total_is_kept(store).await;
    replacing_counts_generations(store).await;
    removal_is_complete_and_repeatable(store).await;
    orphans_are_only_what_belongs_to_nothing(store).await;
}

async fn nothing_before_the_commit(store: &dyn Store) {
    let id = UploadId::generate().unwrap();
    let big = vec![7; 700_000];
    let (mut staged, _) = stage(store, id, &[("a", b"x"), ("b", &big)]).await;
    let mut unfinished = staged.file(name("c"), false).await.unwrap();
    unfinished.write(Bytes::from(big)).await.unwrap();
    drop(unfinished);
    assert_eq!(store.manifest(&id).await.unwrap(), None);
    drop(staged);
    assert_eq!(all_ids(store).await, []);
}

async fn what_is_committed_is_read(store: &dyn Store) {
    let big: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let files = [
        ("empty", &b""[..]),
        ("small", b"small"),
        ("big", &big),
        ("last", b"last"),
    ];
    let manifest = commit(store, &files).await;
    assert_eq!(
        store.manifest(&manifest.id).await.unwrap(),
        Some(manifest.clone())
    );
    for (file, expected) in files {
        assert!(
            content(store, &manifest, file).await.unwrap() == expected,
            "{file}"
        );
    }
    for range in [0..1, 1_000_001..1_700_001, 2_999_999..3_000_000, 7..7] {
        let part = &big[range.start as usize..range.end as usize];
        let found = read(store, &manifest, &name("big"), 3_000_000, range.clone()).await;
        assert!(found.unwrap() == part, "{range:?}");
    }
    for (file, size, range) in [
        ("big", 5, 0..5),
        ("big", 3_000_001, 1..3_000_001),
        ("big", 3_000_001, 3_000_000..3_000_001),
        ("absent", 0, 0..0),
        ("absent", 7, 0..7),
    ] {
        let wrong = read(store, &manifest, &name(file), size, range.clone()).await;
        let damaged = matches!(wrong, Err(StoreError::Damaged(_)));
        assert!(damaged, "{file} {size} {range:?}");
    }
    let intact = Arc::new(manifest.clone());
    assert!(store.verify(&intact, 0..4).await.is_ok());
    assert!(store.verify(&intact, 4..4).await.is_ok());
    // Another size, and a file that is not there: found, but only where it is looked for.
    for change in [(|file| file.size = 5) as fn(&mut StoredFile), |file| {
        file.name = name("absent")
    }] {
        let mut wrong = manifest.clone();
        if let Some(Part::File { file, .. }) = wrong.parts.last_mut() {
            change(file);
        }
        let wrong = Arc::new(wrong);
        for (parts, damaged) in [(0..4, true), (3..4, true), (0..3, false), (1..2, false)] {
            let found = store.verify(&wrong, parts.clone()).await;
            let is_damaged = matches!(found, Err(StoreError::Damaged(_)));
            assert_eq!(is_damaged, damaged, "{parts:?}: {found:?}");
        }
    }
    assert_eq!(all_ids(store).await, [manifest.id]);
    remove(store, &manifest).await;
}

async fn an_id_is_committed_once(store: &dyn Store) {
    let first = commit(store, &[("a", b"first")]).await;
    let (again, manifest) = stage(store, first.id, &[("b", b"second")]).await;
    assert!(matches!(
        again.commit(&manifest).await,
        Err(StoreError::Exists)
    ));
    assert_eq!(
        store.manifest(&first.id).await.unwrap(),
        Some(first.clone())
    );
    assert_eq!(content(store, &first, "a").await.unwrap(), "first");
    remove(store, &first).await;
}

async fn replacing_counts_generations(store: &dyn Store) {
    let first = commit(store, &[("a", b"x")]).await;
    let version = |generation, used| Manifest {
        generation,
        used,
        ..first.clone()
    };
    assert_eq!(
        store.replace(&version(3, 3)).await.unwrap(),
        Replaced::Changed
    );
    assert_eq!(
        store.replace(&version(1, 1)).await.unwrap(),
        Replaced::Changed
    );
    assert_eq!(store.replace(&version(2, 2)).await.unwrap(), Replaced::Done);
    assert_eq!(
        store.replace(&version(2, 9)).await.unwrap(),
        Replaced::Changed
    );
    assert_eq!(store.manifest(&first.id).await.unwrap().unwrap().used, 2);
    // Of many at once, one is first.
    let (three, four) = (version(3, 3), version(3, 4));
    let both = tokio::join!(store.replace(&three), store.replace(&four));
    let done = [both.0.unwrap(), both.1.unwrap()];
    assert!(done.contains(&Replaced::Done) && done.contains(&Replaced::Changed));
    // A version of another store is taken whatever lies between, and never for a later one.
    for (generation, outcome) in [(2, Replaced::Changed), (9, Replaced::Done)] {
        let advanced = store.advance(&version(generation, 5)).await.unwrap();
        assert_eq!(advanced, outcome, "{generation}");
    }
    let stored = store.manifest(&first.id).await.unwrap().unwrap();
    assert_eq!((stored.generation, stored.used), (9, 5));
    remove(store, &stored).await;
    assert_eq!(
        store.replace(&version(11, 4)).await.unwrap(),
        Replaced::Gone
    );
    assert_eq!(
        store.advance(&version(20, 4)).await.unwrap(),
        Replaced::Gone
    );
    assert_eq!(store.manifest(&first.id).await.unwrap(), None);
}

async fn removal_is_complete_and_repeatable(store: &dyn Store) {
    let (kept, mut removed) = (
        commit(store, &[("a", b"x")]).await,
        commit(store, &[("a", b"y")]).await,
    );
    let mut reading = store.open(&removed.id, &name("a"), 1, 0..1).await.unwrap();
    let early = end(&removed);
    removed.generation = 2;
    assert_eq!(store.replace(&removed).await.unwrap(), Replaced::Done);
    // A removal that has not seen the last version removes nothing.
    assert_eq!(store.remove(&early).await.unwrap(), Replaced::Changed);
    assert!(content(store, &removed, "a").await.is_ok());
    remove(store, &removed).await;
    for tombstone in [early, end(&removed)] {
        assert_eq!(store.remove(&tombstone).await.unwrap(), Replaced::Gone);
        assert_eq!(store.remove_files(&tombstone).await.unwrap(), 0);
    }
    assert!(content(store, &removed, "a").await.is_err());
    assert_eq!(
        reading.next().await.unwrap().as_deref(),
        Some(&b"y"[..]),
        "a reader that has it open reads on"
    );
    assert_eq!(content(store, &kept, "a").await.unwrap(), "x");
    assert_eq!(all_ids(store).await, [kept.id]);
    remove(store, &kept).await;
    // Of many at once, one is first; those that come later find it gone.
    let contested = commit(store, &[("a", b"z")]).await;
    let next = Manifest {
        generation: 2,
        ..contested.clone()
    };
    let end = end(&contested);
    let (one, other, prolonged) =
        tokio::join!(store.remove(&end), store.remove(&end), store.replace(&next));
    let done = [one.unwrap(), other.unwrap(), prolonged.unwrap()];
    let first = done.iter().filter(|done| **done == Replaced::Done).count();
    assert_eq!(first, 1, "{done:?}");
    if done[2] == Replaced::Done {
        remove(store, &next).await;
    }
}

async fn orphans_are_only_what_belongs_to_nothing(store: &dyn Store) {
    let kept = commit(store, &[("a", b"x")]).await;
    let (staged, manifest) =
        stage(store, UploadId::generate().unwrap(), &[("a", b"under way")]).await;
    for prefix in Prefix::all() {
        assert_eq!(store.orphans(prefix, EARLY).await.unwrap(), []);
    }
    staged.commit(&manifest).await.unwrap();
    for manifest in [kept, manifest] {
        assert!(content(store, &manifest, "a").await.is_ok());
        let orphaned = Tombstone::orphaned(manifest.id, Vec::new(), LATER);
        assert_eq!(store.remove(&orphaned).await.unwrap(), Replaced::Changed);
        assert!(content(store, &manifest, "a").await.is_ok());
        remove(store, &manifest).await;
    }
}

/// Holds where other processes have the store too: an upload that is gone leaves a tombstone,
/// and never comes back. Runs beside [`all`].
pub async fn shared(store: &dyn Store) {
    a_tombstone_stays_until_it_is_removed(store).await;
    what_was_given_up_is_not_committed(store).await;
    versions_differ(store).await;
    notes_stay_until_they_are_taken_away(store).await;
    it_knows_itself(store).await;
}

async fn a_tombstone_stays_until_it_is_removed(store: &dyn Store) {
    let manifest = commit(store, &[("a", b"x")]).await;
    let tombstone = end(&manifest);
    remove(store, &manifest).await;
    let stored = store.read(&manifest.id).await.unwrap();
    assert_eq!(stored, Some(Stored::Gone(tombstone.clone())));
    assert!(
        store
            .scan(manifest.id.prefix())
            .await
            .unwrap()
            .iter()
            .any(|found| found.id == manifest.id && !found.files)
    );
    let (again, manifest) = stage(store, manifest.id, &[("b", b"second")]).await;
    assert!(matches!(
        again.commit(&manifest).await,
        Err(StoreError::Exists)
    ));
    let next = Manifest {
        generation: 3,
        ..manifest.clone()
    };
    assert_eq!(store.replace(&next).await.unwrap(), Replaced::Gone);
    let stored = store.read(&manifest.id).await.unwrap();
    assert_eq!(stored, Some(Stored::Gone(tombstone.clone())));
    store.remove_tombstone(&tombstone).await.unwrap();
    store.remove_tombstone(&tombstone).await.unwrap();
    assert_eq!(store.read(&manifest.id).await.unwrap(), None);
}

async fn what_was_given_up_is_not_committed(store: &dyn Store) {
    let id = UploadId::generate().unwrap();
    let (staged, manifest) = stage(store, id, &[("a", b"x"), ("b", &[7; 700_000])]).await;
    let tombstone = Tombstone::orphaned(id, Vec::new(), Timestamp::from_millis(5));
    assert_eq!(store.remove(&tombstone).await.unwrap(), Replaced::Done);
    assert_eq!(store.remove(&tombstone).await.unwrap(), Replaced::Gone);
    assert!(staged.commit(&manifest).await.is_err());
    assert_eq!(store.manifest(&id).await.unwrap(), None);
    assert!(content(store, &manifest, "a").await.is_err());
    // A manifest that was there is not removed as a tombstone would be.
    let kept = commit(store, &[("a", b"x")]).await;
    let false_end = end(&kept);
    store.remove_tombstone(&false_end).await.unwrap();
    assert!(store.manifest(&kept.id).await.unwrap().is_some());
    remove(store, &kept).await;
}

async fn versions_differ(store: &dyn Store) {
    let mut manifest = commit(store, &[]).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let version = loop {
            match store.version(&manifest.id).await.unwrap() {
                Some(version) => break version,
                None => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        };
        assert!(!seen.contains(&version));
        assert_eq!(
            store.version(&manifest.id).await.unwrap(),
            Some(version.clone())
        );
        seen.push(version);
        manifest.generation += 1;
        assert_eq!(store.replace(&manifest).await.unwrap(), Replaced::Done);
    }
    remove(store, &manifest).await;
    assert_ne!(
        store.version(&manifest.id).await.unwrap(),
        seen.pop(),
        "a tombstone is another version"
    );
}

async fn notes_stay_until_they_are_taken_away(store: &dyn Store) {
    let ids = [(); 2].map(|()| UploadId::generate().unwrap());
    let noted = async |note| {
        let notes = store.notes(note).await.unwrap();
        let mut noted: Vec<UploadId> = notes.into_iter().map(|(id, _)| id).collect();
        noted.sort();
        noted
    };
    assert_eq!(noted(Note::Unindexed).await, []);
    store.remove_note(Note::Unindexed, &ids[0]).await.unwrap();
    let before = Clock::system().now();
    for id in ids.iter().chain(&ids) {
        store.add_note(Note::Unindexed, id).await.unwrap();
    }
    let mut all = ids;
    all.sort();
    assert_eq!(noted(Note::Unindexed).await, all);
    assert_eq!(noted(Note::UnderWay).await, [], "of another kind");
    // To the second, as a bucket tells it.
    let second = std::time::Duration::from_secs(1);
    for (_, left) in store.notes(Note::Unindexed).await.unwrap() {
        assert!(left >= before.before(second));
    }
    for id in &ids {
        store.remove_note(Note::Unindexed, id).await.unwrap();
        store.remove_note(Note::Unindexed, id).await.unwrap();
    }
    assert_eq!(noted(Note::Unindexed).await, []);
    assert!(all_ids(store).await.is_empty(), "a note is no upload");
}

async fn it_knows_itself(store: &dyn Store) {
    assert_eq!(store.identity().await.unwrap(), None);
    let id = StoreId::generate().unwrap();
    store.set_identity(id).await.unwrap();
    assert_eq!(store.identity().await.unwrap(), Some(id));
    assert_eq!(StoreId::parse(&id.to_string()), Some(id));
}

async fn the_last_total_is_kept(store: &dyn Store) {
    assert_eq!(store.total().await.unwrap(), None);
    for bytes in [4096, u64::MAX] {
        store.keep_total(bytes).await.unwrap();
        assert_eq!(store.total().await.unwrap(), Some(bytes));
    }
}
