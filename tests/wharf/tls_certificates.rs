//! Certificates: which one a client gets, when they are read again, and the faults they may have.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::{Server, Setup, certificate, wait_until};

/// Two certificates: for localhost and its address, and for all names below `shop.test`.
fn two() -> Setup {
    let setup = Setup::new();
    certificate(
        setup.folder(),
        "one",
        "DNS:localhost,IP:127.0.0.1",
        "now",
        90,
    );
    certificate(
        setup.folder(),
        "two",
        "DNS:*.shop.test,DNS:files.test",
        "now",
        90,
    );
    setup
}

/// The name in the certificate that a client gets which asks for `name`.
fn shown(server: &Server, name: &str) -> String {
    let address = server.address.to_string();
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-servername", name])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let subject = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("subject="));
    let subject = subject.unwrap_or_else(|| panic!("{output:?}"));
    subject
        .replace(' ', "")
        .trim_start_matches("CN=")
        .to_owned()
}

#[test]
fn a_client_gets_the_certificate_of_the_name_it_asks_for() {
    let server = two()
        .args(&["--tls-cert", "one.pem", "--tls-cert", "two.pem"])
        .args(&["--tls-key", "one.key", "--tls-key", "two.key"])
        .args(&[
            "--open",
            "--default-expires-in",
            "never",
            "--hosts",
            "*.shop.test",
            "--hosts",
            "files.test",
        ])
        .start();
    for (name, certificate) in [
        ("localhost", "one"),
        ("a.shop.test", "two"),
        ("FILES.test", "two"),
        // The first, where there is none.
        ("a.b.shop.test", "one"),
        ("other", "one"),
    ] {
        assert_eq!(shown(&server, name), certificate, "{name}");
    }
    // A browser takes one connection for all names of its certificate. Other names need another.
    let port = server.address.port();
    let resolve = format!("a.shop.test:{port}:127.0.0.1");
    let ask = |host: &str, path: &str, version: &str| {
        let host = format!("Host: {host}");
        let url = format!("https://a.shop.test:{port}{path}");
        let args = [
            "--cacert",
            "two.pem",
            "--resolve",
            &resolve,
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            version,
            "-H",
            &host,
            &url,
        ];
        String::from_utf8(server.curl(&args)).unwrap()
    };
    for version in ["--http1.1", "--http2"] {
        for (host, status) in [
            ("a.shop.test", "200"),
            ("B.Shop.Test:443", "200"),
            ("files.test", "200"),
            ("localhost", "421"),
            ("127.0.0.1", "421"),
        ] {
            assert_eq!(ask(host, "/", version), status, "{host} {version}");
        }
        assert_eq!(ask("localhost", "/healthz", version), "200");
    }
    // A client that asks for an address asks for no name.
    let url = format!("https://127.0.0.1:{port}/");
    let plain = [
        "-k",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-H",
        "Host: files.test",
        &url,
    ];
    assert_eq!(server.curl(&plain), b"200");
}

#[test]
fn certificates_are_read_again_when_their_files_change() {
    let server = two()
        .under(&crate::support::WITHOUT_TERMINAL)
        .args(&["--tls-cert", "one.pem", "--tls-key", "one.key"])
        .start();
    assert_eq!(shown(&server, "localhost"), "one");
    // A client that is there keeps what it has, and goes on.
    let replace = |file: &str, with: &str| {
        let new = server.dir().join("new");
        std::fs::copy(server.dir().join(with), &new).unwrap();
        std::fs::rename(new, server.dir().join(file)).unwrap();
    };
    // Half of a pair changes nothing, by itself and by a signal.
    replace("one.pem", "two.pem");
    server.says(
        "those before stay: tls_key: one.key: it is not the key of the certificate in one.pem",
    );
    server.signal(1);
    server.says("stay as they were: tls_key: one.key: it is not the key");
    assert_eq!(shown(&server, "localhost"), "one");
    replace("one.key", "two.key");
    server.says("the files of the certificates changed, and were read again");
    assert_eq!(shown(&server, "localhost"), "two");
    // A signal has them read at once.
    certificate(server.dir(), "three", "DNS:localhost", "now", 5);
    replace("one.pem", "three.pem");
    replace("one.key", "three.key");
    server.signal(1);
    server.says("the certificate in one.pem ends in 4 days");
    assert_eq!(shown(&server, "localhost"), "three");
    // So it is the first time.
    assert_eq!(server.lines("were read again").len(), 1);
    assert!(server.stop().0.success());
}

