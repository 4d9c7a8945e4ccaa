//! An object store that has too much to do, cuts connections, loses answers, or is not there.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use crate::support::{
    Asked, Bucket, Connection, Form, S3Proxy, Server, Setup, Trouble, noise, parts_of, wait_until,
};

struct Disturbed {
    bucket: Bucket,
    proxy: S3Proxy,
    server: Server,
}

impl Disturbed {
    fn start() -> Self {
        let bucket = Bucket::new();
        let proxy = S3Proxy::to(bucket.server.port);
        let server = Setup::new().bucket(&bucket, &proxy.url()).start();
        // The first look at the bucket is over: requests are counted from here on.
        wait_until("the index is complete", || {
            server.log().contains("the index is complete")
        });
        Disturbed {
            bucket,
            proxy,
            server,
        }
    }

    /// The objects in the bucket, but for tombstones.
    fn left(&self) -> Vec<String> {
        let keys = self.bucket.keys().into_iter();
        keys.filter(|key| !(key.ends_with(".json") && self.bucket.get(key).1.contains("\"gone\"")))
            .collect()
    }
}

/// Parts and small files, in any order that the store sees.
fn form() -> Form {
    Form::new()
        .file("f", "big.bin", &noise(18_000_000, 1))
        .file("g", "small.bin", b"small")
        .text("note", "kept")
}

fn is_form(server: &Server, id: &str) {
    let whole = server.get(&format!("/download/{id}"));
    assert_eq!(whole.status, 200, "{}", whole.text());
    let parts = parts_of(whole.header("content-type").unwrap(), &whole.body);
    assert!(parts[0].1 == noise(18_000_000, 1) && parts[1].1 == b"small");
}

#[test]
fn what_fails_now_and_then_is_tried_again() {
    std::thread::scope(|scope| {
        for trouble in [
            Trouble::SlowDown,
            Trouble::Cut,
            Trouble::LoseAnswer,
            Trouble::Answer(500, "InternalError"),
            Trouble::Delay(Duration::from_millis(300)),
        ] {
            scope.spawn(|| works_through(trouble));
        }
    });
}

fn works_through(trouble: Trouble) {
    let all = Disturbed::start();
    let shown = format!("{trouble:?}");
    let lost = matches!(trouble, Trouble::LoseAnswer);
    // One of five requests, scattered: were it every second, one that is tried again in step with
    // the cleaner's own could meet it each time.
    all.proxy.rule(move |asked| {
        let mut hasher = DefaultHasher::new();
        asked.number.hash(&mut hasher);
        match hasher.finish() % 5 {
            0 => trouble.clone(),
            _ => Trouble::None,
        }
    });
    let json = all.server.upload(&form());
    let id = json["id"].as_str().unwrap();
    is_form(&all.server, id);
    let token = format!("Bearer {}", json["delete_token"].as_str().unwrap());
    let owner = [("Authorization", token.as_str())];
    let path = format!("/uploads/{id}");
    let body = br#"{"expires_in":"1h"}"#;
    let changed = all.server.request("PATCH", &path, &owner, body);
    assert_eq!(changed.status, 200, "{shown}: {}", changed.text());
    let removed = all.server.request("DELETE", &path, &owner, b"");
    assert_eq!(removed.status, 204, "{shown}: {}", removed.text());
    all.proxy.calm();
    // A file that was begun, and of which no instance was told, is removed when it is stale.
    wait_until("nothing is left", || {
        all.left().is_empty() && (lost || all.bucket.unfinished().is_empty())
    });
}

#[test]
fn a_store_that_fails_for_good_is_503_and_leaves_nothing() {
    type Fails = fn(&Asked) -> bool;
    let cases: [(&str, Fails); 3] = [
        ("files", |asked| asked.puts_file()),
        ("parts", |asked| asked.path.contains("partNumber=2")),
        ("manifests", |asked| asked.puts_manifest()),
    ];
    std::thread::scope(|scope| {
        for (what, fails) in cases {
            scope.spawn(move || gives_up(what, fails));
        }
    });
}

