use super::*;
use crate::catalog::Ask;
use crate::model::ROOM_UNIT;

/// An instance whose reservations outlive it by `ttl`.
async fn instance(link: &Link, ttl: Duration) -> RedisCatalog {
    let events = Events::listen(link, Vec::new());
    RedisCatalog::new(
        link.clone(),
        events,
        Keys::new("test"),
        Duration::from_secs(60),
    )
    .counting_room_for(ttl)
    .unwrap()
}

async fn link(redis: &server::Redis) -> Link {
    let address = Address::parse(&redis.url()).unwrap();
    Link::connect(address).await.unwrap()
}

async fn mark_verified(catalog: &RedisCatalog) {
    catalog
        .mark_verified(catalog.unverified().await.unwrap())
        .await
        .unwrap();
}

fn capacity(catalog: &RedisCatalog) -> Arc<dyn Capacity> {
    catalog.capacity().expect("it counts the room")
}

async fn reserve(catalog: &RedisCatalog, id: &UploadId, units: u64) -> Option<u64> {
    let ask = Ask::exactly(units * ROOM_UNIT, 10 * ROOM_UNIT);
    let granted = capacity(catalog).reserve_room(id, ask).await.unwrap();
    granted.map(|bytes| bytes / ROOM_UNIT)
}

/// Waits until an upload can have so much.
async fn until_there_is(catalog: &RedisCatalog, units: u64) {
    let id = UploadId::generate().unwrap();
    let start = std::time::Instant::now();
    while reserve(catalog, &id, units).await.is_none() {
        assert!(start.elapsed().as_secs() < 60, "in vain: {units} units");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    capacity(catalog).release_room(&id);
    capacity(catalog).stored_room().await.unwrap();
}

#[tokio::test]
async fn what_an_instance_has_reserved_ends_soon_after_it_and_not_before() {
    let redis = server::Redis::start();
    let link = link(&redis).await;
    let (dying, living) = (
        instance(&link, Duration::from_millis(600)).await,
        instance(&link, Duration::from_millis(600)).await,
    );
    mark_verified(&living).await;
    let ids = [(); 3].map(|()| UploadId::generate().unwrap());
    assert_eq!(reserve(&dying, &ids[0], 2).await, Some(2));
    assert_eq!(reserve(&dying, &ids[1], 3).await, Some(3));
    assert_eq!(reserve(&living, &ids[2], 5).await, Some(5));
    assert_eq!(
        reserve(&living, &UploadId::generate().unwrap(), 1).await,
        None
    );
    drop(dying);
    until_there_is(&living, 5).await;
    // Renewed since: it is older than the reservation that has ended.
    assert_eq!(
        reserve(&living, &UploadId::generate().unwrap(), 6).await,
        None
    );
}

#[tokio::test]
async fn what_redis_loses_is_reserved_again_and_the_last_total_is_the_least() {
    let redis = server::Redis::start();
    let link = link(&redis).await;
    let catalog = instance(&link, Duration::from_secs(30)).await;
    mark_verified(&catalog).await;
    let stored = conformance::manifest(1, &["a", "b", "c"]);
    catalog.record(&stored).await.unwrap();
    assert_eq!(
        capacity(&catalog).stored_room().await.unwrap(),
        Some(4 * ROOM_UNIT)
    );
    let under_way = UploadId::generate().unwrap();
    assert_eq!(reserve(&catalog, &under_way, 3).await, Some(3));
    redis.cli(&["FLUSHALL"]);
    // Four are stored still, whatever Redis says, and three are reserved as soon as it is seen.
    let other = UploadId::generate().unwrap();
    assert_eq!(reserve(&catalog, &other, 7).await, None);
    assert_eq!(capacity(&catalog).stored_room().await.unwrap(), None);
    assert_eq!(reserve(&catalog, &other, 4).await, None);
    assert_eq!(reserve(&catalog, &other, 3).await, Some(3));
    capacity(&catalog).release_room(&under_way);
    let unverified = catalog.unverified().await.unwrap();
    assert_eq!(unverified.prefixes.len(), Prefix::COUNT);
    catalog.record(&stored).await.unwrap();
    catalog.mark_verified(unverified).await.unwrap();
    assert_eq!(
        capacity(&catalog).stored_room().await.unwrap(),
        Some(4 * ROOM_UNIT)
    );
    assert_eq!(reserve(&catalog, &other, 6).await, Some(6));
    // One that is counted and not recorded is one for the comparison.
    let left = [
        "EVAL",
        "for _, key in ipairs(redis.call('KEYS', '*:upload:*')) do redis.call('DEL', key) end\n\
         for _, key in ipairs(redis.call('KEYS', '*:all')) do redis.call('DEL', key) end",
        "0",
    ];
    redis.cli(&left);
    let known = catalog.with_prefix(stored.id.prefix()).await.unwrap();
    assert_eq!(known, [stored.id]);
    catalog.remove(&stored.id, &[]).await.unwrap();
    assert_eq!(capacity(&catalog).stored_room().await.unwrap(), Some(0));
}

#[tokio::test]
async fn a_small_upload_costs_one_command_more_and_without_a_cap_none() {
    let redis = server::Redis::start();
    let link = link(&redis).await;
    let counting = instance(&link, Duration::from_secs(30)).await;
    mark_verified(&counting).await;
    let events = Events::listen(&link, Vec::new());
    let keys = Keys::new("other");
    let plain = RedisCatalog::new(link.clone(), events, keys, Duration::from_secs(60));
    let scripts = || {
        let calls = redis.cli(&["INFO", "commandstats"]);
        let line = calls
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_eval:calls="));
        let count = line.and_then(|line| line.split(',').next());
        count.unwrap_or("0").parse::<u64>().unwrap()
    };
    let before = scripts();
    plain
        .record(&conformance::manifest(1, &["a"]))
        .await
        .unwrap();
    // The name and the record.
    assert_eq!(scripts() - before, 2);
    let before = scripts();
    let upload = conformance::manifest(1, &["a"]);
    assert_eq!(reserve(&counting, &upload.id, 2).await, Some(2));
    counting.record(&upload).await.unwrap();
    assert_eq!(scripts() - before, 3);
}