#[test]
fn a_certificate_that_cannot_be_used_is_no_start() {
    let setup = two();
    let dir = setup.folder().to_owned();
    certificate(&dir, "old", "DNS:localhost", "2020-01-01 00:00:00", 30);
    let openssl = |args: &[&str]| {
        let output = Command::new("openssl")
            .args(args)
            .current_dir(&dir)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    openssl(&[
        "ec",
        "-in",
        "one.key",
        "-aes256",
        "-passout",
        "pass:x",
        "-out",
        "locked.key",
    ]);
    openssl(&[
        "pkcs8",
        "-topk8",
        "-in",
        "one.key",
        "-passout",
        "pass:x",
        "-out",
        "locked8.key",
    ]);
    std::fs::write(dir.join("empty"), "nothing\n").unwrap();
    for (certificate, key, said) in [
        (
            "one.pem",
            "two.key",
            "tls_key: two.key: it is not the key of the certificate in one.pem",
        ),
        (
            "none.pem",
            "one.key",
            "tls_cert: none.pem: it cannot be read: No such file",
        ),
        (
            "one.pem",
            "none.key",
            "tls_key: none.key: it cannot be read: No such file",
        ),
        (
            "empty",
            "one.key",
            "tls_cert: empty: there is no certificate in it (BEGIN CERTIFICATE)",
        ),
        (
            "one.pem",
            "empty",
            "tls_key: empty: there is no private key in it (BEGIN PRIVATE KEY)",
        ),
        (
            "one.key",
            "one.key",
            "tls_cert: one.key: there is no certificate in it",
        ),
        (
            "one.pem",
            "locked.key",
            "tls_key: locked.key: the key in it has a password",
        ),
        (
            "one.pem",
            "locked8.key",
            "tls_key: locked8.key: the key in it has a password",
        ),
        (
            "old.pem",
            "old.key",
            "tls_cert: old.pem: it is valid no more: it ended at 2020-01-31T",
        ),
    ] {
        let output = setup.run(&["--port", "0", "--tls-cert", certificate, "--tls-key", key]);
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{log}");
        assert!(log.contains(said), "{said}: {log}");
        assert!(!dir.join("upload").exists(), "nothing was begun");
    }
    // One file may have both, and one that ends soon is a warning.
    let both = ["one.pem", "one.key"].map(|name| std::fs::read(dir.join(name)).unwrap());
    std::fs::write(dir.join("both.pem"), both.concat()).unwrap();
    mode(&dir.join("both.pem"));
    certificate(&dir, "short", "DNS:short.test", "now", 13);
    let server = setup
        .args(&[
            "--tls-cert",
            "both.pem",
            "--tls-cert",
            "short.pem",
            "--tls-key",
            "both.pem",
            "--tls-key",
            "short.key",
        ])
        .args(&["--admin-listen", "127.0.0.1:0"])
        .start();
    server.says("the certificate in short.pem ends in 12 days, at 20");
    assert!(!server.log().contains("the certificate in both.pem"));
    server.says("for operators");
    let admin = server.log();
    let admin = admin
        .split("listening on http://")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned();
    let metrics = String::from_utf8(server.curl(&[&format!("http://{admin}/metrics")])).unwrap();
    for file in ["both.pem", "short.pem"] {
        let name = format!("wharf_tls_certificate_expiry_timestamp_seconds{{file=\"{file}\"}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
        let value: f64 = value
            .unwrap_or_else(|| panic!("{metrics}"))
            .parse()
            .unwrap();
        assert!(value > 1.7e9, "{value}");
    }
}

fn mode(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn both_certificates_of_one_name_are_used() {
    let setup = two();
    let output = Command::new("openssl")
        .args([
            "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=rsa", "-days", "30",
        ])
        .args([
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            "rsa.key",
            "-out",
            "rsa.pem",
        ])
        .current_dir(setup.folder())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let server = setup
        .args(&["--tls-cert", "one.pem", "--tls-cert", "rsa.pem"])
        .args(&["--tls-key", "one.key", "--tls-key", "rsa.key"])
        .start();
    wait_until("it is there", || shown(&server, "localhost") == "one");
    let address = server.address.to_string();
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-servername", "localhost"])
        .args(["-sigalgs", "RSA-PSS+SHA256"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("CN = rsa") || said.contains("CN=rsa"),
        "{said}"
    );
}

/// certbot has links to the newest files, and runs a hook when it has put new ones there.
#[test]
fn what_certbot_renews_is_read_by_its_hook() {
    let setup = two().under(&crate::support::WITHOUT_TERMINAL);
    let dir = setup.folder().to_owned();
    let live = dir.join("live");
    std::fs::create_dir(&live).unwrap();
    let link = |number: &str| {
        for (link, file) in [("fullchain.pem", "pem"), ("privkey.pem", "key")] {
            let new = live.join("new");
            std::os::unix::fs::symlink(format!("../{number}.{file}"), &new).unwrap();
            std::fs::rename(new, live.join(link)).unwrap();
        }
    };
    link("one");
    let server = setup
        .args(&["--tls-cert", "live/fullchain.pem"])
        .args(&["--tls-key", "live/privkey.pem"])
        .start();
    assert_eq!(shown(&server, "localhost"), "one");
    link("two");
    let hook = format!("kill -HUP {}", server.pid());
    let page = include_str!("../../docs/settings.md");
    assert!(page.contains("--deploy-hook 'systemctl reload wharf'` (without systemd: `kill -HUP`"));
    assert!(
        Command::new("sh")
            .args(["-c", &hook])
            .status()
            .unwrap()
            .success()
    );
    server.says("SIGHUP: the settings were read anew");
    assert_eq!(shown(&server, "localhost"), "two");
}
