//! Redis is away, or hangs, which is the same.

use std::time::{Duration, Instant};

use crate::support::redis::free_port;
use crate::support::{
    Connection, Fault, Fleet, Form, Proxy, Redis, Setup, certificates, noise, wait_until,
};

/// Longer than any answer may wait for Redis, with room for a busy machine.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

fn form(name: &str) -> Form {
    Form::new().file("f", name, b"content")
}

#[test]
fn a_start_without_redis_is_refused() {
    let mut redis = Redis::start();
    let refused = |url: &str, port: u16| {
        let output = Setup::new().run(&["--redis", url, "--listen", "127.0.0.1:0"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
        said
    };
    redis.signal("-STOP");
    refused(&redis.url(), redis.port);
    redis.signal("-CONT");
    redis.kill();
    refused(&redis.url(), redis.port);
    refused(
        &format!("redis-cluster://127.0.0.1:{}", redis.port),
        redis.port,
    );
    // A Redis that is there and cannot be used is reported as well.
    let evicting = Redis::with(&["--maxmemory-policy", "allkeys-lru"]);
    assert!(refused(&evicting.url(), evicting.port).contains("allkeys-lru"));
    let closed = Redis::with(&["--requirepass", "s3cret"]);
    let said = refused(
        &format!("redis://:wr0ng@127.0.0.1:{}", closed.port),
        closed.port,
    );
    assert!(!said.contains("wr0ng"), "{said}");
    let open = format!("redis://:s3cret@127.0.0.1:{}", closed.port);
    let server = Setup::new().args(&["--redis", &open]).start();
    server.upload(&form("with a password"));
    assert!(!server.log().contains("s3cret"));
}

/// The behaviour of an instance while there is no Redis, as long as that lasts.
fn without_redis(fleet: &Fleet, id: &str) {
    for server in &fleet.servers {
        wait_until("readiness drops", || server.get("/readyz").status == 503);
        let start = Instant::now();
        // Before the body: a client that waits for 100 Continue gets the answer in its place.
        let mut connection = Connection::open(server.address);
        connection.send(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n");
        let refused = connection.response(false).expect("an answer");
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert!(refused.header("retry-after").is_some());
        for path in [format!("/files/{id}/kept.txt"), format!("/download/{id}")] {
            assert_eq!(server.get(&path).status, 200, "an id needs no index");
        }
        for path in ["/files/kept.txt", "/uploads"] {
            let response = server.get(path);
            assert_eq!(response.status, 503, "{}", response.text());
            assert!(response.header("retry-after").is_some());
        }
        for path in ["/files/{}/a", "/download/{}", "/uploads/{}"] {
            let path = path.replace("{}", "0c8r9v3k0000000000000000zz");
            assert_eq!(
                server.get(&path).status,
                404,
                "{path}: its manifest decides"
            );
        }
        assert_eq!(server.get("/healthz").status, 200);
        for path in ["/status", "/metrics"] {
            assert_eq!(server.get(path).status, 200);
        }
        let waited = start.elapsed();
        assert!(
            waited < ANSWER_TIMEOUT * 3,
            "nothing waits for long: {waited:?}"
        );
    }
    wait_until("nobody leads", || {
        fleet
            .servers
            .iter()
            .all(|server| server.get("/status").json()["role"] == "follower")
    });
}

/// Time alone has healed it.
fn healed(fleet: &Fleet, stored: &str) {
    fleet.ready();
    fleet.leader();
    for server in &fleet.servers {
        assert_eq!(server.get(&format!("/files/{stored}")).status, 200);
        let json = server.upload(&form("after.txt"));
        let id = json["id"].as_str().unwrap();
        for other in &fleet.servers {
            assert_eq!(other.get("/uploads?limit=1").json()["uploads"][0]["id"], id);
        }
    }
}

fn store(fleet: &Fleet) -> String {
    let json = fleet.servers[0].upload(&form("kept.txt"));
    json["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_redis_that_hangs_is_as_one_that_is_away() {
    let redis = Redis::start();
    let fleet = Fleet::start(&redis.url());
    let id = store(&fleet);
    redis.signal("-STOP");
    without_redis(&fleet, &id);
    redis.signal("-CONT");
    healed(&fleet, "kept.txt");
}

#[test]
fn a_redis_that_comes_back_empty_is_filled_again() {
    let mut redis = Redis::start();
    let fleet = Fleet::start(&redis.url());
    let id = store(&fleet);
    redis.kill();
    without_redis(&fleet, &id);
    redis.restart();
    healed(&fleet, "kept.txt");
    // Emptied without a restart, which no run id tells.
    redis.cli(&["FLUSHALL"]);
    healed(&fleet, "kept.txt");
}

#[test]
fn what_was_under_way_is_stored_and_found_later() {
    let redis = Redis::start();
    let path = Proxy::to(redis.port);
    let fleet = Fleet::with(&path.url(), 1, &[]);
    let server = &fleet.servers[0];
    for fault in [Fault::BlackHole, Fault::LoseAnswers, Fault::Reset] {
        let name = format!("{fault:?}.bin");
        let content = noise(100_000, fault as u64);
        let form = Form::new().file("f", &name, &content);
        let body = form.body();
        let mut connection = Connection::open(server.address);
        connection.send(&head(&form, body.len()));
        connection.send(&body[..1000]);
        wait_until("it is under way", || {
            server.metric("wharf_uploads_in_progress") == 1.0
        });
        path.set(fault);
        connection.send(&body[1000..]);
        let stored = connection.response(false).expect("an answer");
        assert_eq!(stored.status, 201, "{}", stored.text());
        let id = stored.json()["id"].as_str().unwrap().to_owned();
        assert!(server.get(&format!("/files/{id}/{name}")).body == content);
        path.set(Fault::Pass);
        fleet.ready();
        wait_until("it is found by its name", || {
            server.get(&format!("/files/{name}")).body == content
        });
    }
    path.set(Fault::Delay);
    server.upload(&form("late answers are answers"));
}

fn head(form: &Form, length: usize) -> Vec<u8> {
    let content_type = form.content_type();
    format!("POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n").into_bytes()
}

#[test]
fn limited_downloads_wait_for_redis() {
    let redis = Redis::start();
    let fleet = Fleet::with(&redis.url(), 1, &[]);
    let server = &fleet.servers[0];
    let stored = server.post_to("/upload?max_downloads=1", &form("once.txt"), &[]);
    let path = format!("/files/{}/once.txt", stored.json()["id"].as_str().unwrap());
    redis.signal("-STOP");
    let refused = server.get(&path);
    assert_eq!(refused.status, 503, "{}", refused.text());
    redis.signal("-CONT");
    wait_until("it is well", || server.get("/readyz").status == 200);
    wait_until("the one use is left", || server.get(&path).status == 200);
    assert_eq!(server.get(&path).status, 404);
}

#[test]
fn redis_is_reached_over_tls_by_who_trusts_it() {
    let dir = certificates();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let port = free_port().to_string();
    let redis = Redis::with(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &path("server.pem"),
        "--tls-key-file",
        &path("server.key"),
        "--tls-ca-cert-file",
        &path("ca.pem"),
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://localhost:{port}");
    let refused = Setup::new().run(&["--redis", &url, "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("certificate"), "{said}");
    let server = Setup::new()
        .env("SSL_CERT_FILE", &path("ca.pem"))
        .args(&["--redis", &url])
        .start();
    server.upload(&form("over-tls.txt"));
    wait_until("its name is found", || {
        server.get("/files/over-tls.txt").status == 200
    });
    assert_eq!(redis.listeners(), 1, "the events come over TLS as well");
}
