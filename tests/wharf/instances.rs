//! Several instances that share one store.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{
    Connection, Fleet, Form, Pending, Redis, Setup, as_root, noise, print_spans, soak, wait_until,
};

#[test]
fn what_one_does_all_others_know_at_once() {
    let redis = Redis::start();
    let fleet = Fleet::start(&redis.url());
    for i in 0..30 {
        let (one, other) = (&fleet.servers[i % 3], &fleet.servers[(i + 1) % 3]);
        let third = &fleet.servers[(i + 2) % 3];
        let content = noise(100 + i * 1000, i as u64);
        let json = one.upload(&Form::new().file("f", "same.bin", &content));
        let id = json["id"].as_str().unwrap();
        for server in &fleet.servers {
            let newest = server.get("/files/same.bin");
            assert_eq!(newest.status, 200, "{}", newest.text());
            assert!(newest.body == content, "the newest is the one just stored");
        }
        let listed = other.get("/uploads?limit=1").json();
        assert_eq!(listed["uploads"][0]["id"], id);
        let token = format!("Bearer {}", json["delete_token"].as_str().unwrap());
        let owner = [("Authorization", token.as_str())];
        let path = format!("/uploads/{id}");
        let prolonged = third.request("PATCH", &path, &owner, br#"{"expires_in":"1h"}"#);
        assert_eq!(prolonged.status, 200, "{}", prolonged.text());
        let deadline = prolonged.json()["expires_at"].clone();
        assert!(deadline.is_string());
        for server in &fleet.servers {
            assert_eq!(server.get(&path).json()["expires_at"], deadline);
        }
        let stranger = [("Authorization", "Bearer wrong")];
        assert_eq!(other.request("DELETE", &path, &stranger, b"").status, 404);
        assert_eq!(other.request("DELETE", &path, &owner, b"").status, 204);
        for server in &fleet.servers {
            assert_eq!(server.get(&path).status, 404);
            assert_eq!(server.get("/files/same.bin").status, 404);
            assert_eq!(server.request("DELETE", &path, &owner, b"").status, 204);
            // The tombstone remembers whose it was.
            assert_eq!(server.request("DELETE", &path, &stranger, b"").status, 404);
        }
    }
    let left = fleet.servers[0].files();
    assert_eq!(left.len(), 30, "a tombstone each");
    assert!(left.iter().all(|file| file.ends_with(".json")));
}

#[test]
fn limited_downloads_are_counted_over_all() {
    let redis = Redis::start();
    let fleet = Fleet::start(&redis.url());
    let content = noise(900_000, 3);
    let form = Form::new().file("f", "limited.bin", &content);
    let stored = fleet.servers[0].post_to("/upload?max_downloads=10", &form, &[]);
    let path = format!(
        "/files/{}/limited.bin",
        stored.json()["id"].as_str().unwrap()
    );
    let whole = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for i in 0..100 {
            let (server, path, content, whole) = (&fleet.servers[i % 3], &path, &content, &whole);
            scope.spawn(move || {
                for _ in 0..50 {
                    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
                    let mut connection = Connection::open(server.address);
                    connection.send(request.as_bytes());
                    match connection.response(false) {
                        Some(response) if response.body == *content => {
                            assert_eq!(response.status, 200);
                            whole.fetch_add(1, Ordering::SeqCst);
                            return;
                        }
                        // One that lost the race for the last use is broken off.
                        Some(response) if response.status == 200 => assert!(!response.whole),
                        Some(response) if response.status == 409 => {
                            std::thread::sleep(std::time::Duration::from_millis(20));
                        }
                        Some(response) => {
                            assert_eq!(response.status, 404);
                            return;
                        }
                        None => panic!("each request gets an answer"),
                    }
                }
            });
        }
    });
    assert_eq!(whole.load(Ordering::SeqCst), 10);
    wait_until("the used-up upload is removed", || {
        fleet.servers[0].files().len() == 1
    });
}

