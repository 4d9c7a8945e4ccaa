//! Requests that two programs could read differently: their host, and codings of their bodies.

use std::net::TcpStream;

use crate::support::{Connection, Form, Server, Setup, TlsProxy, Unread, wait_until};

fn form() -> Form {
    Form::new().file("f", "a.txt", b"some text")
}

/// The status of a request with these bytes, over a connection of its own.
fn raw(server: &Server, head: &str) -> u16 {
    let mut connection = Connection::open(server.address);
    connection.send(head.as_bytes());
    connection.response(false).unwrap().status
}

#[test]
fn a_request_has_one_host() {
    let server = Server::start();
    for (hosts, status) in [
        ("", 400),
        ("Host: a\r\nHost: b\r\n", 400),
        ("Host: a\r\nHost: a\r\n", 400),
        ("Host:\r\n", 400),
        ("Host: a b\r\n", 400),
        ("Host: user@a\r\n", 400),
        ("Host: a/b\r\n", 400),
        ("Host: a:b\r\n", 400),
        ("Host: localhost\r\n", 200),
        ("Host: [::1]:80\r\n", 200),
    ] {
        assert_eq!(
            raw(&server, &format!("GET / HTTP/1.1\r\n{hosts}\r\n")),
            status,
            "{hosts:?}"
        );
    }
    // Before HTTP/1.1 there need be none, as in the requests of probes of proxies.
    assert_eq!(raw(&server, "GET /readyz HTTP/1.0\r\n\r\n"), 200);
    assert_eq!(raw(&server, "OPTIONS /readyz HTTP/1.0\r\n\r\n"), 204);
}

#[test]
fn a_request_for_a_user_at_a_host_is_for_none() {
    let server = Server::start();
    for target in ["http://user@localhost/", "http://user:word@localhost:80/"] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(raw(&server, &request), 400, "{target}");
    }
    let whole = "GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(raw(&server, whole), 200);
}

#[test]
fn a_request_over_http2_has_one_host() {
    let server = Server::start();
    // `:method: GET`, `:scheme: http` and `:path: /` of the static table, then fields as they are
    // (RFC 7541 section 6.2.2): `:authority`, or `host`.
    let (authority, host) = (&b"\x01"[..], &b"\x0f\x17"[..]);
    for (fields, said) in [
        (&[][..], "neither :authority nor Host"),
        (&[(authority, "user@localhost")], "is no host"),
        (&[(host, "user@localhost")], "is none"),
        (&[(authority, "localhost"), (host, "localhost:1")], "differ"),
        (&[(authority, "localhost")], "<html"),
        (&[(host, "localhost")], "<html"),
    ] {
        let mut head = b"\x82\x86\x84".to_vec();
        for (name, value) in fields {
            head.extend_from_slice(name);
            head.push(u8::try_from(value.len()).unwrap());
            head.extend_from_slice(value.as_bytes());
        }
        let mut client = Unread::open(server.address);
        client.ask(&head);
        let answer = client.until(said);
        assert_eq!(
            said != "<html",
            answer.contains("malformed-request"),
            "{fields:?}"
        );
    }
}

#[test]
fn a_name_that_was_rebound_to_this_machine_is_refused() {
    let server = Server::start();
    let port = server.address.port();
    let get = |host: &str, path: &str| server.request("GET", path, &[("Host", host)], b"");
    let rebound = format!("evil.example:{port}");
    let refused = get(&rebound, "/");
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (421, "wrong-host")
    );
    for setting in ["hosts", "public_url", "trusted_proxies"] {
        assert!(refused.detail().contains(setting), "{}", refused.detail());
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(&rebound, path).status, 200, "{path}");
    }
    let machine = rustix::system::uname();
    let machine = machine.nodename().to_str().unwrap();
    for host in ["localhost", "a.localhost", "127.0.0.2", "[::1]", machine] {
        assert_eq!(get(&format!("{host}:{port}"), "/").status, 200, "{host}");
    }
    // A proxy passes on its own name and port, or the name of an upstream.
    for host in ["files.example", "files.example:8443", "upstream"] {
        assert_eq!(get(host, "/").status, 200, "{host}");
    }
    for setting in [
        ["--public-url", "https://files.example"],
        ["--trusted-proxies", "10.0.0.1"],
        ["--listen", "0.0.0.0:0"],
    ] {
        let server = Server::for_everybody(&setting);
        let host = format!("evil.example:{}", server.address.port());
        let answer = server.request("GET", "/", &[("Host", &host)], b"");
        assert_eq!(answer.status, 200, "{setting:?}");
    }
}

