//! What several instances answer is known: a name gives the newest upload that was answered, or
//! 503, never an older one, whatever becomes of Redis and of the connections to it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::{Fleet, Form, Redis, Server, wait_until};

/// The answer to a `PUT` of one file.
fn put(server: &Server, name: &str, content: &str) -> u16 {
    let path = format!("/files/{name}");
    server.request("PUT", &path, &[], content.as_bytes()).status
}

/// Ends all connections but those that listen for events.
fn cut(redis: &Redis) {
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
}

#[test]
fn a_connection_that_is_cut_costs_no_answer() {
    let redis = Redis::start();
    let fleet = Fleet::start(&redis.url());
    for round in 0..30 {
        let (one, other) = (&fleet.servers[round % 3], &fleet.servers[(round + 1) % 3]);
        let (older, newer) = (format!("older {round}"), format!("newer {round}"));
        assert_eq!(put(one, "n.txt", &older), 201);
        cut(&redis);
        assert_eq!(put(one, "n.txt", &newer), 201);
        for server in [other, one] {
            let newest = server.get("/files/n.txt");
            assert_eq!((newest.status, newest.text()), (200, newer.clone()));
            let listed = server.get("/uploads?limit=1");
            assert_eq!(listed.status, 200, "{}", listed.text());
        }
        cut(&redis);
        for server in &fleet.servers {
            let newest = server.get("/files/n.txt");
            assert_eq!((newest.status, newest.text()), (200, newer.clone()));
        }
    }
    for server in &fleet.servers {
        assert!(!server.log().contains("not yet in the index"));
    }
}

#[test]
fn connections_that_are_cut_under_load_cost_no_answer() {
    let redis = Redis::start();
    let fleet = Fleet::start(&redis.url());
    let (ended, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for client in 0..6 {
            let (one, other) = (&fleet.servers[client % 3], &fleet.servers[(client + 1) % 3]);
            let (ended, rounds) = (&ended, &rounds);
            scope.spawn(move || {
                let name = format!("own-{client}.txt");
                for round in 0.. {
                    if ended.load(Ordering::SeqCst) {
                        return;
                    }
                    let content = format!("{client}, {round}");
                    assert_eq!(put(one, &name, &content), 201);
                    let newest = other.get(&format!("/files/{name}"));
                    assert_eq!((newest.status, newest.text()), (200, content));
                    rounds.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for _ in 0..20 {
            cut(&redis);
            let before = rounds.load(Ordering::SeqCst);
            wait_until("they go on", || rounds.load(Ordering::SeqCst) > before + 20);
        }
        ended.store(true, Ordering::SeqCst);
    });
}

#[test]
fn an_index_that_was_emptied_gives_no_older_upload() {
    let redis = Redis::start();
    let fleet = Fleet::start(&redis.url());
    const NAMES: usize = 12;
    let name = |i: usize| format!("n{i}.txt");
    for age in ["older", "newer"] {
        for i in 0..NAMES {
            assert_eq!(put(&fleet.servers[i % 3], &name(i), age), 201);
        }
    }
    for i in 0..200 {
        let form = Form::new().file("f", &format!("other-{i}"), b"x");
        fleet.servers[i % 3].upload(&form);
    }
    for _ in 0..3 {
        redis.cli(&["FLUSHALL"]);
        let mut known = [false; NAMES];
        wait_until("all names are known again", || {
            for (i, known) in known.iter_mut().enumerate() {
                let newest = fleet.servers[i % 3].get(&format!("/files/{}", name(i)));
                match newest.status {
                    200 => {
                        assert_eq!(newest.text(), "newer");
                        *known = true;
                    }
                    503 => assert!(newest.header("retry-after").is_some()),
                    status => panic!("{status}: {}", newest.text()),
                }
            }
            known.iter().all(|known| *known)
        });
    }
}

#[test]
fn a_lease_whose_key_is_gone_is_not_called_anothers() {
    let redis = Redis::start();
    let fleet = Fleet::with(&redis.url(), 1, &[]);
    let server = &fleet.servers[0];
    redis.cli(&["DEL", "wharf:{lead}:lock"]);
    server.says("lost lease: its key is gone");
    wait_until("it has it again", || {
        server.lines("acquired lease").len() == 2
    });
    redis.cli(&["SET", "wharf:{lead}:lock", "other:1", "PX", "60000"]);
    server.says("lost lease: held by another instance");
}

#[test]
fn the_unit_for_systemd_starts_again_without_a_limit() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/wharf.service");
    let unit = std::fs::read_to_string(path).unwrap();
    let (before, service) = unit.split_once("[Service]").unwrap();
    assert!(before.lines().any(|line| line == "StartLimitIntervalSec=0"));
    assert!(service.lines().any(|line| line == "Restart=on-failure"));
}