#[test]
fn a_use_held_by_an_instance_that_died_comes_back() {
    let redis = Redis::start();
    let mut fleet = Fleet::with(&redis.url(), 2, &[]);
    let content = noise(30_000_000, 4);
    let form = Form::new().file("f", "once.bin", &content);
    let stored = fleet.servers[0].post_to("/upload?max_downloads=1", &form, &[]);
    let path = format!("/files/{}/once.bin", stored.json()["id"].as_str().unwrap());
    let mut reader = Connection::open(fleet.servers[1].address);
    reader.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    // A use is taken before the first byte.
    std::io::Read::read_exact(&mut reader.stream(), &mut [0; 9]).unwrap();
    assert_eq!(fleet.servers[0].get(&path).status, 409);
    fleet.servers.remove(1).kill();
    // Held for 30 s at a time, by who lives.
    wait_until("the use came back", || {
        let response = fleet.servers[0].get(&path);
        assert!([200, 409].contains(&response.status));
        response.status == 200 && response.body == content
    });
    assert_eq!(fleet.servers[0].get(&path).status, 404);
}

#[test]
fn a_form_that_broke_off_is_resumed_on_another_instance() {
    let redis = Redis::start();
    let fleet = Fleet::start(&redis.url());
    let form = Form::new()
        .text("note", "kept")
        .file("f", "big.bin", &noise(2_000_000, 5))
        .file("g", "small.bin", b"small");
    let id = fleet.servers[0].upload(&form)["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/download/{id}");
    let whole = fleet.servers[0].get(&path);
    let etag = whole.header("etag").unwrap();
    for (at, server) in [(1, 1), (777_777, 2), (whole.body.len() - 1, 1)] {
        let range = format!("bytes={at}-");
        let headers = [("Range", range.as_str()), ("If-Range", etag)];
        let rest = fleet.servers[server].request("GET", &path, &headers, b"");
        assert_eq!(rest.status, 206);
        assert!(rest.body == whole.body[at..]);
        assert_eq!(rest.header("content-type"), whole.header("content-type"));
    }
}

