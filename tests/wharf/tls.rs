//! TLS of wharf's own, as clients meet it.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::support::{Browser, Connection, Form, Server, Setup, certificate, noise, sha256};

/// A server at localhost with TLS, and more arguments. curl takes its certificate by name.
fn server(args: &[&str]) -> Server {
    let setup = Setup::new();
    certificate(
        setup.folder(),
        "own",
        "DNS:localhost,IP:127.0.0.1",
        "now",
        90,
    );
    setup
        .args(&["--tls-cert", "own.pem", "--tls-key", "own.key"])
        .args(args)
        .start()
}

/// The address as the certificate has it.
fn url(server: &Server, path: &str) -> String {
    format!("https://localhost:{}{path}", server.address.port())
}

/// The output of curl.
#[track_caller]
fn curl(server: &Server, args: &[&str]) -> String {
    let all = [&["--cacert", "own.pem"], args].concat();
    String::from_utf8(server.curl(&all)).unwrap()
}

fn s_client(server: &Server, args: &[&str], request: &str) -> Output {
    let address = server.address.to_string();
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &address])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // One whose handshake was refused has closed it.
    let _ = stdin.write_all(request.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

#[test]
fn large_files_go_both_ways_over_both_versions_of_http() {
    let server = server(&[]);
    let content = noise(9 << 20, 11);
    std::fs::write(server.dir().join("large.bin"), &content).unwrap();
    for version in ["--http1.1", "--http2"] {
        let form = ["-F", "file=@large.bin", version, &url(&server, "/upload")];
        let stored = curl(&server, &form);
        let stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
        assert_eq!(stored["sha256"], sha256(&content), "{version}: {stored}");
        let address = stored["url"].as_str().unwrap();
        assert!(address.starts_with("https://localhost:"), "{address}");
        let write = "%{http_version} %{num_connects}";
        let said = curl(&server, &["-o", "back.bin", "-w", write, version, address]);
        let number = if version == "--http2" { "2" } else { "1.1" };
        assert_eq!(said, format!("{number} 1"));
        assert!(
            std::fs::read(server.dir().join("back.bin")).unwrap() == content,
            "{version}"
        );
    }
    assert!(server.stop().0.success());
}

#[test]
fn versions_and_ciphers_are_those_of_today() {
    let server = server(&[]);
    let request = "GET /healthz HTTP/1.0\r\n\r\n";
    for version in ["-tls1_2", "-tls1_3"] {
        let output = s_client(&server, &[version, "-ign_eof"], request);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            said.contains("HTTP/1.1 200 OK") || said.contains("HTTP/1.0 200 OK"),
            "{said}"
        );
        assert!(said.contains("GCM") || said.contains("CHACHA20"), "{said}");
    }
    // Level 0 has openssl offer what it would not offer of itself.
    for old in [
        &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"][..],
        &["-tls1", "-cipher", "DEFAULT@SECLEVEL=0"],
        &[
            "-tls1_2",
            "-cipher",
            "AES128-SHA:AES256-GCM-SHA384@SECLEVEL=0",
        ],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA@SECLEVEL=0"],
        &["-alpn", "http/0.9"],
    ] {
        let output = s_client(&server, old, request);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{old:?}: {said}");
        assert!(said.contains("alert"), "{old:?}: {said}");
    }
    for (offered, agreed) in [("h2,http/1.1", "h2"), ("http/1.1", "http/1.1")] {
        let output = s_client(&server, &["-alpn", offered], "");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            said.contains(&format!("ALPN protocol: {agreed}\n")),
            "{said}"
        );
    }
    // The client has to speak the version that was agreed upon.
    let output = s_client(
        &server,
        &["-alpn", "h2", "-ign_eof"],
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!said.contains("200 OK"), "{said}");
}

#[test]
fn http_without_tls_is_told_what_the_port_speaks() {
    let server = server(&[]);
    let answer = server.get("/healthz");
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert!(answer.text().contains("https://"), "{}", answer.text());
    // A body under way keeps no client from reading that.
    let form = Form::new().file("f", "a", &noise(200_000, 1));
    assert_eq!(server.post_to("/upload", &form, &[]).status, 400);
    // Bytes that are no HTTP at all are a handshake that fails.
    let mut other = Connection::open(server.address);
    other.send(b"\x00\x01\x02\x03\x04\x05\x06\x07");
    assert!(other.response(false).is_none());
}

