//! A store in a bucket: a file of 1 GiB through wharf, beside the same file put by a plain program
//! on the same library, and back; small forms; and the uploads that the cleaner removes in a second.
//!
//! `cargo bench --profile dist --bench bucket [-- file|forms|requests|cleaner]` needs what `./test`
//! installs, and `cleaner` what `./test soak` does. The server is moto, in Python: it is what
//! bounds the figures, and takes a core from what is measured. They tell how much wharf adds to the
//! plain program, not how fast either is on a real store.

#[allow(
    dead_code,
    unused_imports,
    reason = "the harness of the tests, of which this needs a part"
)]
#[path = "../tests/wharf/support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, WriteMultipart};
use support::{Bucket, Form, S3Fs, S3Proxy, Server, Setup, noise, post_many, since};

const SIZE: usize = 1 << 30;
const BLOCK: usize = 256 * 1024;
const PART: usize = 8 << 20;

fn main() {
    let bucket = Bucket::new();
    let server = Setup::new().bucket(&bucket, &bucket.server.url()).start();
    // Cargo adds `--bench`.
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let is_wanted = |name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
    if is_wanted("file") {
        file(&server, &bucket);
    }
    if is_wanted("forms") {
        forms(&server, 1000, &|| bucket.keys());
    }
    if is_wanted("requests") {
        requests(&bucket);
    }
    if is_wanted("cleaner") {
        cleaner();
    }
}

fn file(server: &Server, bucket: &Bucket) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for round in 1..=2 {
        println!("round {round}");
        rate("1 GiB by a plain program", || {
            runtime.block_on(plain_put(bucket))
        });
        rate("1 GiB through wharf", || put(server));
        rate("back by a plain program", || {
            runtime.block_on(plain_get(bucket))
        });
        rate("back through wharf", || get(server));
    }
}

/// The same small forms on a server in Rust, which does several things at once.
fn cleaner() {
    let Some(program) = S3Fs::program() else {
        return;
    };
    let s3 = S3Fs::start(&program);
    let place = format!("s3://{}/up", S3Fs::BUCKET);
    let server = Setup::new()
        .args(&["--store", &place, "--s3-endpoint", &s3.url()])
        .env("AWS_ACCESS_KEY_ID", S3Fs::KEY)
        .env("AWS_SECRET_ACCESS_KEY", S3Fs::SECRET)
        .env("AWS_REGION", "us-east-1")
        .start();
    println!("on s3s-fs");
    forms(&server, 4000, &|| s3.keys());
}

fn rate(what: &str, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{what}: {seconds:.2} s, {:.0} MiB/s",
        SIZE as f64 / seconds / 1024.0 / 1024.0
    );
}

fn plain(bucket: &Bucket) -> object_store::aws::AmazonS3 {
    let _ = rustls::crypto::ring::default_provider().install_default();
    AmazonS3Builder::new()
        .with_endpoint(bucket.server.url())
        .with_allow_http(true)
        .with_bucket_name(&bucket.name)
        .with_access_key_id("test")
        .with_secret_access_key("test")
        .build()
        .expect("a client")
}

/// Parts of the same size, as many at once.
async fn plain_put(bucket: &Bucket) {
    let store = plain(bucket);
    let upload = store
        .put_multipart(&Path::from("plain.bin"))
        .await
        .expect("begun");
    let mut writer = WriteMultipart::new_with_chunk_size(upload, PART);
    let block = noise(BLOCK, 1);
    for _ in 0..SIZE / BLOCK {
        writer.wait_for_capacity(4).await.expect("stored");
        writer.write(&block);
    }
    writer.finish().await.expect("stored");
}

async fn plain_get(bucket: &Bucket) {
    let found = plain(bucket)
        .get(&Path::from("plain.bin"))
        .await
        .expect("found");
    let mut body = found.into_stream();
    let mut len = 0;
    while let Some(block) = body.next().await {
        len += block.expect("read").len();
    }
    assert_eq!(len, SIZE);
}

fn put(server: &Server) {
    let mut stream = TcpStream::connect(server.address).expect("a connection");
    let head = format!(
        "PUT /files/big.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {SIZE}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let block = noise(BLOCK, 1);
    for _ in 0..SIZE / BLOCK {
        stream.write_all(&block).expect("sent");
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

fn get(server: &Server) {
    let mut stream = TcpStream::connect(server.address).expect("a connection");
    let head = "GET /files/big.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("sent");
    let (mut block, mut len) = (vec![0; BLOCK], 0);
    while let read @ 1.. = stream.read(&mut block).expect("read") {
        len += read;
    }
    assert!(len > SIZE);
}

/// Small forms over 32 connections, and their removal when they are over.
fn forms(server: &Server, count: usize, keys: &dyn Fn() -> Vec<String>) {
    let form = Form::new().file("f", "small.bin", &noise(4096, 2));
    let start = Instant::now();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                while next.fetch_add(8, Ordering::Relaxed) < count {
                    post_many(server, &form, "?expires_in=40s", 8);
                }
            });
        }
    });
    let stored = start.elapsed().as_secs_f64();
    println!(
        "{count} forms of 4 KiB over 32 connections: {stored:.2} s, {:.0}/s",
        count as f64 / stored
    );
    while keys().iter().any(|key| key.ends_with("-small.bin")) {
        std::thread::sleep(Duration::from_millis(200));
    }
    let lines = server.lines("removed uploads that were over");
    let times: Vec<SystemTime> = lines.into_iter().map(|(at, _)| at).collect();
    if let (Some(first), Some(last)) = (times.first(), times.last()) {
        let seconds = since(*first, *last).as_secs_f64();
        let removed = count as f64 - 100.0;
        println!(
            "removed, but for the first batch: {:.0}/s",
            removed / seconds
        );
    }
}

/// The requests of a form to the store.
fn requests(bucket: &Bucket) {
    let proxy = S3Proxy::to(bucket.server.port);
    let server = Setup::new().bucket(bucket, &proxy.url()).start();
    while !server.log().contains("the index is complete") {
        std::thread::sleep(Duration::from_millis(50));
    }
    let count = |what: &str, run: &dyn Fn() -> serde_json::Value| {
        proxy.take_asked();
        let answer = run();
        let asked = proxy.take_asked().into_iter();
        // The cleaner and the look for the bucket go on beside it.
        let mut own: Vec<String> = asked
            .filter(|asked| asked.path.matches('/').count() >= 4 && !asked.path.contains(".wharf"))
            .map(|asked| asked.method)
            .collect();
        own.sort();
        println!("{what}: {}", own.join(" "));
        answer
    };
    let form = Form::new().file("f", "one.bin", b"small");
    let stored = count("a form of one file", &|| server.upload(&form));
    let id = stored["id"].as_str().expect("an id").to_owned();
    let read = || {
        assert_eq!(server.get(&format!("/download/{id}")).status, 200);
        serde_json::Value::Null
    };
    count("its first download", &read);
    count("its next one", &read);
    let token = format!(
        "Bearer {}",
        stored["delete_token"].as_str().expect("a token")
    );
    count("its removal (and one POST to the bucket)", &|| {
        let headers = [("Authorization", token.as_str())];
        let path = format!("/uploads/{id}");
        assert_eq!(server.request("DELETE", &path, &headers, b"").status, 204);
        serde_json::Value::Null
    });
}
