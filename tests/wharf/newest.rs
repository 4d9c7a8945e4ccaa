//! The order of uploads of one name, where clocks differ or were set back.

use std::path::Path;

use crate::support::{Fleet, Redis, Server, Setup, faketime, wait_until};

/// A clock that differs from this machine's by so much, as libfaketime shows it to one program.
fn with_clock(setup: Setup, offset: &str) -> Setup {
    setup
        .env("LD_PRELOAD", faketime().to_str().unwrap())
        .env("FAKETIME", offset)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

#[track_caller]
fn put(server: &Server, content: &str) {
    let stored = server.request("PUT", "/files/n.txt", &[], content.as_bytes());
    assert_eq!(stored.status, 201, "{}", stored.text());
    // The version of the answer is the one that is stored: a change can name it right away.
    let path = format!("/uploads/{}", stored.json()["id"].as_str().unwrap());
    assert_eq!(stored.header("etag"), server.get(&path).header("etag"));
}

#[track_caller]
fn newest(server: &Server) -> String {
    let newest = server.get("/files/n.txt");
    assert_eq!(newest.status, 200, "{}", newest.text());
    newest.text()
}

#[test]
fn a_name_gives_the_later_upload_of_two_instances_whose_clocks_differ() {
    let redis = Redis::start();
    let mut fleet = Fleet::leaderless(&redis.url(), 1, &[]);
    let ahead = with_clock(fleet.setup(1), "+0.7s").start();
    fleet.servers.push(ahead);
    fleet.ready();
    for round in 0..8 {
        for place in [1, 0, 0, 1, 0] {
            let content = format!("{round} by {place}");
            put(&fleet.servers[place], &content);
            for server in &fleet.servers {
                assert_eq!(newest(server), content);
            }
        }
    }
    // The manifests say so too: an index made anew gives the same.
    redis.cli(&["FLUSHALL"]);
    fleet.ready();
    for server in &fleet.servers {
        assert_eq!(newest(server), "7 by 0");
    }
}

#[test]
fn a_name_gives_the_later_upload_when_the_clock_is_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let setup = || Setup::new().store(dir.path());
    let early = with_clock(setup(), "+50m").start();
    put(&early, "by a clock that is ahead");
    assert_eq!(early.stop().0.code(), Some(0));
    let server = setup().start();
    for content in ["older", "newer"] {
        put(&server, content);
        assert_eq!(newest(&server), content);
    }
    // So it is after a crash, when the index is made anew from the manifests.
    let setup = server.kill();
    std::fs::remove_file(dir.path().join(".wharf/catalog.redb")).unwrap();
    let server = setup.start();
    wait_until("the index is complete", || {
        server.get("/uploads").status == 200
    });
    assert_eq!(newest(&server), "newer");
    put(&server, "newest");
    assert_eq!(newest(&server), "newest");
}

#[test]
fn a_clock_that_was_wrong_by_hours_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let setup = || Setup::new().store(dir.path());
    let early = with_clock(setup(), "+5h").start();
    put(&early, "by a clock that is far ahead");
    assert_eq!(early.stop().0.code(), Some(0));
    let server = setup().start();
    put(&server, "now");
    server.says("a clock is wrong, or was");
    assert_eq!(newest(&server), "by a clock that is far ahead");
    assert_eq!(orders(dir.path()), 1, "the one is an hour ahead");
}

#[test]
fn names_that_an_older_version_recorded_of_limited_uploads_are_corrected_as_they_are_met() {
    const LIMITED: usize = 40;
    let redis = Redis::start();
    let server = Setup::new().args(&["--redis", &redis.url()]).start();
    wait_until("it is ready", || server.get("/uploads").status == 200);
    put(&server, "for everybody");
    wait_until("its name is known", || {
        server.get("/files/n.txt").status == 200
    });
    let keys = redis.cli(&["--scan", "--pattern", "wharf:*name:n.txt"]);
    let name = keys.trim();
    for _ in 0..LIMITED {
        let stored = server.request("PUT", "/files/n.txt?max_downloads=1", &[], b"once");
        let id = stored.json()["id"].as_str().unwrap().to_owned();
        let keys = redis.cli(&["--scan", "--pattern", &format!("wharf:*upload:{id}")]);
        // So did 7d560c9, which told the index nothing of limits.
        redis.cli(&["HDEL", keys.trim(), "l"]);
        redis.cli(&["ZADD", name, "9000000000000", &id]);
    }
    // One request corrects no more than it has time for, and the next goes on behind these.
    let mut answers = (0..3).map(|_| server.get("/files/n.txt"));
    let found = answers.find(|answer| {
        assert!([200, 503].contains(&answer.status), "{}", answer.text());
        answer.status == 200
    });
    assert_eq!(found.unwrap().text(), "for everybody");
    assert_eq!(redis.cli(&["ZCARD", name]).trim(), "1");
}

/// How many manifests have an order of their own.
fn orders(store: &Path) -> usize {
    let folders = std::fs::read_dir(store).unwrap();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    let manifests = files.filter(|file| {
        let path = file.as_ref().unwrap().path();
        let manifest = path.extension().is_some_and(|end| end == "json");
        manifest
            && std::fs::read_to_string(path)
                .unwrap()
                .contains("\"order\":")
    });
    manifests.count()
}
