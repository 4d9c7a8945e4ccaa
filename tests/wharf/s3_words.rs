//! Answers of an object store, and how wharf takes them: a 404 that is not its own, a listing
//! without an end, another object in place of one, a redirection.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{Asked, Bucket, Form, S3Proxy, Server, Setup, Trouble, noise, wait_until};

/// A server before a bucket that says what it is told to.
fn start(args: &[&str]) -> (Bucket, S3Proxy, Server) {
    let bucket = Bucket::new();
    let proxy = S3Proxy::to(bucket.server.port);
    let server = Setup::new()
        .bucket(&bucket, &proxy.url())
        .args(args)
        .start();
    // The first look at the bucket is over.
    server.says("the index is complete");
    (bucket, proxy, server)
}

fn small() -> Form {
    Form::new().file("f", "a.txt", b"some text")
}

#[test]
fn a_404_of_something_before_the_store_changes_nothing() {
    let (bucket, proxy, server) = start(&[]);
    let kept = server.upload(&small());
    let id = kept["id"].as_str().unwrap();
    let other = server.upload(&Form::new().file("f", "other.txt", b"other"));
    let soon = server
        .post_to("/upload?expires_in=1s", &small(), &[])
        .json();
    let (stored, soon) = (Instant::now(), soon["id"].as_str().unwrap());
    proxy.rule(|_| Trouble::Plain(404));
    let token = format!("Bearer {}", kept["delete_token"].as_str().unwrap());
    let owner = [("Authorization", token.as_str())];
    let deleted = server.request("DELETE", &format!("/uploads/{id}"), &owner, b"");
    assert_eq!(deleted.status, 503, "{}", deleted.text());
    for path in [
        format!("/files/{id}/a.txt"),
        "/files/other.txt".to_owned(),
        format!("/download/{id}"),
    ] {
        let answer = server.get(&path);
        assert_eq!(answer.status, 503, "{path}: {}", answer.text());
        assert!(answer.header("retry-after").is_some());
    }
    // The deadline of one falls into this time, and its removal fails.
    wait_until("its deadline is over", || {
        stored.elapsed() > Duration::from_secs(3)
    });
    proxy.calm();
    wait_until("it is removed", || {
        let found = bucket.get(&format!("up/{}/{soon}.json", &soon[..2]));
        found.0 == 404 || found.1.contains("\"gone\"")
    });
    for (path, text) in [("/files/a.txt", "some text"), ("/files/other.txt", "other")] {
        wait_until("the names are known", || server.get(path).text() == text);
    }
    let listing = server.get("/uploads").text();
    assert!(listing.contains(id) && listing.contains(other["id"].as_str().unwrap()));
    let deleted = server.request("DELETE", &format!("/uploads/{id}"), &owner, b"");
    assert_eq!(deleted.status, 204);
}

#[test]
fn every_step_of_an_upload_is_tried_again() {
    type Is = fn(&Asked) -> bool;
    let steps: [(&str, Is); 4] = [
        ("create", |asked| {
            asked.path.contains("uploads") && asked.method == "POST"
        }),
        ("part", |asked| asked.path.contains("partNumber=")),
        ("complete", |asked| {
            asked.path.contains("uploadId=") && asked.method == "POST"
        }),
        ("small", |asked| {
            asked.puts_file() && !asked.path.contains("partNumber=")
        }),
    ];
    let troubles = [
        Trouble::Answer(409, "OperationAborted"),
        Trouble::Answer(400, "RequestTimeout"),
        Trouble::Truncate(20),
    ];
    let (_bucket, proxy, server) = start(&[]);
    let content = noise(9_000_000, 3);
    for trouble in troubles {
        for (what, is) in steps {
            let (trouble, shown) = (trouble.clone(), format!("{what} {trouble:?}"));
            let seen = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&seen);
            proxy.rule(move |asked| {
                let first = is(asked) && count.fetch_add(1, Ordering::SeqCst) == 0;
                if first {
                    trouble.clone()
                } else {
                    Trouble::None
                }
            });
            let form = Form::new()
                .file("f", "big.bin", &content)
                .file("g", "small.txt", b"small");
            let stored = server.post_to("/upload", &form, &[]);
            assert_eq!(stored.status, 201, "{shown}: {}", stored.text());
            assert!(seen.load(Ordering::SeqCst) > 0, "{shown}");
            let id = stored.json()["id"].as_str().unwrap().to_owned();
            assert!(
                server.get(&format!("/files/{id}/big.bin")).body == content,
                "{shown}"
            );
        }
    }
    // A record, and a change of one.
    let first = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        let count = Arc::clone(&first);
        proxy.rule(move |asked| {
            let now =
                asked.puts_manifest() && count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
            if now {
                Trouble::Answer(409, "OperationAborted")
            } else {
                Trouble::None
            }
        });
        let stored = server.upload(&small());
        let token = format!("Bearer {}", stored["delete_token"].as_str().unwrap());
        let path = format!("/uploads/{}", stored["id"].as_str().unwrap());
        let owner = [("Authorization", token.as_str())];
        let changed = server.request("PATCH", &path, &owner, br#"{"expires_in":"1h"}"#);
        assert_eq!(changed.status, 200, "{}", changed.text());
    }
}

