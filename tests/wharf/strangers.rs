//! The answers to a stranger, who knows the address of a server and nothing else: every method of
//! every route, by each way there is to a server.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::{Form, Server, Setup, request, wait_until};

/// An id that no upload has.
const NEVER: &str = "0123456789abcdefghjkmnpqrs";

/// The guards between a stranger and a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// A program on the machine of a server that is for it alone: no stranger.
    Local,
    /// Another machine; nothing is opened.
    Closed,
    /// Another machine; `open` is set.
    Open,
    /// The same; `names = shared` is set too.
    Shared,
}

/// A request: method, route, path (`ID` stands for the upload), and the statuses that a local one
/// and the three others get.
type Row = (&'static str, &'static str, &'static str, [u16; 4]);

/// Every method of every route.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    //                                                             local closed open shared
    ("GET", "/", "/",                                               [200, 200, 200, 200]),
    ("GET", "/static/{version}/{name}", "/static/x/none",           [404, 404, 404, 404]),
    ("GET", "/favicon.ico", "/favicon.ico",                         [200, 200, 200, 200]),
    ("GET", "/robots.txt", "/robots.txt",                           [200, 200, 200, 200]),
    ("GET", "/openapi.json", "/openapi.json",                       [200, 200, 200, 200]),
    ("GET", "/postman.json", "/postman.json",                       [200, 200, 200, 200]),
    ("GET", "/healthz", "/healthz",                                 [200, 200, 200, 200]),
    ("GET", "/readyz", "/readyz",                                   [200, 200, 200, 200]),
    ("POST", "/upload", "/upload",                                  [201, 401, 201, 201]),
    ("PUT", "/files/{name}", "/files/b.txt",                        [201, 401, 201, 201]),
    ("POST", "/files", "/files?name=b.txt",                         [201, 401, 201, 201]),
    ("POST", "/compat/filepond", "/compat/filepond",                [201, 401, 201, 201]),
    ("DELETE", "/compat/filepond", "/compat/filepond",              [404, 404, 404, 404]),
    ("GET", "/problems", "/problems",                                [200, 200, 200, 200]),
    ("GET", "/problems/{code}", "/problems/internal",                [200, 200, 200, 200]),
    ("GET", "/download", "/download?name=a.txt",                    [200, 404, 404, 200]),
    ("GET", "/download/{name}", "/download/a.txt",                  [200, 404, 404, 200]),
    ("GET", "/files/{name}", "/files/a.txt",                        [200, 404, 404, 200]),
    // A client that has the id was given it.
    ("GET", "/download", "/download?name=ID",                       [200, 200, 200, 200]),
    ("GET", "/download/{name}", "/download/ID",                     [200, 200, 200, 200]),
    ("GET", "/download/{id}/{name}", "/download/ID/a.txt",          [200, 200, 200, 200]),
    ("GET", "/files/{id}/{name}", "/files/ID/a.txt",                [200, 200, 200, 200]),
    ("GET", "/archive/{name}", "/archive/ID.zip",                   [200, 200, 200, 200]),
    ("GET", "/archive/{name}", "/archive/ID.tar?name=a.txt",        [200, 200, 200, 200]),
    ("GET", "/uploads/{id}", "/uploads/ID",                         [200, 200, 200, 200]),
    ("GET", "/uploads/{id}/view/{name}", "/uploads/ID/view/a.txt",  [200, 200, 200, 200]),
    ("GET", "/uploads", "/uploads",                                 [200, 401, 401, 401]),
    ("DELETE", "/uploads/{id}", "/uploads/ID",                      [401, 401, 401, 401]),
    ("PATCH", "/uploads/{id}", "/uploads/ID",                       [401, 401, 401, 401]),
    ("POST", "/uploads/{id}/delete", "/uploads/ID/delete",          [401, 401, 401, 401]),
    ("POST", "/uploads/{id}/prolong", "/uploads/ID/prolong",        [401, 401, 401, 401]),
    ("POST", "/admin/reindex", "/admin/reindex",                             [401, 401, 401, 401]),
    ("GET", "/admin/reindex", "/admin/reindex",                     [401, 401, 401, 401]),
    ("GET", "/files/{name}", "/files/ID",                           [303, 303, 303, 303]),
    ("GET", "/status", "/status",                                   [200, 401, 401, 401]),
    ("GET", "/metrics", "/metrics",                                 [200, 401, 401, 401]),
];

/// The body of a request, and its type.
fn body(method: &str, path: &str) -> (String, Vec<u8>) {
    let form = Form::new().file("f", "b.txt", b"b");
    match (method, path) {
        ("POST", "/upload" | "/compat/filepond") => (form.content_type(), form.body()),
        ("DELETE", "/compat/filepond") => {
            let key = format!("{NEVER}.{}", "x".repeat(22));
            ("text/plain".to_owned(), key.into_bytes())
        }
        ("PUT" | "PATCH", _) => ("application/json".to_owned(), b"{}".to_vec()),
        ("POST", _) => (
            "application/x-www-form-urlencoded".to_owned(),
            b"a=b".to_vec(),
        ),
        _ => ("text/plain".to_owned(), Vec::new()),
    }
}