fn gives_up(what: &str, fails: fn(&Asked) -> bool) {
    let all = Disturbed::start();
    all.proxy.rule(move |asked| match fails(asked) {
        true => Trouble::SlowDown,
        false => Trouble::None,
    });
    let start = Instant::now();
    let refused = all.server.post_to("/upload", &form(), &[]);
    assert_eq!(refused.status, 503, "{what}: {}", refused.text());
    assert!(refused.header("retry-after").is_some());
    assert!(start.elapsed() < Duration::from_secs(100), "{what}");
    all.proxy.calm();
    // Files that a manifest may name which could still come stay until they are stale.
    let files = if what == "manifests" { 2 } else { 0 };
    wait_until("nothing else is left", || {
        all.left().len() == files && all.bucket.unfinished().is_empty()
    });
    let id = all.server.upload(&form())["id"]
        .as_str()
        .unwrap()
        .to_owned();
    is_form(&all.server, &id);
}

/// A request that the store has not got whole in time (400), which the library does not try again.
#[test]
fn what_was_lost_on_the_way_is_sent_again() {
    let all = Disturbed::start();
    let mut seen = std::collections::HashSet::new();
    all.proxy.rule(
        move |asked| match asked.puts_file() && seen.insert(asked.path.clone()) {
            true => Trouble::Answer(400, "RequestTimeout"),
            false => Trouble::None,
        },
    );
    let json = all.server.upload(&form());
    is_form(&all.server, json["id"].as_str().unwrap());
    all.server.says("RequestTimeout: As the test has it.");
    // For good.
    all.proxy.rule(|asked| match asked.puts_file() {
        true => Trouble::Answer(400, "RequestTimeout"),
        false => Trouble::None,
    });
    let refused = all.server.post_to("/upload", &form(), &[]);
    assert_eq!(refused.status, 503, "{}", refused.text());
}

/// Uploads under way are unknown then: files that were left stay, and the rest is compared.
#[test]
fn a_store_that_never_lists_what_is_unfinished_is_compared_all_the_same() {
    let bucket = Bucket::new();
    let proxy = S3Proxy::to(bucket.server.port);
    proxy.rule(|asked| {
        let first = asked.path.contains("uploads=") && asked.path.contains("prefix=up%2F00%2F");
        match first {
            true => Trouble::Answer(500, "InternalError"),
            false => Trouble::None,
        }
    });
    let [first, last] =
        ["00", "7z"].map(|folder| format!("up/{folder}/{folder}8r5v3m9ag7wqk2ht4xz1y6ne-left"));
    for key in [&first, &last] {
        bucket.put(key, b"left");
    }
    let server = Setup::new()
        .bucket(&bucket, &proxy.url())
        .args(&["--stale-after", "1s"])
        .start();
    wait_until("what was left in another folder is removed", || {
        bucket.get(&last).0 == 404
    });
    server.says("cannot list uploads under way; orphaned files are kept for now");
    assert_eq!(bucket.get(&first).0, 200);
    proxy.calm();
    wait_until("all that was left is removed", || {
        bucket.get(&first).0 == 404
    });
}

/// The change is made, and its answer is lost: the key itself says whose change it was.
#[test]
fn changes_whose_answers_are_lost_are_made_once() {
    let all = Disturbed::start();
    all.proxy.rule(|asked| match asked.puts_manifest() {
        true => Trouble::LoseAnswer,
        false => Trouble::None,
    });
    let form = Form::new().file("f", "a.txt", b"limited");
    let stored = all.server.post_to("/upload?max_downloads=3", &form, &[]);
    assert_eq!(stored.status, 201, "{}", stored.text());
    let path = format!("/files/{}/a.txt", stored.json()["id"].as_str().unwrap());
    for _ in 0..3 {
        assert_eq!(all.server.get(&path).text(), "limited");
    }
    assert_eq!(all.server.get(&path).status, 404);
    all.proxy.calm();
    wait_until("it is removed", || all.left().is_empty());
}

