use super::*;
use crate::store::conformance;

#[path = "../../../tests/wharf/support/s3.rs"]
#[expect(dead_code, reason = "the tests of the binary use the rest")]
mod server;

#[path = "../../../tests/wharf/support/s3_fs.rs"]
mod second;

use second::S3Fs;
use server::Bucket;

fn options(bucket: &Bucket, prefix: &str) -> BucketOptions {
    at(&bucket.server.url(), &bucket.name, prefix, ["test", "test"])
}

fn at(endpoint: &str, bucket: &str, prefix: &str, [key, secret]: [&str; 2]) -> BucketOptions {
    // As the binary does before anything else.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = [
        ("aws_access_key_id", key),
        ("aws_secret_access_key", secret),
        ("aws_region", "us-east-1"),
    ];
    BucketOptions {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        endpoint: Some(endpoint.to_owned()),
        settings: settings
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
        memory: BucketOptions::LEAST_MEMORY,
        redirect: false,
        stale_after: Duration::from_secs(3600),
    }
}

async fn open(bucket: &Bucket, prefix: &str) -> BucketStore {
    BucketStore::open(&options(bucket, prefix)).await.unwrap()
}

#[tokio::test]
async fn it_is_a_store_that_is_shared() {
    for prefix in ["", "a/b"] {
        let bucket = Bucket::new();
        let store = open(&bucket, prefix).await;
        conformance::all(&store).await;
        conformance::shared(&store).await;
        store.close().await.unwrap();
        let keys = bucket.keys();
        assert!(keys.iter().all(|key| key.ends_with(".json")), "{keys:?}");
        assert_eq!(bucket.unfinished(), [""; 0]);
    }
}

/// The same on another server, which checks signatures; `./test soak` alone has it.
#[tokio::test]
#[ignore = "needs s3s-fs, which ./test soak builds"]
async fn it_is_a_store_on_another_server() {
    let Some(program) = S3Fs::program() else {
        return;
    };
    for prefix in ["", "a/b"] {
        let s3 = S3Fs::start(&program);
        let options = at(&s3.url(), S3Fs::BUCKET, prefix, [S3Fs::KEY, S3Fs::SECRET]);
        let store = BucketStore::open(&options).await.unwrap();
        conformance::all(&store).await;
        conformance::shared(&store).await;
        store.close().await.unwrap();
        let keys = s3.keys();
        assert!(keys.iter().all(|key| key.ends_with(".json")), "{keys:?}");
        assert_eq!(s3.parts(), 0);
    }
}

const EARLY: Timestamp = Timestamp::from_millis(0);
const LATER: Timestamp = Timestamp::from_millis(i64::MAX);

