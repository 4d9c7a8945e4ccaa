use std::io::Read as _;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use wharf::model::Timestamp;

use crate::support::{Connection, Form, Server, noise, wait_until};

fn form() -> Form {
    Form::new().file("f", "a.txt", b"content")
}

#[test]
fn uploads_expire_and_are_removed_in_time() {
    let server = Server::start();
    let id = server.post_to("/upload?expires_in=2s", &form(), &[]).json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let start = Instant::now();
    assert_eq!(server.get("/files/a.txt").status, 200);
    wait_until("the upload is refused", || {
        server.get(&format!("/files/{id}/a.txt")).status == 404
    });
    assert!(start.elapsed() > Duration::from_millis(1500));
    wait_until("its files are removed", || server.files().is_empty());
    server.says("removed uploads that were over");
    assert_eq!(server.get("/files/a.txt").status, 404);
    assert_eq!(server.get("/uploads").json()["uploads"], json!([]));
}

#[test]
fn what_expired_while_the_server_was_off_is_removed_at_its_start() {
    let server = Server::start();
    let stored = server.post_to("/upload?expires_in=1s", &form(), &[]).json();
    let end: Timestamp = stored["expires_at"].as_str().unwrap().parse().unwrap();
    let setup = server.kill();
    wait_until("it is over", || Timestamp::from(SystemTime::now()) > end);
    let server = setup.start();
    wait_until("its files are removed", || server.files().is_empty());
}

#[test]
fn options_come_from_the_query_or_the_form() {
    let server = Server::start();
    let in_form = form()
        .text("wharf_expires_in", "1h")
        .text("wharf_max_downloads", "")
        .text("note", "kept");
    let json = server.upload(&in_form);
    assert_eq!(json["fields"], json!({"note": ["kept"]}));
    assert!(json["expires_at"].is_string() && json["max_downloads"].is_null());
    let json = server
        .post_to("/upload?expires_in=never", &in_form, &[])
        .json();
    assert!(json["expires_at"].is_null(), "the query wins");
    for (query, text) in [
        ("expires_in=0", "expires_in: \"0\""),
        ("expires_in=soon", "expires_in: \"soon\""),
        ("expires_in=-5", "expires_in: \"-5\""),
        (
            "expires_in=1h&expires_in=2h",
            "expires_in: it is given twice",
        ),
        ("max_downloads=0", "max_downloads: \"0\""),
        ("max_downloads=%2B1", "max_downloads: \"+1\""),
        ("max_downloads=many", "max_downloads: \"many\""),
    ] {
        let refused = server.post_to(&format!("/upload?{query}"), &form(), &[]);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, "invalid-option"),
            "{query}"
        );
        assert!(refused.detail().contains(text), "{}", refused.detail());
    }
    let twice = form()
        .text("wharf_expires_in", "1h")
        .text("wharf_expires_in", "2h");
    assert_eq!(server.post_to("/upload", &twice, &[]).status, 400);
    assert_eq!(server.files().len(), 4);
}

#[test]
fn the_longest_life_is_a_setting() {
    let server = Server::with(&["--max-expires-in", "1h"]);
    for query in ["expires_in=2h", "expires_in=never"] {
        let refused = server.post_to(&format!("/upload?{query}"), &form(), &[]);
        assert_eq!(refused.status, 400);
        assert!(
            refused.detail().contains("max_expires_in (1h)"),
            "{}",
            refused.detail()
        );
    }
    assert!(server.upload(&form())["expires_at"].is_string());
}