#[test]
fn what_is_secure_is_marked_so() {
    let server = server(&["--hsts", "365d"]);
    let page = curl(&server, &["-D", "-", "-o", "/dev/null", &url(&server, "/")]);
    let page = page.to_ascii_lowercase();
    assert!(
        page.contains("strict-transport-security: max-age=31536000\r\n"),
        "{page}"
    );
    assert!(page.contains("; secure"), "{page}");
    // Every cookie, that of a chosen language too.
    let page = curl(
        &server,
        &["-D", "-", "-o", "/dev/null", &url(&server, "/?lang=de")],
    );
    let cookies: Vec<&str> = page
        .lines()
        .filter(|line| line.to_ascii_lowercase().starts_with("set-cookie:"))
        .collect();
    assert!(
        cookies
            .iter()
            .any(|line| line.contains("wharf-language=de"))
    );
    assert!(
        cookies.iter().all(|line| line.ends_with("; Secure")),
        "{cookies:?}"
    );
    let form = [
        "-D",
        "-",
        "-o",
        "/dev/null",
        "-F",
        "f=@own.pem",
        "-H",
        "Accept: text/html",
        &url(&server, "/upload"),
    ];
    let stored = curl(&server, &form).to_ascii_lowercase();
    assert!(
        stored.contains("wharf-delete-token=") && stored.contains("; secure"),
        "{stored}"
    );
    let without = Server::start().get("/");
    assert!(without.header("strict-transport-security").is_none());
}

#[test]
fn clients_without_tls_are_sent_to_it() {
    let server = server(&[
        "--listen",
        "https://127.0.0.1:0",
        "--listen",
        "http://127.0.0.1:0",
        "--listen",
        "unix:socket",
        "--tls-redirect",
        "--open",
        "--default-expires-in",
        "never",
    ]);
    server.says("listening on unix:");
    let log = server.log();
    let plain = log.split("listening on http://").nth(1).unwrap();
    let plain = plain.split_whitespace().next().unwrap();
    let port = server.address.port();
    let show = ["-o", "/dev/null", "-w", "%{http_code} %{redirect_url}"];
    let ask = |more: &[&str]| curl(&server, &[&show[..], more].concat());
    let asked = format!("http://{plain}/files/x?y=%20z");
    assert_eq!(
        ask(&[&asked]),
        format!("308 https://127.0.0.1:{port}/files/x?y=%20z")
    );
    // A client that speaks TLS where there is none is told so.
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_wharf"))
        .args(["list", "-s", &format!("https://{plain}")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(
        said.contains("it does not speak TLS on that port"),
        "{said}"
    );
    // Probes ask for nothing that is secret, and a proxy on this machine has said enough.
    assert_eq!(ask(&[&format!("http://{plain}/healthz")]), "200 ");
    assert_eq!(
        ask(&["--unix-socket", "socket", "http://localhost/"]),
        "200 "
    );
    let followed = [
        "-L",
        "--post301",
        "-F",
        "f=@own.pem",
        &format!("http://{plain}/upload"),
    ];
    let stored = curl(&server, &followed);
    assert!(
        stored.contains(&format!("https://127.0.0.1:{port}/")),
        "{stored}"
    );
}

#[test]
fn a_browser_sends_and_reads_over_tls() {
    let server = server(&[]);
    let browser = Browser::trusting();
    browser.open_ready(&url(&server, "/"));
    assert_eq!(browser.run("return window.isSecureContext"), true);
    let path = server.dir().join("note.txt");
    std::fs::write(&path, "over TLS").unwrap();
    browser.choose("#files", &[path]);
    browser.click("#send");
    browser.wait_for("the end", "document.querySelector('.transfer.is-done')");
    let read = browser.wait(
        "async () => (await (await fetch((await (await fetch('/uploads')).json()).uploads[0].url)).text())",
        serde_json::json!([]),
    );
    assert_eq!(read, "over TLS");
    let protocol =
        browser.run("return performance.getEntriesByType('navigation')[0].nextHopProtocol");
    assert_eq!(protocol, "h2");
}
