use super::*;
use crate::catalog::conformance;
use crate::coordination::{Address, testing as server};

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
    catalog.mended(catalog.gaps().await.unwrap()).await.unwrap();
    let upload = conformance::manifest(1, &["a"]);
    catalog.record(&upload).await.unwrap();
    redis.cli(&["SAVE"]);
    let lost = conformance::manifest(2, &["a", "b"]);
    catalog.record(&lost).await.unwrap();
    redis.restart();
    tokio::time::timeout(Duration::from_secs(10), catalog.lost())
        .await
        .expect("the restart is noticed");
    let now = Timestamp::from_millis(5);
    let newest = async |name: &[u8]| catalog.newest(&FileName::from_upload(name), now, &[]).await;
    for name in [b"a", b"b"] {
        assert!(matches!(newest(name).await, Err(CatalogError::Rebuilding)));
    }
    let listed = catalog.list(None, 9, now).await;
    assert!(matches!(listed, Err(CatalogError::Rebuilding)));
    // What was found out about the server before is not what it is now.
    let early = catalog.gaps().await.unwrap();
    redis.restart();
    while catalog.stats().await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!catalog.mended(early).await.unwrap());
    assert_eq!(catalog.gaps().await.unwrap().prefixes.len(), Prefix::COUNT);
    redis.kill();
    let away = catalog.find(&upload.id).await;
    assert!(
        matches!(away, Err(CatalogError::Unavailable(_))),
        "{away:?}"
    );
}

#[tokio::test]
async fn what_is_lost_during_a_comparison_has_to_be_compared_again() {
    let redis = server::Redis::start();
    let link = Link::connect(Address::parse(&redis.url()).unwrap())
        .await
        .unwrap();
    let catalog = catalog(&link, 0).await;
    let gaps = catalog.gaps().await.unwrap();
    redis.cli(&["FLUSHALL"]);
    assert!(!catalog.mended(gaps).await.unwrap(), "it was lost");
    assert_eq!(catalog.gaps().await.unwrap().prefixes.len(), Prefix::COUNT);
    // Two who compare at the same time do not keep each other from their ends.
    let (one, other) = (catalog.gaps().await.unwrap(), catalog.gaps().await.unwrap());
    assert_eq!(one, other);
    assert!(catalog.mended(one).await.unwrap());
    assert!(catalog.mended(other).await.unwrap());
    assert!(catalog.gaps().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_use_given_back_while_it_is_renewed_stays_given_back() {
    let redis = server::Redis::start();
    let link = Link::connect(Address::parse(&redis.url()).unwrap())
        .await
        .unwrap();
    let catalog = catalog(&link, 0).await;
    let mut upload = conformance::manifest(1, &["a"]);
    upload.max_downloads = Some(1);
    catalog.record(&upload).await.unwrap();
    let limit = Limit::of(&upload).unwrap();
    let reserve = async || catalog.reserve(&limit, HOLD).await.unwrap();
    let Reserved::Held(hold) = reserve().await else {
        panic!("it is free");
    };
    catalog.held.prolong(&upload.id, hold).await;
    assert_eq!(reserve().await, Reserved::Busy);
    catalog.give_back(&upload.id, hold).await.unwrap();
    // It was on its way, and comes late.
    catalog.held.prolong(&upload.id, hold).await;
    assert!(matches!(reserve().await, Reserved::Held(_)));
}

#[tokio::test]
async fn a_command_outlives_its_connection() {
    let redis = server::Redis::start();
    let link = Link::connect(Address::parse(&redis.url()).unwrap())
        .await
        .unwrap();
    let catalog = catalog(&link, 0).await;
    catalog.mended(catalog.gaps().await.unwrap()).await.unwrap();
    for millis in 1..20 {
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        let upload = conformance::manifest(millis, &["a"]);
        let now = Timestamp::from_millis(100);
        let name = FileName::from_upload(b"a");
        assert!(catalog.record(&upload).await.unwrap());
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        let (newest, found, listed) = tokio::join!(
            catalog.newest(&name, now, &[]),
            catalog.find(&upload.id),
            catalog.list(None, 1, now)
        );
        assert_eq!(newest.unwrap(), Some(upload.id));
        assert_eq!(found.unwrap().unwrap().id, upload.id);
        assert_eq!(listed.unwrap().entries[0].id, upload.id);
        assert_eq!(catalog.ready(), Ok(()));
    }
}

#[tokio::test]
async fn an_upload_recorded_without_a_mark_keeps_no_older_one() {
    let redis = server::Redis::start();
    let link = Link::connect(Address::parse(&redis.url()).unwrap())
        .await
        .unwrap();
    let catalog = catalog(&link, 0).await;
    let now = Timestamp::from(std::time::SystemTime::now());
    let mut upload = conformance::manifest(1, &["a"]);
    upload.expires_at = Some(now.after(Duration::from_secs(60)));
    catalog.record(&upload).await.unwrap();
    assert!(catalog.is_marked(&upload.id).await.unwrap());
    // An operator's order is not undone by a comparison.
    redis.cli(&[
        "EVAL",
        "for _, key in ipairs(redis.call('KEYS', '*:marker:*')) do redis.call('DEL', key) end",
        "0",
    ]);
    catalog.record(&upload).await.unwrap();
    assert!(!catalog.is_marked(&upload.id).await.unwrap());
    catalog.mark(&upload).await.unwrap();
    // Another instance, to which this server refuses the events.
    catalog.events.refuse();
    upload.generation += 1;
    upload.expires_at = Some(now.after(Duration::from_secs(600)));
    catalog.update(&upload).await.unwrap();
    assert!(!catalog.is_marked(&upload.id).await.unwrap());
}