#[test]
fn limited_downloads_are_counted_and_then_gone() {
    let server = Server::start();
    let json = server
        .post_to("/upload?max_downloads=2", &form(), &[])
        .json();
    let id = json["id"].as_str().unwrap();
    let path = format!("/files/{id}/a.txt");
    let head = server.request("HEAD", &path, &[], b"");
    assert_eq!(
        (
            head.status,
            head.header("accept-ranges"),
            head.header("cache-control")
        ),
        (200, Some("none"), Some("no-store"))
    );
    let etag = head.header("etag").unwrap().to_owned();
    assert_eq!(
        server
            .request("GET", &path, &[("If-None-Match", &etag)], b"")
            .status,
        304
    );
    assert_eq!(
        server
            .request("GET", &path, &[("Range", "bytes=0-1")], b"")
            .body,
        b"content"
    );
    assert_eq!(server.get(&format!("/download/{id}")).status, 200);
    assert_eq!(server.get(&path).status, 404);
    wait_until("its files are removed", || server.files().is_empty());
}

#[test]
fn a_download_that_breaks_off_is_not_counted() {
    let server = Server::start();
    let big = Form::new().file("f", "big.bin", &noise(30_000_000, 3));
    let json = server.post_to("/upload?max_downloads=1", &big, &[]).json();
    let path = format!("/files/{}/big.bin", json["id"].as_str().unwrap());
    let mut connection = Connection::open(server.address);
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    // The first byte of the answer says that the use is taken.
    connection.stream().read_exact(&mut [0]).unwrap();
    let busy = server.get(&path);
    assert!(busy.header("retry-after").is_some());
    drop(connection);
    wait_until("the use comes back", || {
        server.request("GET", &path, &[], b"").status == 200
    });
    assert_eq!(server.get(&path).status, 404);
}

#[test]
fn a_download_that_finds_damage_is_not_counted() {
    let server = Server::start();
    let form = Form::new()
        .file("a", "a.txt", b"one")
        .file("b", "b.txt", b"two");
    let json = server.post_to("/upload?max_downloads=1", &form, &[]).json();
    let id = json["id"].as_str().unwrap();
    let second = server.store().join(&id[..2]).join(format!("{id}-b.txt"));
    std::fs::remove_file(&second).unwrap();
    let path = format!("/download/{id}");
    assert_eq!(server.get(&path).status, 500);
    std::fs::write(&second, b"two").unwrap();
    wait_until("the use comes back", || server.get(&path).status == 200);
    assert_eq!(server.get(&path).status, 404);
}

#[test]
fn uses_survive_a_kill() {
    let server = Server::start();
    let json = server
        .post_to("/upload?max_downloads=2", &form(), &[])
        .json();
    let path = format!("/files/{}/a.txt", json["id"].as_str().unwrap());
    assert_eq!(server.get(&path).status, 200);
    let server = server.kill().start();
    assert_eq!(server.get(&path).status, 200);
    assert_eq!(server.get(&path).status, 404);
}

#[test]
fn deadlines_can_be_moved() {
    let server = Server::start();
    let json = server.post_to("/upload?expires_in=1h", &form(), &[]).json();
    let path = format!("/uploads/{}", json["id"].as_str().unwrap());
    let token = format!("Bearer {}", json["delete_token"].as_str().unwrap());
    let patch = |body: &str| {
        server.request(
            "PATCH",
            &path,
            &[("Authorization", &token)],
            body.as_bytes(),
        )
    };
    assert!(
        patch("{\"expires_in\":\"never\"}").status == 400
            || patch("{\"expires_in\":\"never\"}").json()["expires_at"].is_null()
    );
    for bad in [
        "",
        "{\"expires_in\":\"x\"}",
        "{\"expires_in\":[]}",
        "{\"expires_in\":\"1h\",\"a\":1}",
    ] {
        assert_eq!(patch(bad).status, 400, "{bad}");
    }
    let stranger = server.request("PATCH", &path, &[], b"{\"expires_in\":\"1s\"}");
    assert_eq!(stranger.status, 401);
    let moved = patch("{\"expires_in\":\"1s\"}");
    assert_eq!(moved.status, 200);
    assert_eq!(
        server.get(&path).json()["expires_at"],
        moved.json()["expires_at"]
    );
    wait_until("it is removed", || server.files().is_empty());
    assert_eq!(patch("{\"expires_in\":\"1h\"}").status, 404);
}
