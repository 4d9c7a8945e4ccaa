//! The tasks that an instance leaves to the others: uploads that it could not tell the index of, and
//! uploads that take longer than the index remembers.

use std::path::Path;
use std::time::SystemTime;

use crate::support::{
    Connection, Fault, Fleet, Form, Proxy, Redis, Server, Setup, noise, wait_until,
};

/// Sends an upload whose path to Redis ends in the middle.
fn strand(server: &Server, path: &Proxy, form: &Form) {
    let (body, content_type) = (form.body(), form.content_type());
    let mut upload = Connection::open(server.address);
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    upload.send(head.as_bytes());
    upload.send(&body[..20]);
    wait_until("it is under way", || {
        server.metric("wharf_uploads_in_progress") == 1.0
    });
    path.set(Fault::Reset);
    upload.send(&body[20..]);
    let stored = upload.response(false).unwrap();
    assert_eq!(stored.status, 201, "{}", stored.text());
}

/// The ids in a folder of notes.
fn notes(store: &Path, kind: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(store.join(".wharf").join(kind)) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[test]
fn what_an_instance_that_died_could_not_record_is_found_by_the_next() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port);
    let dir = tempfile::tempdir().unwrap();
    let start = |url: &str| {
        let setup = Setup::new().store(dir.path()).args(&["--redis", url]);
        setup.start()
    };
    // The regular comparison would find it, in the end: it has just been.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap().as_millis().to_string();
    redis.cli(&["HSET", "wharf:{lead}:scan", "next", "0", "finished", &now]);
    let (cut, other) = (start(&proxy.url()), start(&redis.url()));
    for server in [&cut, &other] {
        wait_until("it is ready", || server.get("/uploads").status == 200);
    }
    strand(&cut, &proxy, &Form::new().file("f", "unknown.txt", b"kept"));
    cut.kill();
    let next = start(&redis.url());
    for server in [&next, &other] {
        wait_until("its name is known", || {
            server.get("/files/unknown.txt").status == 200
        });
    }
    wait_until("the note is taken away", || {
        notes(dir.path(), "unindexed").is_empty()
    });
}