#[test]
fn a_listing_goes_on_across_instances() {
    let redis = Redis::start();
    let fleet = Fleet::start(&redis.url());
    let mut stored: Vec<String> = (0..25)
        .map(|i| {
            let json = fleet.servers[i % 3].upload(&Form::new().text("n", &i.to_string()));
            json["id"].as_str().unwrap().to_owned()
        })
        .collect();
    let (mut listed, mut after) = (Vec::new(), String::new());
    for page in 0.. {
        let server = &fleet.servers[page % 3];
        let json = server.get(&format!("/uploads?limit=4{after}")).json();
        for upload in json["uploads"].as_array().unwrap() {
            listed.push(upload["id"].as_str().unwrap().to_owned());
        }
        match json["next_cursor"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    stored.sort();
    listed.sort();
    assert_eq!(listed, stored);
}

#[test]
fn many_that_wait_for_their_deadline_keep_nothing_from_its_own() {
    let redis = Redis::start();
    let fleet = Fleet::with(&redis.url(), 3, &["--durability", "relaxed"]);
    let count = if soak() { 200_000 } else { 3_000 };
    let pending = Pending::measure(&redis, &fleet, count);
    let leader = &fleet.servers[fleet.leader()];
    assert_eq!(leader.metric("wharf_store_uploads"), count as f64);
    assert_eq!(leader.metric("wharf_expiry_lag_seconds_count"), 200.0);
    println!("{count} wait, each for {} bytes of Redis", pending.bytes);
    print_spans("from a deadline to the removal", pending.lags);
}

#[test]
fn instances_with_and_without_redis_exclude_each_other() {
    let redis = Redis::start();
    let fleet = Fleet::with(&redis.url(), 1, &[]);
    let alone = Setup::new()
        .store(&fleet.store())
        .run(&["--listen", "127.0.0.1:0"]);
    assert_eq!(alone.status.code(), Some(1));
    let said = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert!(said.contains("another wharf serves"), "{said}");
}

#[test]
fn an_index_of_another_store_is_refused_until_it_is_adopted() {
    let redis = Redis::start();
    let first = Fleet::with(&redis.url(), 1, &[]);
    let kept = first.servers[0].upload(&Form::new().file("f", "first.txt", b"1"));
    // Another directory at the same Redis: an empty one, as a share that is not mounted.
    let other = tempfile::tempdir().unwrap();
    let url = redis.url();
    let at = |dir: &Path, args: &[&str]| {
        let all = [&["--redis", url.as_str(), "--listen", "127.0.0.1:0"], args].concat();
        let output = Setup::new().store(dir).run(&all);
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    let (code, said) = at(other.path(), &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("is the share mounted?"), "{said}");
    let id = kept["id"].as_str().unwrap();
    assert_eq!(first.servers[0].get(&format!("/uploads/{id}")).status, 200);
    assert_eq!(
        first.servers[0].get("/files/first.txt").status,
        200,
        "nothing was dropped"
    );
    drop(first);
    let (code, said) = at(other.path(), &["reindex", "--adopt"]);
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "0 uploads indexed, 0 damaged\n")
    );
    let second = Setup::new()
        .store(other.path())
        .args(&["--redis", url.as_str()])
        .start();
    wait_until("it serves", || second.get("/readyz").status == 200);
    wait_until("the index is that of the new store", || {
        second.get("/files/first.txt").status == 404
    });
}

/// A directory mounted at another place.
struct Share {
    real: tempfile::TempDir,
    place: tempfile::TempDir,
}

impl Share {
    fn mount(&self) {
        let mut mount = as_root("mount");
        mount
            .arg("--bind")
            .args([self.real.path(), self.place.path()]);
        assert!(mount.status().unwrap().success());
    }

    fn unmount(&self) -> bool {
        let mut unmount = as_root("umount");
        unmount.arg("-l").arg(self.place.path());
        unmount.stderr(std::process::Stdio::null());
        unmount.status().unwrap().success()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        while self.unmount() {}
    }
}

#[test]
fn a_share_that_is_unmounted_costs_readiness_and_nothing_else() {
    let redis = Redis::start();
    let share = Share {
        real: tempfile::tempdir().unwrap(),
        place: tempfile::tempdir().unwrap(),
    };
    share.mount();
    let url = redis.url();
    let setup = || {
        Setup::new()
            .store(share.place.path())
            .args(&["--redis", url.as_str()])
    };
    let server = setup().start();
    let form = Form::new().file("f", "kept.txt", b"kept");
    server.upload(&form);
    assert!(share.unmount());
    wait_until("readiness drops", || server.get("/readyz").status == 503);
    let refused = server.post_to("/upload", &form, &[]);
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
    let started = setup().run(&["--listen", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    assert!(said.contains("is the share mounted?"), "{said}");
    share.mount();
    wait_until("readiness is back", || server.get("/readyz").status == 200);
    assert_eq!(
        server.get("/files/kept.txt").text(),
        "kept",
        "nothing was dropped"
    );
    server.upload(&form);
    let other = setup().start();
    wait_until("another starts", || {
        other.get("/files/kept.txt").status == 200
    });
}

#[test]
fn reindexing_beside_running_instances_mends_the_index() {
    let redis = Redis::start();
    let fleet = Fleet::with(&redis.url(), 1, &[]);
    let server = &fleet.servers[0];
    let id = server.upload(&Form::new().file("f", "found.txt", b"x"))["id"]
        .as_str()
        .unwrap()
        .to_owned();
    // An entry of a stored upload is taken out of the index, and no instance has noticed.
    redis.cli(&["EVAL", "for _, key in ipairs(redis.call('KEYS', '*')) do if string.find(key, ':upload:') or string.find(key, ':name:') then redis.call('DEL', key) end end", "0"]);
    assert_eq!(server.get("/files/found.txt").status, 404);
    assert_eq!(
        server.get(&format!("/files/{id}/found.txt")).status,
        200,
        "an id needs no index"
    );
    let out = fleet.setup(9).run(&["reindex"]);
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert_eq!(
        (out.status.code(), said.as_str()),
        (Some(0), "1 uploads indexed, 0 damaged\n")
    );
    assert_eq!(server.get("/files/found.txt").status, 200);
}
