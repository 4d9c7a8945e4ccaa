//! The causes, each met as a client meets it.

use serde_json::{Value, json};

use super::{Codes, Given, small};
use crate::openapi::recorded;
use crate::slow::over_http_2;
use crate::support::{
    Connection, Far, Form, Redis, Server, Setup, Unread, noise, sha256, wait_until,
};

pub fn records() -> Codes {
    let server = Server::start();
    let stored = server.upload(&small());
    let (id, token) = (
        stored["id"].as_str().unwrap(),
        stored["delete_token"].as_str().unwrap(),
    );
    let mut given = Given::by(&server);
    let bearer = format!("Bearer {token}");
    let patch = |body: &str| {
        let path = format!("/uploads/{id}");
        server.request(
            "PATCH",
            &path,
            &[("Authorization", &bearer)],
            body.as_bytes(),
        )
    };
    let allowed = ["expires_in", "expires_at", "max_downloads", "title"];
    let unknown = json!({"option": "expires", "allowed": allowed});
    given.take(&patch("{\"expires\": 1}"), 400, "unknown-option", unknown);
    given.take(&patch("{"), 400, "invalid-json", json!({}));
    let option = json!({"option": "expires_in"});
    given.take(
        &patch("{\"expires_in\": []}"),
        400,
        "invalid-option",
        option.clone(),
    );
    given.take(
        &patch("{\"expires_in\": \"soon\"}"),
        400,
        "invalid-option",
        option,
    );
    let large = format!("{{\"expires_in\": \"{}\"}}", "7".repeat(20_000));
    given.take(
        &patch(&large),
        413,
        "limit-exceeded",
        json!({"limit": 16384}),
    );

    let mut get = |path: &str, status, code, members| {
        given.take(&server.get(path), status, code, members);
    };
    get(
        "/uploads?limit=0",
        400,
        "invalid-parameter",
        json!({"field": "limit", "limit": 1000}),
    );
    let twice = json!({"field": "name", "name": "a.txt"});
    get(
        "/download?name=a.txt&name=a.txt",
        400,
        "invalid-parameter",
        twice,
    );
    get(
        "/download",
        400,
        "invalid-parameter",
        json!({"field": "name", "limit": 100}),
    );
    get(
        "/uploads?after=x",
        400,
        "invalid-cursor",
        json!({"field": "after"}),
    );
    get("/files/%ff", 400, "malformed-request", json!({}));
    let none = "0c8r9v3k0000000000000000zz";
    for path in ["/uploads/{}", "/files/{}/a.txt", "/download/{}"] {
        let name = json!({"name": none});
        get(&path.replace("{}", none), 404, "upload-not-found", name);
    }
    get(
        &format!("/files/{id}/b"),
        404,
        "file-not-found",
        json!({"name": "b"}),
    );
    get(
        "/download?name=a.txt&name=c",
        404,
        "name-not-found",
        json!({"name": "c"}),
    );
    get("/nowhere", 404, "no-such-route", json!({}));
    get("/problems/teapot", 404, "no-such-route", json!({}));

    // A client with another token is told no more than one that names another id.
    let forged = server.request(
        "DELETE",
        &format!("/uploads/{id}"),
        &[("Authorization", "Bearer x")],
        b"",
    );
    given.take(&forged, 404, "upload-not-found", json!({"name": id}));
    given.codes
}

pub fn heads() -> Codes {
    let server = Server::start();
    server.upload(&small());
    let mut given = Given::by(&server);
    let ask = |method: &str, path: &str, headers: &[(&str, &str)]| {
        server.request(method, path, headers, b"")
    };
    let method = ask("GET", "/upload", &[]);
    given.take(
        &method,
        405,
        "method-not-allowed",
        json!({"allowed": ["POST"]}),
    );
    let matched = ask("GET", "/files/a.txt", &[("If-Match", "\"x\"")]);
    given.take(&matched, 412, "precondition-failed", json!({}));
    let range = ask("GET", "/files/a.txt", &[("Range", "bytes=99-")]);
    given.take(&range, 416, "range-not-satisfiable", json!({"limit": 7}));
    let foreign = ask("POST", "/upload", &[("Sec-Fetch-Site", "cross-site")]);
    given.take(
        &foreign,
        403,
        "cross-site",
        json!({"setting": "cors_origin"}),
    );
    let host = format!("evil.example:{}", server.address.port());
    let wrong = ask("GET", "/", &[("Host", &host)]);
    given.take(
        &wrong,
        421,
        "wrong-host",
        json!({"setting": "hosts", "name": host}),
    );
    let no_host = ask("GET", "/", &[("Host", "a b")]);
    given.take(&no_host, 400, "malformed-request", json!({"field": "host"}));
    let part = ask("PUT", "/files/a", &[("Content-Range", "bytes 0-1/2")]);
    given.take(
        &part,
        400,
        "malformed-request",
        json!({"field": "content-range"}),
    );
    let text = ask("POST", "/upload", &[("Content-Type", "text/plain")]);
    let allowed = json!({"allowed": ["multipart/form-data"]});
    given.take(&text, 415, "unsupported-media-type", allowed);
    let coded = ask("PUT", "/files/a", &[("Content-Encoding", "gzip")]);
    let identity = json!({"field": "content-encoding", "actual": "gzip", "allowed": ["identity"]});
    given.take(&coded, 415, "unsupported-coding", identity);
    let mut connection = Connection::open(server.address);
    connection.send(b"PUT /files/b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n");
    let chunked = json!({"field": "transfer-encoding", "actual": "gzip", "allowed": ["chunked"]});
    given.take(
        &connection.response(false).unwrap(),
        501,
        "unsupported-coding",
        chunked,
    );
    let mut connection = Connection::open(server.address);
    connection.send(b"PUT /files/c HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\nrubbish\r\n");
    given.take(
        &connection.response(false).unwrap(),
        400,
        "body-incomplete",
        json!({}),
    );
    given.codes
}

