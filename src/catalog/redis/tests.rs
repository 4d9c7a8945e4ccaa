use super::renewals::RESERVATION_TTL;
use super::*;
use crate::catalog::{Limit, Listed, Reservations as _, Reserved, Verification as _, conformance};
use crate::coordination::{Address, testing as server};
use crate::model::{Clock, Portion};

mod room;

async fn catalog(link: &Link, count: u32) -> RedisCatalog {
    let events = Events::listen(link, Vec::new());
    let keys = Keys::new(&format!("test{count}"));
    RedisCatalog::new(link.clone(), events, keys, Duration::from_secs(60))
        .counting_room()
        .unwrap()
}

async fn conforms(url: &str) {
    let link = Link::connect(Address::parse(url).unwrap()).await.unwrap();
    let mut count = 0;
    conformance::all(async || {
        count += 1;
        catalog(&link, count).await
    })
    .await;
}

#[tokio::test]
async fn it_is_a_catalog_on_one_server() {
    let redis = server::Redis::start();
    conforms(&redis.url()).await;
}

#[tokio::test]
async fn it_is_a_catalog_on_a_cluster() {
    let cluster = server::Cluster::start();
    conforms(&cluster.url()).await;
}

#[tokio::test]
async fn what_another_run_of_the_server_says_is_no_answer() {
    let mut redis = server::Redis::with(&["--save", "3600 1"]);
    let link = Link::connect(Address::parse(&redis.url()).unwrap())
        .await
        .unwrap();
    let catalog = catalog(&link, 0).await;
    catalog
        .mark_verified(catalog.unverified().await.unwrap())
        .await
        .unwrap();
    let upload = conformance::manifest(1, &["a"]);
    catalog.record(&upload).await.unwrap();
    redis.cli(&["SAVE"]);
    let lost = conformance::manifest(2, &["a", "b"]);
    catalog.record(&lost).await.unwrap();
    redis.restart();
    tokio::time::timeout(Duration::from_secs(10), catalog.changes_lost())
        .await
        .expect("the restart is noticed");
    let now = Timestamp::from_millis(5);
    let newest = async |name: &[u8]| catalog.newest(&FileName::from_upload(name), now, &[]).await;
    for name in [b"a", b"b"] {
        assert!(matches!(newest(name).await, Err(CatalogError::Rebuilding)));
    }
    let listed = catalog.list(None, 9, now, &Listed::All.into()).await;
    assert!(matches!(listed, Err(CatalogError::Rebuilding)));
    // An instance knows a server's state for that run of the server alone.
    let early = catalog.unverified().await.unwrap();
    redis.restart();
    while catalog.stats().await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!catalog.mark_verified(early).await.unwrap());
    assert_eq!(
        catalog.unverified().await.unwrap().prefixes.len(),
        Prefix::COUNT
    );
    redis.kill();
    let away = catalog.find(&upload.id).await;
    assert!(
        matches!(away, Err(CatalogError::Unavailable(_))),
        "{away:?}"
    );
}

#[tokio::test]
async fn what_an_older_version_recorded_since_is_not_shown_as_it_was() {
    let redis = server::Redis::start();
    let link = Link::connect(Address::parse(&redis.url()).unwrap())
        .await
        .unwrap();
    let catalog = catalog(&link, 0).await;
    conformance::mark_verified(&catalog).await;
    let mut upload = conformance::manifest(1, &["a.txt"]);
    upload.title = crate::model::Title::from_upload("before").unwrap();
    catalog.record(&upload).await.unwrap();
    let now = Timestamp::from_millis(5);
    let shown = async || {
        let found = catalog.find(&upload.id).await.unwrap().unwrap();
        let listed = catalog
            .list(None, 9, now, &Listed::All.into())
            .await
            .unwrap();
        assert_eq!(listed.entries, std::slice::from_ref(&found));
        found.shown
    };
    assert_eq!(shown().await.unwrap().title, upload.title);
    // Such a version writes the members that it knows.
    let key = &catalog.shards.of(&upload.id, &["upload"])[0];
    redis.cli(&["HSET", key, "g", "2"]);
    assert_eq!(shown().await, None);
    redis.cli(&["HDEL", key, "f"]);
    assert_eq!(shown().await, None);
    upload.generation = 3;
    catalog.record(&upload).await.unwrap();
    assert_eq!(shown().await.unwrap().title, upload.title);
}

