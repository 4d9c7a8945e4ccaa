//! The answers to a stranger, who knows the address of a server and nothing else: every method of
//! every route, by each way there is to a server.

mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use self::table::TABLE;
pub use self::table::{Held, Reach, meet};
use crate::support::{Form, Server, Setup, request, wait_until};

/// The table over TCP, with this `Host`, none for the address.
#[track_caller]
fn over_tcp(what: &str, reach: Reach, held: &Held, fields: &[(&str, &str)]) {
    let server = &held.server;
    meet(what, reach, held, |method, path, media_type, body| {
        let mut headers = vec![("Content-Type", media_type)];
        headers.extend_from_slice(fields);
        let answer = request(server.address, method, path, &headers, body);
        if method == "GET" {
            let head = request(server.address, "HEAD", path, &headers, b"");
            assert_eq!(head.status, answer.status, "{what}: HEAD {path}");
        }
        (
            answer.status,
            String::from_utf8_lossy(&answer.body).into_owned(),
        )
    });
}

/// The table has each route that the server has, and no other.
#[test]
fn the_table_knows_every_route() {
    let document = Server::start().get("/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    let routes: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            // HEAD is refused where GET is.
            let methods = methods.filter(|method| *method != "head");
            methods.map(move |method| (method.to_ascii_uppercase(), path.clone()))
        })
        .collect();
    let known = TABLE
        .iter()
        .map(|(method, route, ..)| ((*method).to_owned(), (*route).to_owned()));
    assert_eq!(routes, known.collect());
}

/// Whatever else is sent to an address is refused before it is looked at.
#[test]
fn a_method_that_is_not_in_the_table_is_refused() {
    let held = Held::by(Setup::new(), &[]);
    let mut methods: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (method, route, ..) in TABLE {
        methods.entry(route).or_default().insert(method);
    }
    let all = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "UNHEARD",
    ];
    for (_, route, path, _) in TABLE {
        let path = path.split('?').next().unwrap().replace("ID", held.id());
        for method in all {
            let comes = if method == "HEAD" { "GET" } else { method };
            if methods[route].contains(comes) {
                continue;
            }
            let answer = request(held.server.address, method, &path, &[], b"");
            assert_eq!(answer.status, 405, "{method} {path}: {}", answer.text());
            let mut allowed = answer.header("allow").unwrap().split(',');
            assert!(!allowed.any(|allowed| allowed == method), "{method} {path}");
        }
        let answer = request(held.server.address, "OPTIONS", &path, &[], b"");
        assert_eq!((answer.status, &answer.body[..]), (204, &b""[..]), "{path}");
    }
}

#[test]
fn on_its_own_machine_everything_is_open_but_what_changes_others_uploads() {
    let held = Held::by(Setup::new(), &[]);
    over_tcp("direct", Reach::Local, &held, &[]);
    let name = format!("localhost:{}", held.server.address.port());
    over_tcp("by name", Reach::Local, &held, &[("Host", &name)]);
}

#[test]
fn what_a_proxy_passes_to_a_server_without_settings_is_a_strangers() {
    let held = Held::by(Setup::new(), &[]);
    for fields in [
        &[("Host", "files.example")][..],
        &[("Host", "files.example:8443")],
        &[("X-Forwarded-For", "192.0.2.1")],
        &[("Host", "localhost"), ("Via", "1.1 proxy")],
        &[("Forwarded", "for=192.0.2.1")],
    ] {
        over_tcp(&format!("{fields:?}"), Reach::Closed, &held, fields);
    }
    held.server.says("requests come by a proxy, it seems");
    assert_eq!(
        held.server
            .log()
            .matches("requests come by a proxy")
            .count(),
        1
    );
    // The machine's own programs go on as before.
    over_tcp("direct", Reach::Local, &held, &[]);
}