#[test]
fn a_listing_ends_where_it_says_so() {
    const TOKEN: &str = "<NextContinuationToken>again</NextContinuationToken></ListBucketResult>";
    let bucket = Bucket::new();
    let proxy = S3Proxy::to(bucket.server.port);
    proxy.rule(|asked| match asked.path.contains("list-type=2") {
        true => Trouble::Rewrite("</ListBucketResult>", TOKEN),
        false => Trouble::None,
    });
    let server = Setup::new().bucket(&bucket, &proxy.url()).start();
    server.says("the index is complete");
    let again = |asked: &Asked| asked.path.contains("continuation-token");
    assert!(!proxy.take_asked().iter().any(again));
    drop(server);
    // The listing says that there is more, and not where it goes on.
    let bucket = Bucket::new();
    let proxy = S3Proxy::to(bucket.server.port);
    proxy.rule(|asked| match asked.path.contains("list-type=2") {
        true => Trouble::Rewrite("<IsTruncated>false", "<IsTruncated>true"),
        false => Trouble::None,
    });
    let server = Setup::new().bucket(&bucket, &proxy.url()).start();
    server.says("does not say where it goes on");
    proxy.calm();
    server.says("the index is complete");
}

#[test]
fn an_object_that_is_replaced_while_it_is_read_breaks_the_download() {
    let (bucket, proxy, server) = start(&[]);
    let content = noise(6_000_000, 5);
    let stored = server.upload(&Form::new().file("f", "big.bin", &content));
    let path = format!("/files/{}/big.bin", stored["id"].as_str().unwrap());
    let key = bucket
        .keys()
        .into_iter()
        .find(|key| key.ends_with("-big.bin"));
    let (key, other) = (key.unwrap(), noise(6_000_000, 6));
    let bucket = Mutex::new(bucket);
    let mut asked_before = 0;
    proxy.rule(move |asked| {
        if !asked.gets_file() {
            return Trouble::None;
        }
        asked_before += 1;
        if asked_before == 1 {
            return Trouble::Truncate(3_000_000);
        }
        bucket.lock().unwrap().put(&key, &other);
        Trouble::Unconditional
    });
    let answer = server.get(&path);
    assert!(!answer.whole, "{}", answer.status);
    assert!(content.starts_with(&answer.body));
}

#[test]
fn a_redirection_to_another_host_is_not_followed() {
    let bucket = Bucket::new();
    let proxy = S3Proxy::to(bucket.server.port);
    let server = Setup::new()
        .bucket(&bucket, &proxy.url())
        .env("AWS_SESSION_TOKEN", "a-session-token")
        .start();
    server.says("the index is complete");
    let stored = server.upload(&Form::new().file("f", "big.bin", &noise(100_000, 5)));
    let elsewhere = TcpListener::bind("127.0.0.2:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let address = format!("http://{}", elsewhere.local_addr().unwrap());
    proxy.rule(move |asked| match asked.gets_file() {
        true => Trouble::Redirect(address.clone()),
        false => Trouble::None,
    });
    let path = format!("/files/{}/big.bin", stored["id"].as_str().unwrap());
    assert_eq!(server.get(&path).status, 503);
    assert!(elsewhere.accept().is_err(), "it was followed");
}

#[test]
fn a_commit_without_an_answer_is_read_back_until_it_can_be_read() {
    let (_bucket, proxy, server) = start(&[]);
    for (damaged, status) in [(2, 201), (usize::MAX, 503)] {
        let seen = Arc::new(AtomicUsize::new(0));
        proxy.rule(move |asked| {
            if asked.puts_manifest() {
                return Trouble::LoseAnswer;
            }
            let read = asked.method == "GET" && asked.path.ends_with(".json");
            let here = read && !asked.path.contains("/.wharf/");
            match here && seen.fetch_add(1, Ordering::SeqCst) < damaged {
                true => Trouble::Rewrite("}", ""),
                false => Trouble::None,
            }
        });
        let stored = server.post_to("/upload", &small(), &[]);
        assert_eq!(stored.status, status, "{}", stored.text());
    }
    proxy.calm();
    // Both are there, by name as well, whatever the second client was told.
    wait_until("both are in the index", || {
        let listing = server.get("/uploads").json();
        listing["uploads"]
            .as_array()
            .is_some_and(|uploads| uploads.len() == 2)
    });
}

#[test]
fn a_store_that_wants_no_signature_gets_none() {
    let bucket = Bucket::new();
    let proxy = S3Proxy::to(bucket.server.port);
    let place = format!("s3://{}/up", bucket.name);
    let setup = Setup::new()
        .args(&["--store", &place, "--s3-endpoint", &proxy.url()])
        .env("AWS_SKIP_SIGNATURE", "true")
        .env("AWS_REGION", "us-east-1");
    let server = setup.start();
    server.says("the index is complete");
    let content = noise(9_000_000, 3);
    let form = Form::new()
        .file("f", "big.bin", &content)
        .file("g", "small.txt", b"small");
    let id = server.upload(&form)["id"].as_str().unwrap().to_owned();
    assert!(server.get(&format!("/files/{id}/big.bin")).body == content);
    let (_, setup) = server.stop();
    let server = setup.start();
    assert_eq!(
        server.get(&format!("/files/{id}/small.txt")).text(),
        "small"
    );
    let asked = proxy.take_asked();
    assert!(asked.iter().any(|asked| asked.path.contains("list-type=2")));
    assert!(asked.iter().all(|asked| !asked.signed));
}

#[test]
fn an_address_that_is_none_is_refused_with_its_setting() {
    for (args, environment) in [
        (vec!["--s3-endpoint", "http://127.0.0.1:70000"], vec![]),
        (vec![], vec![("AWS_ENDPOINT_URL", "http://127.0.0.1:70000")]),
    ] {
        let mut setup = Setup::new().args(&["--store", "s3://b/up"]).args(&args);
        for (name, value) in environment {
            setup = setup.env(name, value);
        }
        let refused = setup.run(&["serve"]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(matches!(refused.status.code(), Some(1 | 2)), "{refused:?}");
        assert!(
            said.contains("s3_endpoint") && said.contains("70000"),
            "{said}"
        );
        assert!(!said.contains("panicked"), "{said}");
    }
}