/// Waits until the bucket has these keys, and so many files that are begun and not ended.
async fn holds(bucket: &Bucket, keys: &[String], unfinished: usize) {
    for _ in 0..2000 {
        if bucket.keys() == keys && bucket.unfinished().len() == unfinished {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?} {:?}", bucket.keys(), bucket.unfinished());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_has_left_goes_when_it_is_stale() {
    let bucket = Bucket::new();
    let (store, other) = (open(&bucket, "").await, open(&bucket, "").await);
    let id = UploadId::generate().unwrap();
    let (small, large) = (FileName::from_upload(b"a"), FileName::from_upload(b"b"));
    let folder = id.prefix();
    let file = format!("{}/{id}-a", folder.as_str());
    let mut staged = store.stage(id).await.unwrap();
    let mut sink = staged.file(small.clone(), false).await.unwrap();
    sink.write(vec![1; 10].into()).await.unwrap();
    sink.finish().await.unwrap();
    let mut sink = staged.file(large, false).await.unwrap();
    sink.write(vec![2; 9 << 20].into()).await.unwrap();
    holds(&bucket, std::slice::from_ref(&file), 1).await;
    // A file that is under way here is no orphan, whatever the clocks say; elsewhere it is when it
    // is stale.
    assert_eq!(store.orphans(folder, LATER).await.unwrap(), []);
    assert_eq!(other.orphans(folder, EARLY).await.unwrap(), []);
    let foreign = [
        format!("{}/notes.txt", folder.as_str()),
        format!("{}/sub/{id}.json", folder.as_str()),
    ];
    foreign.iter().for_each(|key| bucket.put(key, b"mine"));
    let files = vec![small];
    let orphan = Orphan {
        id,
        files: files.clone(),
    };
    assert_eq!(other.orphans(folder, LATER).await.unwrap(), [orphan]);
    let tombstone = Tombstone::orphaned(id, files, EARLY);
    assert_eq!(other.remove(&tombstone).await.unwrap(), Replaced::Done);
    let mut left = vec![format!("{}/{id}.json", folder.as_str())];
    left.extend(foreign);
    holds(&bucket, &left, 0).await;
    let found = other.scan(folder).await.unwrap();
    assert!(found.len() == 1 && found[0].id == id && !found[0].files);
}

/// moto says of every file that it was begun in 2010.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_under_way_as_long_as_parts_of_it_come() {
    let bucket = Bucket::new();
    let (store, other) = (open(&bucket, "").await, open(&bucket, "").await);
    let id = UploadId::generate().unwrap();
    let folder = id.prefix();
    let start = Clock::system().now().before(Duration::from_secs(2));
    let mut staged = store.stage(id).await.unwrap();
    let large = FileName::from_upload(b"large");
    let mut sink = staged.file(large, false).await.unwrap();
    sink.write(vec![1; 9 << 20].into()).await.unwrap();
    holds(&bucket, &[], 1).await;
    let begun = other.0.unfinished("").await.unwrap();
    assert!(begun[0].begun < start);
    for _ in 0..2000 {
        if other.0.touched(&begun[0]).await > begun[0].begun {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(other.orphans(folder, start).await.unwrap(), []);
    let later = Clock::system().now().after(Duration::from_secs(2));
    let orphans = other.orphans(folder, later).await.unwrap();
    assert_eq!(orphans.len(), 1);
    drop(sink);
    drop(staged);
    holds(&bucket, &[], 0).await;
    let now = other.0.touched(&begun[0]).await;
    assert_eq!(now, LATER, "what has ended is not judged");
}

#[tokio::test]
async fn what_others_have_put_into_the_bucket_is_passed_over() {
    let bucket = Bucket::new();
    let store = open(&bucket, "").await;
    let id = UploadId::generate().unwrap();
    let (staged, manifest) = conformance::stage(&store, id, &[("a", b"x")]).await;
    staged.commit(&manifest).await.unwrap();
    let folder = id.prefix();
    let foreign = ["/b", "a//b", "../b", "x/", "z"].map(|key| format!("{}/{key}", folder.as_str()));
    foreign.iter().for_each(|key| bucket.put(key, b"mine"));
    let found = store.scan(folder).await.unwrap();
    assert!(found.len() == 1 && found[0].id == id && found[0].files);
    let listed = found[0].fingerprint.expect("moto lists sizes and ETags");
    assert!(listed.has_files_of(&manifest) && listed.has_key_of(&listed));
    assert_eq!(store.orphans(folder, LATER).await.unwrap(), []);
    bucket.put(".wharf/probe-x", b"1");
    bucket.put(".wharf/other", b"1");
    store.0.remove_probes(EARLY).await.unwrap();
    assert_eq!(bucket.get(".wharf/probe-x").0, 200);
    store.0.remove_probes(LATER).await.unwrap();
    assert_eq!(bucket.get(".wharf/probe-x").0, 404);
    assert_eq!(bucket.get(".wharf/other").0, 200);
}

#[tokio::test]
async fn a_commit_that_comes_too_late_is_given_up() {
    let bucket = Bucket::new();
    let options = BucketOptions {
        stale_after: Duration::from_millis(20),
        ..options(&bucket, "")
    };
    let store = BucketStore::open(&options).await.unwrap();
    let id = UploadId::generate().unwrap();
    let (staged, manifest) = conformance::stage(&store, id, &[("a", b"x")]).await;
    tokio::time::sleep(Duration::from_millis(40)).await;
    let late = staged.commit(&manifest).await;
    assert!(matches!(late, Err(StoreError::Stale(_))), "{late:?}");
    holds(&bucket, &[], 0).await;
}