/// A change is carried out or refused: an answer that says neither would have a client change the
/// upload once more, and be told that it is in another version.
#[test]
fn a_change_while_redis_is_away_is_made_and_the_index_follows() {
    for fault in [Fault::Reset, Fault::BlackHole] {
        let redis = Redis::start();
        let proxy = Proxy::to(redis.port);
        let dir = tempfile::tempdir().unwrap();
        let start = |url: &str| {
            let setup = Setup::new().store(dir.path()).args(&["--redis", url]);
            setup.start()
        };
        // The regular comparison would find it, in the end: it has just been.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap().as_millis().to_string();
        redis.cli(&["HSET", "wharf:{lead}:scan", "next", "0", "finished", &now]);
        let (cut, other) = (start(&proxy.url()), start(&redis.url()));
        for server in [&cut, &other] {
            wait_until("it is ready", || server.get("/uploads").status == 200);
        }
        let [kept, gone] = ["kept.txt", "gone.txt"].map(|name| {
            let json = cut.upload(&Form::new().file("f", name, b"kept"));
            let token = format!("Bearer {}", json["delete_token"].as_str().unwrap());
            (format!("/uploads/{}", json["id"].as_str().unwrap()), token)
        });
        proxy.set(fault);
        let change = |version: &str| {
            let fields = [("Authorization", kept.1.as_str()), ("If-Match", version)];
            cut.request("PATCH", &kept.0, &fields, br#"{"expires_in":"1d"}"#)
        };
        let changed = change("\"1\"");
        assert_eq!(changed.status, 200, "{}", changed.text());
        assert_eq!(changed.header("etag"), Some("\"2\""));
        assert_eq!(change("\"1\"").status, 412);
        let changed = change("\"2\"");
        assert_eq!(changed.header("etag"), Some("\"3\""));
        let owner = [("Authorization", gone.1.as_str())];
        for _ in 0..2 {
            let deleted = cut.request("DELETE", &gone.0, &owner, b"");
            assert_eq!(deleted.status, 204, "{}", deleted.text());
        }
        assert_eq!(cut.get(&gone.0).status, 404);
        // It dies before it could tell: its note in the store tells the next.
        cut.kill();
        let next = start(&redis.url());
        let deadline = changed.json()["expires_at"].clone();
        assert!(deadline.is_string());
        wait_until("the index knows the deadline", || {
            let listed = next.get("/uploads?name=kept.txt").json();
            listed["uploads"][0]["expires_at"] == deadline
        });
        wait_until("the notes are taken away", || {
            notes(dir.path(), "unindexed").is_empty()
        });
        let left = redis.cli(&["--scan", "--pattern", "wharf:*upload:*"]);
        assert_eq!(left.lines().count(), 1, "{left}");
    }
}

#[test]
fn an_instance_whose_index_is_behind_gives_no_older_upload_and_no_list() {
    let redis = Redis::start();
    let fleet = Fleet::with(&redis.url(), 2, &[]);
    let [one, other] = &fleet.servers[..] else {
        unreachable!("there are two");
    };
    let put = |content: &str| {
        let stored = one.request("PUT", "/files/n.txt", &[], content.as_bytes());
        assert_eq!(stored.status, 201, "{}", stored.text());
    };
    put("older");
    one.upload(&Form::new().file("f", "other.txt", b"other"));
    // Redis answers, and takes nothing more in.
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    put("newer");
    for path in ["/files/n.txt", "/files/unknown.txt", "/uploads"] {
        let unknown = one.get(path);
        assert_eq!(unknown.status, 503, "{path}: {}", unknown.text());
        assert!(unknown.header("retry-after").is_some());
    }
    assert_eq!(one.get("/files/other.txt").text(), "other");
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    for server in [one, other] {
        wait_until("all know it", || server.get("/uploads").status == 200);
        wait_until("the newest is given", || {
            server.get("/files/n.txt").text() == "newer"
        });
    }
    assert_eq!(one.get("/files/unknown.txt").status, 404);
}

#[test]
fn an_upload_that_takes_longer_than_redis_is_there_is_not_taken_for_abandoned() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port);
    let dir = tempfile::tempdir().unwrap();
    let setup = |url: &str| {
        let setup = Setup::new().store(dir.path()).args(&["--redis", url]);
        setup.args(&["--stale-after", "4s"])
    };
    // Files beyond the budget of descriptors wait under a name, for all to see.
    let slow = setup(&proxy.url()).open_files(256).start();
    let other = setup(&redis.url()).start();
    for server in [&slow, &other] {
        wait_until("it is ready", || server.get("/uploads").status == 200);
    }
    let mut form = Form::new();
    for i in 0..60 {
        form = form.file("f", &format!("{i}.bin"), &noise(200_000, i));
    }
    let form = form.file("f", "last.bin", &noise(4000, 9));
    let (body, content_type) = (form.body(), form.content_type());
    let mut upload = Connection::open(slow.address);
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    upload.send(head.as_bytes());
    // The rest comes byte by byte.
    let (most, rest) = body.split_at(body.len() - 3500);
    upload.send(most);
    wait_until("files wait for it under a name", || slow.staged() > 0);
    proxy.set(Fault::Reset);
    let mut rest = rest.iter();
    let mut next = || upload.send(std::slice::from_ref(rest.next().expect("some are left")));
    wait_until("it is noted as under way", || {
        std::thread::sleep(std::time::Duration::from_millis(40));
        next();
        notes(dir.path(), "open").len() == 1
    });
    let finished = || redis.cli(&["HGET", "wharf:{lead}:scan", "finished"]);
    for _ in 0..3 {
        let before = finished();
        wait_until("all files were compared", || {
            std::thread::sleep(std::time::Duration::from_millis(40));
            next();
            finished() != before
        });
    }
    let left: Vec<u8> = rest.copied().collect();
    upload.send(&left);
    let stored = upload.response(false).expect("an answer");
    assert_eq!(stored.status, 201, "{}", stored.text());
    let path = format!("/files/{}/0.bin", stored.json()["id"].as_str().unwrap());
    assert!(other.get(&path).body == noise(200_000, 0));
    wait_until("the note is taken away", || {
        notes(dir.path(), "open").is_empty()
    });
}
