//! Entries that Redis has forgotten, or an instance took with it when it died.

use std::time::SystemTime;

use crate::support::{Connection, Fault, Fleet, Form, Proxy, Redis, Setup, noise, wait_until};

#[test]
fn a_use_that_redis_has_forgotten_is_none() {
    let redis = Redis::start();
    let fleet = Fleet::with(&redis.url(), 2, &[]);
    let content = noise(30_000_000, 6);
    let form = Form::new().file("f", "once.bin", &content);
    let stored = fleet.servers[0].post_to("/upload?max_downloads=1", &form, &[]);
    let path = format!("/files/{}/once.bin", stored.json()["id"].as_str().unwrap());
    let mut reader = Connection::open(fleet.servers[1].address);
    reader.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    // It has begun, and is far from its end.
    let mut begun = [0; 15];
    std::io::Read::read_exact(&mut reader.stream(), &mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200 OK");
    let other = &fleet.servers[0];
    assert_eq!(other.get(&path).status, 409, "the use is held");
    redis.cli(&["FLUSHALL"]);
    let whole = other.get(&path);
    assert!(whole.status == 200 && whole.body == content);
    wait_until("what is used up is removed", || other.files().len() == 1);
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut reader.stream(), &mut rest);
    assert!(
        !rest.ends_with(&content),
        "the one use was given to the other"
    );
}

#[test]
fn what_died_with_the_memory_of_an_instance_is_indexed_by_who_changes_it() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port);
    // The regular comparison would find it, in the end: it has just been.
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let now = now.as_millis().to_string();
    redis.cli(&["HSET", "wharf:{lead}:scan", "next", "0", "finished", &now]);
    let dir = tempfile::tempdir().unwrap();
    let start = |url: &str| {
        Setup::new()
            .store(dir.path())
            .args(&["--redis", url])
            .start()
    };
    let (cut, other) = (start(&proxy.url()), start(&redis.url()));
    for server in [&cut, &other] {
        wait_until("it is ready", || server.get("/uploads").status == 200);
    }
    // Its body is under way when the path to Redis ends.
    let form = Form::new().file("f", "unknown.txt", b"kept");
    let (body, content_type) = (form.body(), form.content_type());
    let mut upload = Connection::open(cut.address);
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    upload.send(head.as_bytes());
    upload.send(&body[..20]);
    wait_until("it is under way", || {
        cut.get("/metrics")
            .text()
            .contains("wharf_uploads_in_progress 1")
    });
    proxy.set(Fault::Reset);
    upload.send(&body[20..]);
    let stored = upload.response(false).unwrap();
    assert_eq!(stored.status, 201, "{}", stored.text());
    cut.kill();
    let named = || other.get("/files/unknown.txt").status;
    let json = stored.json();
    // The note that it has left is lost as well.
    let note = dir.path().join(".wharf/unindexed");
    let _ = std::fs::remove_file(note.join(json["id"].as_str().unwrap()));
    let path = format!("/uploads/{}", json["id"].as_str().unwrap());
    let token = format!("Bearer {}", json["delete_token"].as_str().unwrap());
    let owner = [("Authorization", token.as_str())];
    let prolonged = other.request("PATCH", &path, &owner, br#"{"expires_in":"1h"}"#);
    assert_eq!(prolonged.status, 200, "{}", prolonged.text());
    wait_until("its name is known", || named() == 200);
}
