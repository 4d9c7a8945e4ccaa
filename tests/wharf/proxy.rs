//! Behind nginx, Caddy, Apache httpd and HAProxy, with the settings in `deploy/`, which
//! docs/proxies.md names.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::{Fleet, Form, Nginx, Redis, Server, TlsProxy, noise, request, wait_until};

#[test]
fn uploads_and_downloads_go_through() {
    let server =
        Server::for_everybody(&["--trusted-proxies", "127.0.0.1", "--max-file-size", "30MiB"]);
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
    let fleet = Fleet::with(
        &redis.url(),
        3,
        &["--open", "--default-expires-in", "never"],
    );
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

/// TLS ends at the proxy, and wharf lies under a base path.
fn behind_tls(proxy: fn(&Server) -> TlsProxy) {
    let server = Server::for_everybody(&[
        "--access",
        "admin:root",
        "--trusted-proxies",
        "127.0.0.1",
        "--base-path",
        "/base",
        "--max-file-size",
        "30MiB",
    ]);
    let proxy = proxy(&server);
    let base = format!("https://{}/base", proxy.address);
    let content = noise(20_000_000, 8);
    std::fs::write(server.dir().join("big.bin"), &content).unwrap();
    std::fs::write(server.dir().join("over.bin"), vec![0; 31 << 20]).unwrap();
    wait_until("the proxy knows the server", || {
        let asked = Command::new("curl")
            .args(["-ksf", &format!("{base}/readyz")])
            .output();
        asked.unwrap().status.success()
    });
    let json = server.curl(&["-k", "--form", "f=@big.bin", &format!("{base}/upload")]);
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let url = json["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{base}/files/")), "{json}");
    assert!(server.curl(&["-k", url]) == content);
    assert!(server.curl(&["-k", "--range", "5-9", url]) == content[5..10]);
    // The page and its files lie under the base as well, and its link is the outer one.
    let id = json["id"].as_str().unwrap();
    let page = server.curl(&[
        "-k",
        "-H",
        "Accept: text/html",
        &format!("{base}/uploads/{id}"),
    ]);
    let page = String::from_utf8(page).unwrap().replace("&#x2f;", "/");
    assert!(
        page.contains(&format!("value=\"{base}/uploads/{id}\"")),
        "{page}"
    );
    let style = page
        .split('"')
        .find(|text| text.ends_with("/style.css"))
        .unwrap();
    let style = server.curl(&["-k", &format!("https://{}{style}", proxy.address)]);
    assert!(style.starts_with(b":root"));
    // A refusal is seen, not a broken connection.
    let refused = server.curl(&[
        "-k",
        "--form",
        "f=@over.bin",
        "-w",
        "%{http_code}",
        &format!("{base}/upload"),
    ]);
    let refused = String::from_utf8(refused).unwrap();
    assert!(
        refused.ends_with("413") && refused.contains("max_file_size"),
        "{refused}"
    );
    // A client's own claim of its address is not believed.
    for claim in [
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: http",
        "Forwarded: host=evil.example;proto=http",
    ] {
        let args = ["-k", "-H", "Accept: application/json", "-H", claim];
        let about = server.curl(&[&args[..], &[&format!("{base}/")]].concat());
        let about: serde_json::Value = serde_json::from_slice(&about).unwrap();
        assert_eq!(about["url"], format!("{base}/"), "{claim}");
    }
    // An upload goes through as it comes: wharf has begun before the client is done.
    let mut client = Command::new("curl")
        .args(["-ks", "-T", "-", &format!("{base}/files/slow.bin")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = client.stdin.take().unwrap();
    input.write_all(&content[..1_000_000]).unwrap();
    wait_until("the upload is under way", || {
        let admin = [("Authorization", "Bearer root")];
        let counters = server.request("GET", "/base/metrics", &admin, b"");
        counters.text().contains("wharf_uploads_in_progress 1")
    });
    input.write_all(&content[1_000_000..2_000_000]).unwrap();
    drop(input);
    let output = client.wait_with_output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["size"], 2_000_000);
}

#[test]
fn nginx_with_tls_and_a_base_path() {
    behind_tls(TlsProxy::nginx);
}

#[test]
fn caddy_with_tls_and_a_base_path() {
    behind_tls(TlsProxy::caddy);
}

#[test]
fn apache_with_tls_and_a_base_path() {
    behind_tls(TlsProxy::apache);
}

/// Traefik sets these fields itself, and takes those of clients away
/// (`forwardedHeaders.insecure` is off).
#[test]
fn the_fields_that_traefik_sets_are_understood() {
    let server = Server::for_everybody(&["--trusted-proxies", "127.0.0.1"]);
    let fields = [
        ("Host", "files.example"),
        ("Accept", "application/json"),
        ("X-Forwarded-For", "192.0.2.7"),
        ("X-Forwarded-Host", "files.example"),
        ("X-Forwarded-Port", "443"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Server", "traefik"),
        ("X-Real-Ip", "192.0.2.7"),
        ("X-Request-ID", "through-traefik"),
    ];
    let about = server.request("GET", "/", &fields, b"").json();
    assert_eq!(about["url"], "https://files.example/");
    server.says("client=192.0.2.7");
}

#[test]
fn haproxy_with_tls_and_a_base_path() {
    behind_tls(TlsProxy::haproxy);
}
