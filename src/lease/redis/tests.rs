use super::*;
use crate::coordination::{Address, testing as server};

#[test]
fn the_epoch_lies_beside_the_lock() {
    for (key, epoch) in [
        ("wharf:{lead}:lock", "wharf:{lead}:epoch"),
        ("{jobs}/cleaner", "{jobs}:epoch"),
        ("cleaner", "{cleaner}:epoch"),
        ("a{}b", "{a{}b}:epoch"),
    ] {
        let options = LeaseOptions {
            key: key.to_owned(),
            ttl: MAX_POLL_INTERVAL,
            instance: String::new(),
        };
        assert_eq!(options.epoch_key(), epoch);
    }
}

#[tokio::test]
async fn a_release_does_not_wait_for_a_task_that_is_gone() {
    let redis = server::Redis::start();
    let address = Address::parse(&redis.url()).unwrap();
    let link = Link::connect(address).await.unwrap();
    let events = Events::listen(&link, vec!["handover".to_owned()]);
    let options = LeaseOptions {
        key: "lock".to_owned(),
        ttl: Duration::from_secs(60),
        instance: "i".to_owned(),
    };
    let lease = RedisLease::new(link, &events, "handover".to_owned(), options).unwrap();
    let lease = std::sync::Arc::new(lease);
    let keeper = std::sync::Arc::clone(&lease);
    let kept = tokio::spawn(async move { keeper.keep().await });
    let mut claims = lease.claims();
    claims.wait_for(Option::is_some).await.unwrap();
    // As a panic would end it.
    kept.abort();
    assert!(kept.await.unwrap_err().is_cancelled());
    let released = tokio::time::timeout(Duration::from_secs(30), lease.release());
    released.await.expect("it ends");
    assert!(claims.borrow_and_update().is_none(), "nobody leads by it");
}
