//! The streams of HTTP/2: ended one by one, and bounded together.

use std::process::{Command, Stdio};

use crate::slow::over_http_2;
use crate::support::{Form, Server, Setup, TlsProxy, Unread, noise, wait_until};

#[test]
fn a_reader_that_stops_ends_its_stream_and_no_other() {
    let server = Server::with(&["--idle-timeout", "1s"]);
    server.upload(&Form::new().file("f", "big.bin", &noise(8_000_000, 4)));
    let answer = over_http_2(&server, "upload", "/files/big.bin");
    assert_eq!(
        answer, "201 8",
        "the upload's status, and how the other ended"
    );
    server.says("GET /files/big.bin 200 (broken off)");
    assert_eq!(server.get("/files/beside.bin").body.len(), 16_000);
}

#[test]
fn a_body_that_waits_for_a_100_is_read_at_once() {
    let server = Server::start();
    let answer = over_http_2(&server, "expect", "/files/expected.bin");
    assert_eq!(answer, "201");
}

#[test]
fn streams_have_the_grace_and_are_cut_off_at_its_end() {
    let server = Setup::new()
        .args(&["--idle-timeout", "10m", "--shutdown-grace", "1s"])
        .start();
    // More than the windows of curl take, which it grants whatever its rate.
    server.upload(&Form::new().file("f", "big.bin", &noise(80_000_000, 4)));
    let url = server.url("/files/big.bin");
    let before = server.descriptors();
    let mut slow = Command::new("curl")
        .args(["-sS", "--http2-prior-knowledge", "--limit-rate", "100k"])
        .args(["-o", "/dev/null", &url])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Its connection, and the file.
    wait_until("the answer has begun", || {
        server.descriptors() >= before + 2
    });
    let mut server = server;
    server.signal(15);
    assert_eq!(server.wait().code(), Some(0));
    let log = server.log();
    assert!(log.contains("GET /files/big.bin 200 (broken off)"), "{log}");
    assert!(log.contains("cut off after shutdown_grace"), "{log}");
    slow.kill().unwrap();
    slow.wait().unwrap();
}

/// 2,000 requests on 20 connections, of which nothing is read: the server has memory and
/// descriptors for others.
#[test]
fn answers_that_nobody_reads_are_bounded() {
    let server = Setup::new().open_files(1000).start();
    server.upload(&Form::new().file("f", "big.bin", &noise(16 << 20, 4)));
    let rest = server.anonymous();
    let unread: Vec<Unread> = (0..20)
        .map(|_| {
            let mut unread = Unread::open(server.address);
            unread.get("/files/big.bin", 100);
            unread
        })
        .collect();
    let most = server.most_anonymous();
    assert!(most < rest + (128 << 10), "{rest} KiB, then {most} KiB");
    assert!(server.descriptors() < 500, "{}", server.descriptors());
    // One connection more has an answer of its own.
    let whole = over_http_2(&server, "whole", "/files/big.bin");
    assert_eq!(whole, (16 << 20).to_string());
    drop(unread);
}

/// A connection takes 32 streams; a proxy that has more opens another.
#[test]
fn two_hundred_uploads_go_through_a_proxy_that_speaks_http_2() {
    let server = Server::for_everybody(&["--trusted-proxies", "127.0.0.1", "--base-path", "/base"]);
    let proxy = TlsProxy::haproxy_http_2(&server);
    let base = format!("https://{}/base", proxy.address);
    wait_until("the proxy knows the server", || {
        let asked = Command::new("curl")
            .args(["-ksf", &format!("{base}/readyz")])
            .output();
        asked.unwrap().status.success()
    });
    // More than the buffers of the proxy hold, and slow enough that all are under way at once.
    let content = noise(300_000, 6);
    std::fs::write(server.dir().join("one.bin"), &content).unwrap();
    let uploads: Vec<_> = (0..200)
        .map(|number| {
            Command::new("curl")
                .args(["-ks", "--http1.1", "--limit-rate", "60k", "-T", "one.bin"])
                .args(["-o", "/dev/null", "-w", "%{http_code}"])
                .arg(format!("{base}/files/{number}.bin"))
                .current_dir(server.dir())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for upload in uploads {
        let output = upload.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "201");
    }
    assert!(server.get("/base/files/199.bin").body == content);
}
