//! Behind nginx, with the settings of `deploy/nginx.conf`, which the README names.

use crate::support::{Fleet, Form, Nginx, Redis, Server, noise, request, wait_until};

#[test]
fn uploads_and_downloads_go_through() {
    let server = Server::with(&["--trusted-proxies", "127.0.0.1", "--max-file-size", "30MiB"]);
    let nginx = Nginx::before(&[&server]);
    let content = noise(20_000_000, 8);
    let form = Form::new().file("f", "big.bin", &content);
    let content_type = form.content_type();
    let headers = [
        ("Content-Type", content_type.as_str()),
        ("X-Forwarded-For", "6.6.6.6"),
    ];
    let stored = request(nginx.address, "POST", "/upload", &headers, &form.body());
    assert_eq!(stored.status, 201, "{}", stored.text());
    let json = stored.json();
    assert!(
        json["url"]
            .as_str()
            .unwrap()
            .starts_with(&format!("http://{}/files/", nginx.address)),
        "{json}"
    );
    let raw = request(nginx.address, "GET", "/files/big.bin", &[], b"");
    assert!(raw.body == content);
    let part = request(
        nginx.address,
        "GET",
        "/files/big.bin",
        &[("Range", "bytes=5-9")],
        b"",
    );
    assert_eq!((part.status, &part.body[..]), (206, &content[5..10]));
    let form = Form::new().file("f", "big.bin", &noise(31 << 20, 1));
    let refused = request(
        nginx.address,
        "POST",
        "/upload",
        &[("Content-Type", &content_type)],
        &form.body(),
    );
    assert_eq!(refused.status, 413, "{}", refused.text());
    assert_eq!(server.files().len(), 2);
    wait_until("the lines are logged", || {
        server.log().contains("POST /upload 413")
    });
}

#[test]
fn several_instances_take_turns() {
    let redis = Redis::start();
    let fleet = Fleet::with(&redis.url(), 3, &["--trusted-proxies", "127.0.0.1"]);
    let servers: Vec<&Server> = fleet.servers.iter().collect();
    let nginx = Nginx::before(&servers);
    let content = noise(3_000_000, 9);
    let form = Form::new().file("f", "turns.bin", &content);
    let content_type = form.content_type();
    let headers = [("Content-Type", content_type.as_str())];
    for _ in 0..6 {
        let stored = request(nginx.address, "POST", "/upload", &headers, &form.body());
        assert_eq!(stored.status, 201, "{}", stored.text());
        let id = stored.json()["id"].as_str().unwrap().to_owned();
        let path = format!("/download/{id}");
        let whole = request(nginx.address, "GET", &path, &[], b"");
        assert_eq!(whole.status, 200);
        // The fourth of its round, so that each request comes to each instance in turn.
        let head = request(nginx.address, "HEAD", &path, &[], b"");
        assert_eq!(head.header("etag"), whole.header("etag"));
        // The rest comes from the next instance, and fits.
        let etag = whole.header("etag").unwrap();
        let range = [("Range", "bytes=1000000-"), ("If-Range", etag)];
        let rest = request(nginx.address, "GET", &path, &range, b"");
        assert_eq!(rest.status, 206);
        assert!(rest.body == whole.body[1_000_000..]);
    }
    for server in servers {
        let log = server.log();
        assert!(
            log.contains("POST /upload 201") && log.contains("206"),
            "each had its turn"
        );
    }
}