#[tokio::test]
async fn what_is_lost_during_a_comparison_has_to_be_compared_again() {
    let redis = server::Redis::start();
    let link = Link::connect(Address::parse(&redis.url()).unwrap())
        .await
        .unwrap();
    let catalog = catalog(&link, 0).await;
    let unverified = catalog.unverified().await.unwrap();
    redis.cli(&["FLUSHALL"]);
    assert!(
        !catalog.mark_verified(unverified).await.unwrap(),
        "it was lost"
    );
    assert_eq!(
        catalog.unverified().await.unwrap().prefixes.len(),
        Prefix::COUNT
    );
    // Two instances that compare at the same time both come to an end.
    let (one, other) = (
        catalog.unverified().await.unwrap(),
        catalog.unverified().await.unwrap(),
    );
    assert_eq!(one, other);
    assert!(catalog.mark_verified(one).await.unwrap());
    assert!(catalog.mark_verified(other).await.unwrap());
    assert!(catalog.unverified().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_use_released_while_it_is_renewed_stays_released() {
    let redis = server::Redis::start();
    let link = Link::connect(Address::parse(&redis.url()).unwrap())
        .await
        .unwrap();
    let catalog = catalog(&link, 0).await;
    let mut upload = conformance::manifest(1, &["a"]);
    upload.max_downloads = Some(1);
    catalog.record(&upload).await.unwrap();
    let limit = Limit::of(&upload, Portion::File(0)).unwrap();
    let reserve = async || catalog.reserve(&limit, RESERVATION_TTL).await.unwrap();
    let Reserved::Use(number) = reserve().await else {
        panic!("it is free");
    };
    catalog.renewals.prolong(&upload.id, &number).await;
    assert_eq!(reserve().await, Reserved::Busy);
    catalog.release(&upload.id, &number).await.unwrap();
    // The renewal was on its way, and comes late.
    catalog.renewals.prolong(&upload.id, &number).await;
    assert!(matches!(reserve().await, Reserved::Use(_)));
}

#[tokio::test]
async fn a_command_outlives_its_connection() {
    let redis = server::Redis::start();
    let link = Link::connect(Address::parse(&redis.url()).unwrap())
        .await
        .unwrap();
    let catalog = catalog(&link, 0).await;
    catalog
        .mark_verified(catalog.unverified().await.unwrap())
        .await
        .unwrap();
    for millis in 1..20 {
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        let upload = conformance::manifest(millis, &["a"]);
        let now = Timestamp::from_millis(100);
        let name = FileName::from_upload(b"a");
        assert!(catalog.record(&upload).await.unwrap());
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        let all = Listed::All.into();
        let (newest, found, listed) = tokio::join!(
            catalog.newest(&name, now, &[]),
            catalog.find(&upload.id),
            catalog.list(None, 1, now, &all)
        );
        assert_eq!(newest.unwrap(), Some(upload.id));
        assert_eq!(found.unwrap().unwrap().id, upload.id);
        assert_eq!(listed.unwrap().entries[0].id, upload.id);
        assert_eq!(catalog.ready(), Ok(()));
    }
}

#[tokio::test]
async fn an_upload_recorded_without_a_marker_keeps_no_older_one() {
    let redis = server::Redis::start();
    let link = Link::connect(Address::parse(&redis.url()).unwrap())
        .await
        .unwrap();
    let catalog = catalog(&link, 0).await;
    let now = Clock::system().now();
    let mut upload = conformance::manifest(1, &["a"]);
    let upload_id = upload.id;
    upload.expires_at = Some(now.after(Duration::from_secs(60)));
    let unmarked = async |at| catalog.is_unmarked(&upload_id, at).await.unwrap();
    assert!(!unmarked(now).await, "it is not recorded");
    catalog.record(&upload).await.unwrap();
    assert!(!unmarked(now).await, "it has its marker");
    // A comparison does not set a marker that an operator has removed.
    redis.cli(&[
        "EVAL",
        "for _, key in ipairs(redis.call('KEYS', '*:marker:*')) do redis.call('DEL', key) end",
        "0",
    ]);
    catalog.record(&upload).await.unwrap();
    assert!(unmarked(now).await);
    assert!(
        !unmarked(now.after(Duration::from_secs(60))).await,
        "it is due"
    );
    catalog.set_marker(&upload).await.unwrap();
    assert!(!unmarked(now).await);
    // Another instance, to which this server refuses the events.
    catalog.events.refuse();
    upload.generation += 1;
    upload.expires_at = Some(now.after(Duration::from_secs(600)));
    catalog.update(&upload).await.unwrap();
    assert!(unmarked(now).await);
    // A server that has lost its data has neither a record nor a marker.
    redis.cli(&["FLUSHALL"]);
    assert!(!unmarked(now).await);
}
