use std::net::Ipv4Addr;

use tokio::time::{advance, sleep};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn admission(uploads: usize, per_client: Option<usize>) -> Arc<Admission> {
    Admission::new(AdmissionLimits {
        uploads,
        per_client,
        min_rate: Some(1024),
    })
}

fn client(number: u8) -> Option<IpAddr> {
    Some(Ipv4Addr::new(192, 0, 2, number).into())
}

async fn admit(admission: &Arc<Admission>, number: u8) -> Result<(Admitted, BodyMeter), Refused> {
    let received = BodyMeter::default();
    let admitted = admission.admit(client(number), received.clone()).await?;
    Ok((admitted, received))
}

/// Sends `bytes` each `pause`, for `time`.
async fn send(pace: &Pace, received: &BodyMeter, (bytes, pause, time): (u64, Duration, Duration)) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        pace.begin_wait();
        advance(pause).await;
        received.add(bytes);
        pace.end_wait(Instant::now());
    }
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_that_of_the_last_minute_and_of_the_time_waited_for() {
    let admission = admission(4, None);
    let (upload, received) = admit(&admission, 1).await.unwrap();
    let pace = upload.pace();
    send(&pace, &received, (50_000, SECOND / 2, 5 * SECOND)).await;
    assert_eq!(pace.rate(Instant::now()), None, "too early to say");
    send(&pace, &received, (50_000, SECOND / 2, 15 * SECOND)).await;
    assert_eq!(pace.rate(Instant::now()), Some(100_000));
    // An hour in which the disk is waited for.
    sleep(3600 * SECOND).await;
    assert!(pace.rate(Instant::now()).is_none_or(|rate| rate >= 50_000));
    send(&pace, &received, (50_000, SECOND / 2, 20 * SECOND)).await;
    send(&pace, &received, (100, SECOND, 30 * SECOND)).await;
    assert!(
        pace.rate(Instant::now()).unwrap() > 1024,
        "it was fast before"
    );
    send(&pace, &received, (100, SECOND, 60 * SECOND)).await;
    assert_eq!(pace.rate(Instant::now()), Some(100));
    // And one that sends nothing at all any more.
    pace.begin_wait();
    advance(70 * SECOND).await;
    assert!(pace.rate(Instant::now()).unwrap() < 50);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_too_slow_where_there_is_room() {
    let admission = admission(4, None);
    let mut slow = Vec::new();
    for number in 1..=2 {
        slow.push(admit(&admission, number).await.unwrap());
    }
    slow.iter().for_each(|(upload, _)| upload.pace.begin_wait());
    advance(600 * SECOND).await;
    let third = admit(&admission, 3).await.unwrap();
    let ended = |upload: &Admitted| upload.pace.ended.load(Ordering::Relaxed);
    assert!(!slow.iter().any(|(upload, _)| ended(upload)));
    // Three of four are under way: the slowest goes, and no other.
    slow[0].1.add(100_000);
    let _fourth = admit(&admission, 4).await.unwrap();
    assert!(!ended(&slow[0].0) && ended(&slow[1].0) && !ended(&third.0));
}

#[tokio::test(start_paused = true)]
async fn a_new_one_gets_the_place_of_the_slowest() {
    let admission = admission(2, None);
    let (fast, received) = admit(&admission, 1).await.unwrap();
    let (slow, _) = admit(&admission, 2).await.unwrap();
    slow.pace().begin_wait();
    send(&fast.pace(), &received, (100_000, SECOND, 9 * SECOND)).await;
    assert_eq!(admit(&admission, 3).await.err(), Some(Refused::Full));
    send(&fast.pace(), &received, (100_000, SECOND, 9 * SECOND)).await;
    let pace = slow.pace();
    let leaves = async {
        std::future::poll_fn(|cx| pace.poll_ended(cx)).await;
        drop(slow);
    };
    let (admitted, ()) = tokio::join!(admit(&admission, 3), leaves);
    admitted.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_client_has_half_once_uploads_are_scarce() {
    let admission = admission(8, None);
    let mut held = Vec::new();
    for _ in 0..6 {
        held.push(admit(&admission, 1).await.unwrap());
    }
    assert_eq!(admit(&admission, 1).await.err(), Some(Refused::Half));
    let other = admit(&admission, 2).await.unwrap();
    // An address that is not one client's.
    let any = admission.admit(None, BodyMeter::default()).await;
    any.unwrap();
    held.truncate(3);
    drop(other);
    admit(&admission, 1).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn or_as_many_as_are_set() {
    let admission = admission(100, Some(2));
    let first = admit(&admission, 1).await.unwrap();
    let _second = admit(&admission, 1).await.unwrap();
    assert_eq!(admit(&admission, 1).await.err(), Some(Refused::Client(2)));
    admit(&admission, 2).await.unwrap();
    drop(first);
    admit(&admission, 1).await.unwrap();
}

#[test]
fn a_subscriber_of_ipv6_is_one_client() {
    let of = |text: &str| network(text.parse().unwrap());
    assert_eq!(of("2001:db8:0:1::5"), of("2001:db8:0:1:ffff::"));
    assert_ne!(of("2001:db8:0:1::5"), of("2001:db8:0:2::5"));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
}

#[tokio::test(start_paused = true)]
async fn limits_change_while_uploads_are_under_way() {
    let limits = |uploads| AdmissionLimits {
        uploads,
        per_client: None,
        min_rate: None,
    };
    let admission = admission(4, None);
    let mut open = Vec::new();
    for number in 0..4 {
        open.push(admit(&admission, number).await.unwrap().0);
    }
    // Two too many stay, and are not replaced.
    admission.limit(limits(2));
    open.pop();
    open.pop();
    assert_eq!(admit(&admission, 9).await.unwrap_err(), Refused::Full);
    open.pop();
    open.push(admit(&admission, 9).await.unwrap().0);
    // Up again before all that were too many have ended.
    admission.limit(limits(1));
    admission.limit(limits(3));
    open.push(admit(&admission, 8).await.unwrap().0);
    assert_eq!(admit(&admission, 7).await.unwrap_err(), Refused::Full);
    open.clear();
    for number in 0..3 {
        open.push(admit(&admission, number).await.unwrap().0);
    }
    assert_eq!(admit(&admission, 7).await.unwrap_err(), Refused::Full);
}