#[test]
fn downloads_go_on_behind_a_cut() {
    let all = Disturbed::start();
    let id = all.server.upload(&form())["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut cuts = 0;
    all.proxy.rule(move |asked| {
        cuts += usize::from(asked.gets_file());
        match asked.gets_file() && cuts <= 3 {
            true => Trouble::Truncate(3_000_000),
            false => Trouble::None,
        }
    });
    is_form(&all.server, &id);
    // For good: a broken connection, and no answer that looks whole.
    all.proxy.rule(|asked| match asked.gets_file() {
        true => Trouble::Truncate(1000),
        false => Trouble::None,
    });
    let broken = all.server.get(&format!("/files/{id}/big.bin"));
    assert!(broken.status != 200 || !broken.whole, "{}", broken.status);
    all.proxy.rule(|asked| match asked.gets_file() {
        true => Trouble::SlowDown,
        false => Trouble::None,
    });
    let refused = all.server.get(&format!("/files/{id}/big.bin"));
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
}

#[test]
fn a_reader_may_pause_and_the_store_cut_late() {
    let all = Disturbed::start();
    let content = noise(60_000_000, 7);
    let stored = all
        .server
        .upload(&Form::new().file("f", "long.bin", &content));
    let path = format!("/files/{}/long.bin", stored["id"].as_str().unwrap());
    let mut first = true;
    all.proxy.rule(move |asked| {
        let cut = asked.gets_file() && std::mem::take(&mut first);
        if cut {
            Trouble::Truncate(50_000_000)
        } else {
            Trouble::None
        }
    });
    let mut reader = Connection::open(all.server.address);
    reader.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    // Longer than the store's client waits for bytes, and than its library goes on behind a cut;
    // shorter than readers may take nothing.
    std::thread::sleep(Duration::from_secs(22));
    let answer = reader.response(false).expect("an answer");
    assert_eq!(answer.status, 200);
    assert!(answer.whole && answer.body == content);
}

#[test]
fn a_store_that_is_away_costs_readiness_and_nothing_else() {
    let all = Disturbed::start();
    let form = Form::new().file("f", "kept.txt", b"kept");
    let id = all.server.upload(&form)["id"].as_str().unwrap().to_owned();
    all.proxy
        .rule(|_| Trouble::Answer(503, "ServiceUnavailable"));
    wait_until("readiness drops", || {
        all.server.get("/readyz").status == 503
    });
    let refused = all.server.post_to("/upload", &form, &[]);
    assert_eq!(refused.status, 503);
    // A bucket that is gone says nothing of what was in it.
    all.proxy.rule(|_| Trouble::Answer(404, "NoSuchBucket"));
    let path = format!("/files/{id}/kept.txt");
    assert_eq!(all.server.get(&path).status, 503);
    // A listing asks the index only.
    assert_eq!(all.server.get("/uploads").status, 200);
    all.proxy.calm();
    wait_until("readiness is back", || {
        all.server.get("/readyz").status == 200
    });
    assert_eq!(all.server.get(&path).text(), "kept");
    assert_eq!(all.server.get("/files/kept.txt").text(), "kept");
}

/// A record that cannot be understood: its removal leaves a tombstone too, for other instances may
/// still hold the upload as live.
#[test]
fn a_torn_record_in_a_bucket_goes_by_an_admins_order() {
    let bucket = Bucket::new();
    let server = Setup::new()
        .bucket(&bucket, &bucket.server.url())
        .args(&["--access", "admin:root"])
        .start();
    let form = Form::new()
        .file("f", "a.bin", b"a")
        .file("g", "b.bin", b"b");
    let json = server.upload(&form);
    let id = json["id"].as_str().unwrap();
    let key = format!("up/{}/{id}.json", &id[..2]);
    let (_, whole) = bucket.get(&key);
    bucket.put(&key, &whole.as_bytes()[..whole.len() / 2]);
    let path = format!("/uploads/{id}");
    let token = format!("Bearer {}", json["delete_token"].as_str().unwrap());
    let owner = [("Authorization", token.as_str())];
    assert_eq!(server.request("DELETE", &path, &owner, b"").status, 500);
    assert_eq!(bucket.keys().len(), 3);
    let admin = [("Authorization", "Bearer root")];
    for _ in 0..2 {
        assert_eq!(server.request("DELETE", &path, &admin, b"").status, 204);
        assert_eq!(bucket.keys(), [key.as_str()]);
        assert!(bucket.get(&key).1.contains("\"gone\":\"deleted\""));
    }
    assert_eq!(server.get(&path).status, 404);
    assert_eq!(server.request("DELETE", &path, &owner, b"").status, 404);
    // One that a newer version wrote is not damaged.
    bucket.put(
        &key,
        whole.replace("\"schema\":1", "\"schema\":9").as_bytes(),
    );
    assert_eq!(server.request("DELETE", &path, &admin, b"").status, 500);
    assert!(bucket.get(&key).1.contains("\"schema\":9"));
}
