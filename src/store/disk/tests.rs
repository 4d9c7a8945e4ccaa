use super::*;
use crate::store::conformance;

fn options(dir: &Path, durability: Durability, descriptors: usize) -> Options {
    Options {
        dir: dir.to_owned(),
        durability,
        min_free: 0,
        descriptors,
    }
}

#[tokio::test]
async fn it_is_a_store_in_each_of_its_ways() {
    for durability in [Durability::Strict, Durability::Relaxed] {
        for descriptors in [0, 1, 1000] {
            let dir = tempfile::tempdir().unwrap();
            let store = DiskStore::open(&options(dir.path(), durability, descriptors)).unwrap();
            conformance::all(&store).await;
            let stage = dir.path().join(".wharf/stage");
            // What was dropped is removed on another thread.
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
    std::fs::create_dir(&folder).unwrap();
    let orphan = folder.join(format!("{id}-a.txt"));
    let foreign = folder.join("a.txt");
    for path in [&orphan, &foreign] {
        std::fs::write(path, "x").unwrap();
    }
    let early = Timestamp::from_millis(0);
    assert_eq!(store.remove_orphans(id.prefix(), early).await.unwrap(), 0);
    let late = Timestamp::from_millis(i64::MAX);
    assert_eq!(store.remove_orphans(id.prefix(), late).await.unwrap(), 1);
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