/// Asks everything of the table of a server that holds the upload `id` with a file `a.txt`: `ask`
/// sends a method to a path with a body of a type, and gives the status and the body of the answer.
#[track_caller]
pub fn meet(
    what: &str,
    reach: Reach,
    id: &str,
    ask: impl Fn(&str, &str, &str, &[u8]) -> (u16, String),
) {
    for (method, _, path, statuses) in TABLE {
        let path = path.replace("ID", id);
        let (media_type, body) = body(method, &path);
        let expected = statuses[reach as usize];
        let (status, text) = ask(method, &path, &media_type, &body);
        assert_eq!(status, expected, "{what}: {method} {path}: {text}");
        if expected >= 400 {
            let told = text.replace(&path, "");
            assert!(
                !told.contains(id),
                "{what}: {method} {path} tells of {id}: {text}"
            );
        }
    }
}

/// A server with the upload that a stranger may not find; its id.
pub fn with_upload(setup: Setup, secret: &[(&str, &str)]) -> (Server, String) {
    let server = setup.start();
    let form = Form::new()
        .text("t", "told to nobody")
        .file("f", "a.txt", b"content");
    let stored = server.post_to("/upload", &form, secret);
    assert_eq!(stored.status, 201, "{}", stored.text());
    let id = stored.json()["id"].as_str().unwrap().to_owned();
    (server, id)
}

/// The table over TCP, with this `Host`, none for the address.
#[track_caller]
fn over_tcp(what: &str, reach: Reach, server: &Server, id: &str, fields: &[(&str, &str)]) {
    meet(what, reach, id, |method, path, media_type, body| {
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

#[test]
fn on_its_own_machine_everything_is_open_but_what_changes_others_uploads() {
    let (server, id) = with_upload(Setup::new(), &[]);
    over_tcp("direct", Reach::Local, &server, &id, &[]);
    let name = format!("localhost:{}", server.address.port());
    over_tcp("by name", Reach::Local, &server, &id, &[("Host", &name)]);
}

#[test]
fn what_a_proxy_passes_to_a_server_without_settings_is_a_strangers() {
    let (server, id) = with_upload(Setup::new(), &[]);
    for fields in [
        &[("Host", "files.example")][..],
        &[("Host", "files.example:8443")],
        &[("X-Forwarded-For", "192.0.2.1")],
        &[("Host", "localhost"), ("Via", "1.1 proxy")],
        &[("Forwarded", "for=192.0.2.1")],
    ] {
        over_tcp(&format!("{fields:?}"), Reach::Closed, &server, &id, fields);
    }
    server.says("requests come by a proxy, it seems");
    assert_eq!(server.log().matches("requests come by a proxy").count(), 1);
    // The machine's own programs go on as before.
    over_tcp("direct", Reach::Local, &server, &id, &[]);
}

#[test]
fn a_server_for_others_is_closed_but_for_what_is_opened() {
    let secret = [("Authorization", "Bearer s3cret")];
    let listen = ["--listen", "0.0.0.0:0"];
    let closed = Setup::new()
        .args(&listen)
        .args(&["--access", "upload:s3cret"]);
    let (server, id) = with_upload(closed, &secret);
    over_tcp("closed", Reach::Closed, &server, &id, &[]);
    let local = [("Host", "localhost")];
    over_tcp("closed, as localhost", Reach::Closed, &server, &id, &local);
    let opened = Setup::new()
        .args(&listen)
        .args(&["--open", "--default-expires-in", "1d"]);
    let (server, id) = with_upload(opened, &[]);
    over_tcp("open", Reach::Open, &server, &id, &[]);
    server.says("everybody who reaches this server can upload");
    let (server, id) = with_upload(Setup::new().args(&listen).for_everybody(), &[]);
    over_tcp("shared", Reach::Shared, &server, &id, &[]);
    server.says("names=\"shared\"");
    for settings in [
        ["--trusted-proxies", "127.0.0.1"],
        ["--public-url", "https://files.example"],
        ["--hosts", "files.example"],
    ] {
        let setup = Setup::new()
            .args(&settings)
            .args(&["--access", "upload:s3cret"]);
        let (server, id) = with_upload(setup, &secret);
        over_tcp(
            &format!("{settings:?}"),
            Reach::Closed,
            &server,
            &id,
            &local,
        );
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
    let (server, id) = with_upload(setup, &[("Authorization", "Bearer s3cret")]);
    wait_until("the socket is there", || socket.exists());
    meet(
        "socket",
        Reach::Closed,
        &id,
        |method, path, media_type, body| by_socket(&socket, method, path, media_type, body),
    );
    over_tcp("beside the socket", Reach::Closed, &server, &id, &[]);
    drop(server);
    let (server, id) = with_upload(Setup::new().args(&both).for_everybody(), &[]);
    meet(
        "open socket",
        Reach::Shared,
        &id,
        |method, path, media_type, body| by_socket(&socket, method, path, media_type, body),
    );
    drop(server);
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