#[test]
fn a_server_for_others_is_closed_but_for_what_is_opened() {
    let secret = [("Authorization", "Bearer s3cret")];
    let listen = ["--listen", "0.0.0.0:0"];
    let closed = Setup::new()
        .args(&listen)
        .args(&["--access", "upload:s3cret"]);
    let held = Held::by(closed, &secret);
    over_tcp("closed", Reach::Closed, &held, &[]);
    let local = [("Host", "localhost")];
    over_tcp("closed, as localhost", Reach::Closed, &held, &local);
    let opened = Setup::new()
        .args(&listen)
        .args(&["--open", "--default-expires-in", "1d"]);
    let held = Held::by(opened, &[]);
    over_tcp("open", Reach::Open, &held, &[]);
    held.server
        .says("everybody who reaches this server can upload");
    let held = Held::by(Setup::new().args(&listen).for_everybody(), &[]);
    over_tcp("shared", Reach::Shared, &held, &[]);
    held.server.says("names=\"shared\"");
    for settings in [
        ["--trusted-proxies", "127.0.0.1"],
        ["--public-url", "https://files.example"],
        ["--hosts", "files.example"],
    ] {
        let setup = Setup::new()
            .args(&settings)
            .args(&["--access", "upload:s3cret"]);
        let held = Held::by(setup, &secret);
        over_tcp(&format!("{settings:?}"), Reach::Closed, &held, &local);
    }
}

/// Asks over a unix socket.
fn by_socket(
    socket: &Path,
    method: &str,
    path: &str,
    media_type: &str,
    body: &[u8],
) -> (u16, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("body");
    std::fs::write(&file, body).unwrap();
    let mut curl = Command::new("curl");
    curl.args(["-s", "-X", method, "-w", "\n%{http_code}", "--unix-socket"])
        .arg(socket)
        .args(["-H", &format!("Content-Type: {media_type}")])
        .arg(format!("http://localhost{path}"));
    if !body.is_empty() {
        curl.arg("--data-binary")
            .arg(format!("@{}", file.display()));
    }
    let output = curl.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

#[test]
fn over_a_unix_socket_others_ask() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("w");
    let listen = format!("unix:{}", socket.display());
    // The harness waits for an address of TCP, which others share then.
    let both = ["--listen", "127.0.0.1:0", "--listen", &listen];
    let setup = Setup::new()
        .args(&both)
        .args(&["--access", "upload:s3cret"]);
    let held = Held::by(setup, &[("Authorization", "Bearer s3cret")]);
    wait_until("the socket is there", || socket.exists());
    meet(
        "socket",
        Reach::Closed,
        &held,
        |method, path, media_type, body| by_socket(&socket, method, path, media_type, body),
    );
    over_tcp("beside the socket", Reach::Closed, &held, &[]);
    drop(held);
    let held = Held::by(Setup::new().args(&both).for_everybody(), &[]);
    meet(
        "open socket",
        Reach::Shared,
        &held,
        |method, path, media_type, body| by_socket(&socket, method, path, media_type, body),
    );
    drop(held);
}

/// A start that leaves it undecided is refused, and says both ways; each of them starts.
#[test]
fn who_may_upload_is_decided_before_the_start() {
    let refused = |args: &[&str]| Setup::new().args(args).try_start().err().unwrap();
    let said = refused(&["--listen", "0.0.0.0:0"]);
    assert!(said.contains("it listens on 0.0.0.0:0"), "{said}");
    let secret = said.split("--access upload+list:").nth(1).unwrap();
    let secret = secret.split_whitespace().next().unwrap();
    let rule = format!("upload+list:{secret}");
    let pasted = Setup::new()
        .args(&["--listen", "0.0.0.0:0", "--access", &rule])
        .start();
    let bearer = format!("Bearer {secret}");
    let listed = pasted.request("GET", "/uploads", &[("Authorization", &bearer)], b"");
    assert_eq!(listed.status, 200);
    let way = said.split("--open").nth(1).unwrap();
    assert!(way.contains("7d"), "{said}");
    let said = refused(&["--listen", "0.0.0.0:0", "--open"]);
    assert!(said.contains("how long uploads are kept"), "{said}");
    for setting in [
        ["--public-url", "https://files.example"],
        ["--trusted-proxies", "10.0.0.1"],
        ["--hosts", "files.example"],
    ] {
        let said = refused(&setting);
        let name = setting[0].trim_start_matches("--").replace('-', "_");
        assert!(said.contains(&format!("{name} is set")), "{said}");
    }
    // Nothing was touched for it.
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup::new()
        .store(&dir.path().join("store"))
        .args(&["--listen", "0.0.0.0:0"]);
    assert!(setup.try_start().is_err());
    assert!(!dir.path().join("store").exists());
}