pub fn forms() -> Codes {
    let server = Server::with(&[
        "--max-file-size",
        "100",
        "--max-expires-in",
        "1h",
        "--idle-timeout",
        "1s",
        "--max-total-size",
        "40KiB",
    ]);
    let mut given = Given::by(&server);
    let post = |query: &str, form: &Form| server.post_to(&format!("/upload{query}"), form, &[]);
    let longest = json!({"option": "expires_in", "setting": "max_expires_in", "limit": 3600});
    given.take(
        &post("?expires_in=2h", &small()),
        400,
        "invalid-option",
        longest,
    );
    let large = Form::new()
        .text("a", "b")
        .file("photo", "a", &noise(101, 1));
    let limit = json!({"setting": "max_file_size", "limit": 100, "part": 2, "field": "photo"});
    given.take(&post("", &large), 413, "limit-exceeded", limit);
    let announced = server.request("PUT", "/files/a", &[], &noise(101, 1));
    let limit = json!({"setting": "max_file_size", "limit": 100});
    given.take(&announced, 413, "limit-exceeded", limit);
    let malformed = post("", &Form::new().text("a", "b").part("X: y", b"c"));
    given.take(
        &malformed,
        400,
        "malformed-form",
        json!({"part": 2, "byte": malformed.json()["byte"]}),
    );
    assert!(malformed.json()["byte"].as_u64().unwrap() > 60);

    let digest = |value: &str| {
        let head =
            format!("Content-Disposition: form-data; name=f; filename=a\r\nRepr-Digest: {value}");
        post("", &Form::new().part(&head, b"hello"))
    };
    let place = json!({"part": 1, "field": "f"});
    given.take(&digest("sha-256=nonsense"), 400, "invalid-digest", place);
    let of_nothing = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    let mismatch = json!({
        "part": 1, "field": "f",
        "expected": sha256(b""), "actual": sha256(b"hello"),
    });
    given.take(&digest(of_nothing), 400, "digest-mismatch", mismatch);
    let put = server.request(
        "PUT",
        "/files/a",
        &[("Content-Digest", "sha-256=x")],
        b"hello",
    );
    given.take(
        &put,
        400,
        "invalid-digest",
        json!({"field": "content-digest"}),
    );

    let mut stalled = Connection::announcing(server.address, &small());
    let idle = json!({"setting": "idle_timeout", "limit": 1});
    given.take(&stalled.response(false).unwrap(), 408, "body-stalled", idle);
    for _ in 0..4 {
        server.upload(&small());
    }
    wait_until("all that may be stored is stored", || {
        let full = post("", &small());
        let stored = full.status == 201;
        if !stored {
            let cap = json!({"setting": "max_total_size", "limit": 40960});
            given.take(&full, 507, "quota-exceeded", cap);
        }
        !stored
    });
    given.codes
}

pub fn scopes() -> Codes {
    let server = Server::with(&[
        "--access",
        "upload:up",
        "--access",
        "download:down",
        "--access",
        "admin:root",
    ]);
    let mut given = Given::by(&server);
    let get = |secret: &str| {
        let bearer = format!("Bearer {secret}");
        let headers = [("Authorization", bearer.as_str())];
        let headers = if secret.is_empty() { &[][..] } else { &headers };
        server.request("GET", "/files/a.txt", headers, b"")
    };
    let scope = json!({"scope": "download"});
    given.take(&get(""), 401, "missing-secret", scope.clone());
    given.take(&get("rubbish"), 401, "bad-secret", scope.clone());
    given.take(&get("up"), 403, "missing-scope", scope);
    given.codes
}

