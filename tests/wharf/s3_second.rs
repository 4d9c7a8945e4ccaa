//! A store in a bucket of a second S3 server of other authors; `./test soak` alone has it.

use crate::support::{Form, S3Fs, Server, Setup, noise, parts_of, sha256, wait_until};

/// How to store there with this secret.
fn setup(s3: &S3Fs, secret: &str) -> Setup {
    let place = format!("s3://{}/up", S3Fs::BUCKET);
    Setup::new()
        .args(&["--store", &place, "--s3-endpoint", &s3.url()])
        .env("AWS_ACCESS_KEY_ID", S3Fs::KEY)
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .env("AWS_REGION", "us-east-1")
}

fn start(s3: &S3Fs) -> Server {
    setup(s3, S3Fs::SECRET).start()
}

fn id_of(json: &serde_json::Value) -> String {
    json["id"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs s3s-fs, which ./test soak builds"]
fn what_is_stored_on_another_server_comes_back() {
    let Some(program) = S3Fs::program() else {
        return;
    };
    let s3 = S3Fs::start(&program);
    let output = setup(&s3, "wrong").run(&["--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("SignatureDoesNotMatch"), "{said}");
    let server = start(&s3);
    let big = noise(40_000_000, 1);
    let form = Form::new()
        .text("note", "kept")
        .file("f", "big.bin", &big)
        .file("g", "100%_[#]~é +&.txt", b"small")
        .file("h", "empty", b"");
    let json = server.upload(&form);
    assert_eq!(json["files"][0]["sha256"], sha256(&big));
    let id = id_of(&json);
    let folder = format!("up/{}/{id}", &id[..2]);
    let mut expected =
        ["-big.bin", "-100%_[#]~é +&.txt", "-empty", ".json"].map(|name| format!("{folder}{name}"));
    expected.sort();
    assert_eq!((s3.keys(), s3.parts()), (expected.to_vec(), 0));
    let path = format!("/download/{id}");
    let whole = server.get(&path);
    let parts = parts_of(whole.header("content-type").unwrap(), &whole.body);
    let contents: Vec<&[u8]> = parts.iter().map(|(_, content)| &content[..]).collect();
    assert!(contents == [b"kept", &big[..], b"small", b""]);
    let range = [("Range", "bytes=7999999-16000001")];
    let part = server.request("GET", "/files/big.bin", &range, b"");
    assert!(part.status == 206 && part.body == big[7_999_999..=16_000_001]);
    let token = format!("Bearer {}", json["delete_token"].as_str().unwrap());
    let owner = [("Authorization", token.as_str())];
    let path = format!("/uploads/{id}");
    let changed = server.request("PATCH", &path, &owner, br#"{"expires_in":"1h"}"#);
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(server.request("DELETE", &path, &owner, b"").status, 204);
    assert_eq!(server.get(&path).status, 404);
    assert_eq!(s3.keys(), [format!("{folder}.json")], "its tombstone");
}

#[test]
#[ignore = "needs s3s-fs, which ./test soak builds"]
fn deadlines_counts_and_breaks_leave_nothing_on_another_server() {
    let Some(program) = S3Fs::program() else {
        return;
    };
    let s3 = S3Fs::start(&program);
    let server = start(&s3);
    let form = Form::new()
        .file("f", "a.bin", &noise(300_000, 2))
        .file("g", "b.bin", b"b");
    for _ in 0..10 {
        let short = server.post_to("/upload?expires_in=1s", &form, &[]);
        assert_eq!(short.status, 201);
    }
    let limited = server.post_to("/upload?max_downloads=2", &form, &[]).json();
    for file in ["b.bin", "a.bin"] {
        let path = format!("/files/{}/{file}", id_of(&limited));
        for status in [200, 200, 404] {
            assert_eq!(server.get(&path).status, status);
        }
    }
    // A body that ends too soon.
    let long = Form::new().file("f", "long.bin", &noise(20_000_000, 3));
    let body = long.body();
    let mut connection = crate::support::Connection::open(server.address);
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        long.content_type(),
        body.len()
    );
    connection.send(head.as_bytes());
    connection.send(&body[..body.len() - 10]);
    wait_until("it is under way", || s3.parts() > 0);
    drop(connection);
    wait_until("nothing but tombstones is left", || {
        s3.parts() == 0 && s3.keys().iter().all(|key| key.ends_with(".json"))
    });
    assert_eq!(s3.keys().len(), 11);
}

/// Here the signature in the address is checked by the server that is to answer.
#[test]
#[ignore = "needs s3s-fs, which ./test soak builds"]
fn another_server_takes_the_addresses_that_are_signed() {
    let Some(program) = S3Fs::program() else {
        return;
    };
    let s3 = S3Fs::start(&program);
    let server = setup(&s3, S3Fs::SECRET).args(&["--s3-redirect"]).start();
    let (name, content) = ("a b+c&d=é%20(1)!*'~.txt", noise(100_000, 4));
    let json = server.upload(&Form::new().file("f", name, &content));
    let url = json["files"][0]["url"].as_str().unwrap();
    let got = server.curl(&["-L", "-f", url]);
    assert!(got == content);
    let path = url.strip_prefix(&server.url("")).unwrap();
    let sent = server.get(path);
    let address = sent.header("location").unwrap();
    assert!(address.starts_with(&s3.url()), "{address}");
    let forged = address.replace("X-Amz-Expires=300", "X-Amz-Expires=301");
    let refused = server.curl(&["-o", "/dev/null", "-w", "%{http_code}", &forged]);
    assert_eq!(String::from_utf8_lossy(&refused), "403");
}