/// `admin_listen`: without a secret, with and without the base path, and nothing else there.
#[test]
fn operators_have_an_address_of_their_own() {
    let setup = Setup::new().for_everybody().args(&[
        "--base-path",
        "/w",
        "--listen",
        "0.0.0.0:0",
        "--admin-listen",
        "127.0.0.1:0",
    ]);
    let server = setup.start();
    server.says(" for operators");
    let log = server.log();
    let line = log
        .lines()
        .find(|line| line.contains(" for operators"))
        .unwrap();
    let address = line
        .split("http://")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let address = address.parse().unwrap();
    let status = |address, method: &str, path: &str, host: &str| {
        request(address, method, path, &[("Host", host)], b"").status
    };
    for path in ["/status", "/metrics", "/healthz", "/readyz"] {
        for path in [path.to_owned(), format!("/w{path}")] {
            assert_eq!(status(address, "GET", &path, "localhost"), 200, "{path}");
        }
    }
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/w/"),
        ("GET", "/w/uploads"),
        ("POST", "/w/upload"),
        ("POST", "/w/admin/reindex"),
        ("PUT", "/w/files/a.txt"),
    ] {
        assert_eq!(
            status(address, method, path, "localhost"),
            404,
            "{method} {path}"
        );
    }
    assert_eq!(status(address, "POST", "/status", "localhost"), 405);
    // Pages of other sites do not get there by a name that they have rebound.
    let rebound = format!("evil.example:{}", address.port());
    assert_eq!(status(address, "GET", "/metrics", &rebound), 421);
    assert_eq!(status(address, "GET", "/healthz", &rebound), 200);
    for (path, expected) in [("/healthz", 200), ("/w/healthz", 200), ("/readyz", 200)] {
        assert_eq!(
            status(server.address, "GET", path, "any.example"),
            expected,
            "{path}"
        );
    }
    for (path, expected) in [("/status", 404), ("/w/status", 401), ("/w/metrics", 401)] {
        assert_eq!(
            status(server.address, "GET", path, "any.example"),
            expected,
            "{path}"
        );
    }
    assert!(server.stop().0.success());
}

/// SIGHUP: new secrets count, but none that would leave undecided who may upload.
#[test]
fn rules_that_are_read_anew_leave_nothing_undecided() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = dir.path().join("access");
    std::fs::write(&secrets, "upload:one\n").unwrap();
    let file = secrets.to_str().unwrap();
    let args = ["--listen", "0.0.0.0:0", "--access-file", file];
    let server = Setup::new()
        .under(&crate::support::WITHOUT_TERMINAL)
        .args(&args)
        .start();
    let form = Form::new().file("f", "a", b"x");
    let status = |secret: &str| {
        let bearer = format!("Bearer {secret}");
        server
            .post_to("/upload", &form, &[("Authorization", &bearer)])
            .status
    };
    assert_eq!([status("one"), status("two")], [201, 401]);
    std::fs::write(&secrets, "download:two\n").unwrap();
    server.signal(1);
    server.says("nothing says who may upload");
    assert_eq!([status("one"), status("two")], [201, 401]);
    std::fs::write(&secrets, "upload:two\n").unwrap();
    server.signal(1);
    server.says("SIGHUP: the settings were read anew");
    wait_until("the new secret counts", || status("two") == 201);
    assert_eq!(status("one"), 401);
}