pub fn crowds() -> Codes {
    let server = Server::with(&["--max-uploads", "1"]);
    let mut given = Given::by(&server);
    let big = Form::new().file("f", "big.bin", &noise(8 << 20, 1));
    let stored = server.post_to("/upload?max_downloads=1", &big, &[]).json();
    let id = stored["id"].as_str().unwrap();
    let path = format!("/files/{id}/big.bin");
    let prefetch = server.request("GET", &path, &[("Sec-Purpose", "prefetch")], b"");
    given.take(&prefetch, 503, "prefetch-refused", json!({}));
    let mut last = Connection::open(server.address);
    last.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    let mut first = [0];
    std::io::Read::read_exact(&mut last.stream(), &mut first).unwrap();
    given.take(
        &server.get(&path),
        409,
        "last-download-in-progress",
        json!({"name": id}),
    );
    drop(last);

    let mut under_way = Connection::announcing(server.address, &small());
    let second = server.post_to("/upload", &small(), &[]);
    let places = json!({"setting": "max_uploads", "limit": 1});
    given.take(&second, 503, "too-many-uploads", places);
    under_way.send(&small().body());
    assert_eq!(under_way.response(false).unwrap().status, 201);

    // A server that ends takes no connection any more; one of HTTP/2 that is there may ask on.
    let mut connection = Unread::open(server.address);
    connection.put("/files/slow.bin");
    wait_until("the upload is under way", || {
        server.metric("wharf_uploads_in_progress") == 1.0
    });
    server.signal(15);
    server.says("SIGTERM: ending");
    connection.get("/readyz", 1);
    let said = connection.until("shutting down\"}");
    let document = &said[said.find("{\"type\"").unwrap()..=said.rfind('}').unwrap()];
    let document = serde_json::from_str(document).unwrap();
    given.document(&document, 503, "shutting-down", json!({}));
    given.codes
}

pub fn answers() -> Codes {
    let server = Server::start();
    let mut given = Given::by(&server);
    server.upload(&Form::new().file("f", "big.bin", &noise(16 << 20, 4)));
    let unread: Vec<Unread> = (0..20)
        .map(|_| {
            let mut unread = Unread::open(server.address);
            unread.get("/files/big.bin", 100);
            unread
        })
        .collect();
    // All of them have what they can have.
    server.most_anonymous();
    let said = over_http_2(&server, "answered", "/files/big.bin");
    let said: Value = serde_json::from_str(&said).unwrap();
    given.document(&said, 503, "too-many-downloads", json!({}));
    assert!(said["retry_after"].as_u64().unwrap() >= 5);
    drop(unread);
    given.codes
}

pub fn components() -> Codes {
    let mut redis = Redis::start();
    let server = Setup::new().args(&["--redis", &redis.url()]).start();
    let mut given = Given::by(&server);
    redis.kill();
    wait_until("the index is away", || server.get("/readyz").status == 503);
    for path in ["/readyz", "/files/a.txt", "/uploads"] {
        given.take(&server.get(path), 503, "index-unavailable", json!({}));
    }
    let mut codes = given.codes;

    let server = Setup::new().args(&["--min-free", "1000TiB"]).start();
    let mut given = Given::by(&server);
    given.take(
        &server.post_to("/upload", &small(), &[]),
        507,
        "no-space",
        json!({}),
    );
    codes.append(&mut given.codes);

    let server = Server::start();
    let mut given = Given::by(&server);
    server.upload(&Form::new().file("f", "long.txt", &noise(100_000, 3)));
    let files = server.files();
    let name = files
        .iter()
        .find(|name| name.ends_with("long.txt"))
        .unwrap();
    let file = server.store().join(&name[..2]).join(name);
    std::fs::OpenOptions::new()
        .write(true)
        .open(file)
        .unwrap()
        .set_len(10)
        .unwrap();
    let damaged = server.get("/files/long.txt");
    given.take(&damaged, 500, "internal", json!({}));
    let id = damaged.header("x-request-id").unwrap();
    assert_eq!(damaged.detail(), format!("request {id}"));
    server.says(id);
    std::fs::rename(server.store(), server.dir().join("moved")).unwrap();
    wait_until("the folder is missed", || {
        server.get("/readyz").status == 503
    });
    let away = server.post_to("/upload", &small(), &[]);
    given.take(&away, 503, "storage-unavailable", json!({}));
    codes.append(&mut given.codes);
    codes
}

/// A disk that stands still while the files of an upload are read for its ZIP file.
pub fn archives() -> Codes {
    let Some(far) = Far::mount() else {
        // A problem that cannot be met here is taken as it was recorded elsewhere.
        let code = "archive-preparing";
        return Codes::from([(
            code.to_owned(),
            recorded::known("problems.json")[code].clone(),
        )]);
    };
    let server = Setup::new()
        .store(&far.path)
        .args(&["--digest", "none"])
        .start();
    let mut given = Given::by(&server);
    let stored = server.upload(&small());
    let id = stored["id"].as_str().unwrap();
    let path = format!("/archive/{id}.zip");
    // The record is known.
    assert_eq!(server.request("HEAD", &path, &[], b"").status, 200);
    far.stand_still();
    let waits = server.get(&path);
    far.go_on();
    given.take(&waits, 503, "archive-preparing", json!({"name": id}));
    wait_until("it is read", || server.get(&path).status == 200);
    given.codes
}
