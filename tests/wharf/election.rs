//! One of several instances cleans up: the election, and the leader's fate.

use std::time::SystemTime;

use crate::support::{
    Connection, Fleet, Form, Redis, Server, noise, post_many, print_spans, role, since, soak,
    wait_until,
};

const LOCK: &str = "wharf:{lead}:lock";
const STOP: i32 = 19;
const CONTINUE: i32 = 18;
const TERMINATE: i32 = 15;

/// A download that is under way for as long as it is kept.
fn slow_download(server: &Server, path: &str) -> Connection {
    let mut reader = Connection::open(server.address);
    reader.send(
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes(),
    );
    reader
}

#[test]
fn a_leader_that_ends_hands_over_at_once_and_finishes_its_downloads() {
    let redis = Redis::start();
    let mut fleet = Fleet::start(&redis.url());
    let content = noise(40_000_000, 21);
    fleet.servers[0].upload(&Form::new().file("f", "long.bin", &content));
    let mut gaps = Vec::new();
    for round in 0..if soak() { 50 } else { 4 } {
        let mut old = fleet.take_leader();
        let reader = slow_download(&old, "/files/long.bin");
        // It has begun, and is far from its end.
        std::io::Read::read_exact(&mut reader.stream(), &mut [0; 9]).unwrap();
        let told = SystemTime::now();
        old.signal(TERMINATE);
        gaps.push(since(told, fleet.took_over()));
        let woken = |server: &Server| {
            !server
                .lines("another instance released the lease")
                .is_empty()
        };
        wait_until("the message has come", || fleet.servers.iter().any(woken));
        old.says("released lease");
        // Nine bytes of the head are read already.
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut reader.stream(), &mut rest).unwrap();
        assert!(rest.ends_with(&content), "the download went on to its end");
        assert_eq!(old.wait().code(), Some(0));
        fleet.add(3 + round);
    }
    print_spans("handover, from SIGTERM to the next leader", gaps);
}

#[test]
fn a_handover_whose_message_is_lost_takes_a_second() {
    let redis = Redis::start();
    let mut fleet = Fleet::start(&redis.url());
    let mut gaps = Vec::new();
    for round in 0..if soak() { 20 } else { 2 } {
        let old = fleet.take_leader();
        redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        let told = SystemTime::now();
        assert_eq!(old.stop().0.code(), Some(0));
        gaps.push(since(told, fleet.took_over()));
        fleet.add(3 + round);
    }
    print_spans("handover without its message", gaps);
}

#[test]
fn a_leader_that_is_killed_is_replaced() {
    let redis = Redis::start();
    let mut fleet = Fleet::start(&redis.url());
    let mut gaps = Vec::new();
    for round in 0..if soak() { 20 } else { 2 } {
        let old = fleet.take_leader();
        let epoch = |server: &Server| server.get("/status").json()["epoch"].as_u64().unwrap();
        let before = epoch(&old);
        let acquired = old.metric("wharf_lease_acquired_timestamp_seconds");
        let started = old.metric("process_start_time_seconds");
        assert!(
            acquired > started - 1.0 && acquired < started + 600.0,
            "{acquired} {started}"
        );
        assert_eq!(old.metric("wharf_leader"), 1.0);
        let others: f64 = fleet
            .servers
            .iter()
            .map(|server| server.metric("wharf_leader"))
            .sum();
        assert_eq!(others, 0.0);
        let killed = SystemTime::now();
        old.kill();
        gaps.push(since(killed, fleet.took_over()));
        assert!(epoch(&fleet.servers[fleet.leader()]) > before);
        fleet.add(3 + round);
    }
    print_spans("takeover after kill -9", gaps);
}

#[test]
fn a_paused_leader_never_acts_on_its_old_lease() {
    const UPLOADS: usize = 1500;
    let redis = Redis::start();
    // No instance cleans up until all have come to their deadline.
    redis.cli(&["SET", LOCK, "somebody else", "NX"]);
    let mut fleet = Fleet::leaderless(&redis.url(), 3, &["--durability", "relaxed"]);
    fleet.servers.iter().for_each(|server| {
        wait_until("it is ready", || server.get("/readyz").status == 200);
    });
    let form = Form::new().file("f", "due.txt", b"due");
    std::thread::scope(|scope| {
        for server in &fleet.servers {
            scope.spawn(|| post_many(server, &form, "?expires_in=1", UPLOADS / 3));
        }
    });
    redis.cli(&["DEL", LOCK]);
    let old = fleet.take_leader();
    wait_until("it removes", || old.log().contains("removing:"));
    old.signal(STOP);
    let left = old.files().len();
    assert!(left > UPLOADS, "it was stopped in the middle: {left}");
    let stopped = SystemTime::now();
    let gap = since(stopped, fleet.took_over());
    println!("takeover after SIGSTOP: {gap:.1?}");
    let resumed = SystemTime::now();
    old.signal(CONTINUE);
    wait_until("it knows", || old.log().contains("lost lease: "));
    assert_eq!(role(&old.get("/status")), "follower");
    wait_until("the new leader ends the work", || {
        old.files().iter().all(|file| file.ends_with(".json"))
    });
    assert_eq!(old.files().len(), UPLOADS, "a tombstone each");
    // Each of its threads may have read the lease just before the stop, and logged it just after.
    let threads = std::thread::available_parallelism().unwrap().get();
    let removals = old.lines("removing:");
    let late = removals.iter().filter(|(at, _)| *at >= resumed).count();
    assert!(
        late <= threads,
        "{late} removals were begun after the lease"
    );
    assert!(removals.len() < UPLOADS);
    // And it takes part again.
    let current = fleet.take_leader();
    fleet.servers = vec![old];
    current.kill();
    fleet.leader();
}

#[test]
fn a_lock_that_others_hold_is_respected_and_ours_by_them() {
    const KEY: &str = "{jobs}:cleaner";
    let redis = Redis::start();
    let take = || redis.cli(&["SET", KEY, "5f0c-random", "NX", "PX", "600000"]);
    assert_eq!(take().trim(), "OK");
    let fleet = Fleet::leaderless(&redis.url(), 2, &["--lease-key", KEY]);
    let form = Form::new().file("f", "due.txt", b"due");
    let mut ids = Vec::new();
    for server in &fleet.servers {
        wait_until("it is ready", || server.get("/readyz").status == 200);
        let stored = server.post_to("/upload?expires_in=1", &form, &[]);
        ids.push(stored.json()["id"].as_str().unwrap().to_owned());
    }
    wait_until("the uploads are over", || {
        let get = |id: &String| fleet.servers[0].get(&format!("/uploads/{id}"));
        ids.iter().all(|id| get(id).status == 404)
    });
    for server in &fleet.servers {
        assert_eq!(role(&server.get("/status")), "follower");
        assert!(!server.log().contains("removing:"), "nobody cleans up");
    }
    assert_eq!(fleet.servers[0].files().len(), 4);
    assert_eq!(redis.cli(&["GET", KEY]).trim(), "5f0c-random");
    redis.cli(&["DEL", KEY]);
    fleet.leader();
    assert_eq!(take().trim(), "", "refused: it is ours");
    wait_until("the leader cleans up", || {
        fleet.servers[0]
            .files()
            .iter()
            .all(|file| file.ends_with(".json"))
    });
}
