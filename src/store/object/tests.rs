use super::*;
use crate::store::conformance;

#[path = "../../../tests/wharf/support/s3.rs"]
#[expect(dead_code, reason = "the tests of the binary use the rest")]
mod server;

use server::Bucket;

fn options(bucket: &Bucket, prefix: &str) -> Options {
    // As the binary does before anything else.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = [
        ("aws_access_key_id", "test"),
        ("aws_secret_access_key", "test"),
        ("aws_region", "us-east-1"),
    ];
    Options {
        bucket: bucket.name.clone(),
        prefix: prefix.to_owned(),
        endpoint: Some(bucket.server.url()),
        settings: settings
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
        memory: Options::LEAST_MEMORY,
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
        store.close().await;
        let keys = bucket.keys();
        assert!(keys.iter().all(|key| key.ends_with(".json")), "{keys:?}");
        assert_eq!(bucket.unfinished(), [""; 0]);
    }
}