#[test]
fn hosts_that_are_set_are_served_and_no_others() {
    let server = Server::for_everybody(&[
        "--hosts",
        "files.example",
        "--hosts",
        "*.example.org",
        "--public-url",
        "https://public.example",
        "--base-path",
        "/w",
    ]);
    let status = |host: &str, path: &str| {
        let answer = server.request("GET", path, &[("Host", host)], b"");
        answer.status
    };
    for host in [
        "files.example",
        "FILES.example:9",
        "a.example.org",
        "public.example",
        "localhost",
    ] {
        assert_eq!(status(host, "/w/"), 200, "{host}");
    }
    for host in ["example.org", "other.example", "10.0.0.1"] {
        assert_eq!(status(host, "/w/"), 421, "{host}");
        assert_eq!(status(host, "/w/healthz"), 200, "{host}");
    }
    let refused = Setup::new().args(&["--hosts", "a:80"]).run(&["config"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("hosts") && said.contains("a:80"),
        "{said}"
    );
}

#[test]
fn a_coded_body_is_not_stored_as_if_it_were_the_file() {
    let server = Server::start();
    for coding in ["gzip", "identity, br", "GZIP"] {
        let headers = [("Content-Encoding", coding)];
        let put = server.request("PUT", "/files/a.gz", &headers, b"coded");
        assert_eq!(
            (put.status, put.header("accept-encoding")),
            (415, Some("identity"))
        );
        assert!(
            put.detail()
                .contains(coding.split(' ').next_back().unwrap()),
            "{}",
            put.detail()
        );
        assert_eq!(server.post_to("/upload", &form(), &headers).status, 415);
    }
    let plain = [("Content-Encoding", "identity")];
    assert_eq!(
        server.request("PUT", "/files/a.txt", &plain, b"x").status,
        201
    );
    let coded = "PUT /files/b.txt HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n\
                 3\r\nabc\r\n0\r\n\r\n";
    assert_eq!(raw(&server, coded), 501);
    assert_eq!(raw(&server, &coded.replace("gzip, ", "")), 201);
    assert_eq!(server.get("/files/a.gz").status, 404);
}

#[test]
fn chunked_is_applied_once() {
    let server = Server::start();
    for fields in [
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: Chunked,,CHUNKED\r\n",
    ] {
        let mut connection = Connection::open(server.address);
        let request = format!(
            "PUT /files/a.txt HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n3\r\nabc\r\n0\r\n\r\n"
        );
        connection.send(request.as_bytes());
        let refused = connection.response(false).unwrap();
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, "malformed-request")
        );
        assert_eq!(refused.json()["field"], "transfer-encoding");
        // The bytes that follow on it could be read as two things.
        assert!(connection.is_closed(), "{fields:?}");
    }
    assert_eq!(server.get("/files/a.txt").status, 404);
}

#[test]
fn what_may_be_done_at_an_address_is_said() {
    let server = Server::start();
    for (path, allowed) in [
        ("/upload", &["POST", "OPTIONS"][..]),
        ("/files/a.txt", &["GET", "HEAD", "PUT", "OPTIONS"]),
        ("/uploads/x", &["GET", "HEAD", "DELETE", "PATCH", "OPTIONS"]),
    ] {
        let answer = server.request("OPTIONS", path, &[], b"");
        let mut said: Vec<&str> = answer.header("allow").unwrap().split(',').collect();
        let mut allowed = allowed.to_vec();
        said.sort_unstable();
        allowed.sort_unstable();
        assert_eq!((answer.status, said), (204, allowed), "{path}");
    }
    let said = |path: &str, field: &str| {
        let answer = server.request("OPTIONS", path, &[], b"");
        answer.header(field).map(str::to_owned)
    };
    let of_form = Some("multipart/form-data".to_owned());
    assert_eq!(said("/upload", "accept-post"), of_form);
    assert_eq!(said("/upload", "accept-patch"), None);
    assert_eq!(said("/files", "accept-post").as_deref(), Some("*/*"));
    let patch = said("/uploads/x", "accept-patch");
    let taken = "application/merge-patch+json, application/json";
    assert_eq!(patch.as_deref(), Some(taken));
    assert_eq!(said("/uploads/x", "accept-post"), None);
    // Of the server as a whole (RFC 9110 section 9.3.7).
    assert!(said("*", "allow").unwrap().contains("PATCH"));
    assert_eq!(server.request("OPTIONS", "/none", &[], b"").status, 404);
    assert_eq!(server.post_to("/upload/", &form(), &[]).status, 201);
    for (path, status) in [("/files/dir/a.txt", 405), ("/files/a/b/c.txt", 404)] {
        let put = server.request("PUT", path, &[], b"x");
        assert_eq!(put.status, status);
        let detail = put.detail();
        assert!(detail.contains("/files/NAME?path=a/b"), "{detail}");
    }
}

#[test]
fn sites_can_be_named_by_what_they_lie_below() {
    let server = Server::with(&[
        "--cors-origin",
        "https://*.example.com",
        "--cors-origin",
        "capacitor://localhost",
    ]);
    for (origin, allowed) in [
        ("https://app.example.com", true),
        ("capacitor://localhost", true),
        ("https://example.com", false),
        ("http://app.example.com", false),
    ] {
        let answer = server.request("GET", "/healthz", &[("Origin", origin)], b"");
        let echoed = answer.header("access-control-allow-origin");
        assert_eq!(echoed, allowed.then_some(origin), "{origin}");
        let posted = server
            .post_to("/upload", &form(), &[("Origin", origin)])
            .status;
        assert_eq!(posted, if allowed { 201 } else { 403 }, "{origin}");
    }
}

#[test]
fn a_client_behind_caddy_is_not_believed() {
    let server = Server::for_everybody(&["--trusted-proxies", "127.0.0.1"]);
    let caddy = TlsProxy::caddy(&server);
    wait_until("the proxy listens", || {
        TcpStream::connect(caddy.address).is_ok()
    });
    std::fs::write(server.dir().join("a.txt"), "a").unwrap();
    let url = format!("https://{}/upload", caddy.address);
    let forged = "Forwarded: for=6.6.6.6;host=evil.example;proto=http";
    let json = server.curl(&["-k", "-H", forged, "--form", "f=@a.txt", &url]);
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let own = format!("https://{}/", caddy.address);
    assert!(json["url"].as_str().unwrap().starts_with(&own), "{json}");
    server.says("POST /upload 201");
    assert!(!server.log().contains("6.6.6.6"), "{}", server.log());
}
