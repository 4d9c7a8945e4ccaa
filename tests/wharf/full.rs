//! A disk without a byte of room when the server starts.

use std::io::Write as _;
use std::path::Path;

use crate::support::{Connection, Form, Mounted, Server, Setup, noise, wait_until};

/// Takes all the room that there is.
fn fill(dir: &Path) {
    let mut file = std::fs::File::create(dir.join("filler")).unwrap();
    for block in [1 << 20, 4096, 1] {
        while file.write_all(&vec![7; block]).is_ok() {}
    }
}

/// A file system of this many bytes in memory, and a server that may use the last of them.
fn setup(bytes: u64) -> Option<(Mounted, Setup)> {
    let mounted = match Mounted::in_memory(bytes) {
        Ok(mounted) => mounted,
        Err(why) => {
            crate::support::say(&format!("skipped: a full disk: {}", why.trim()));
            return None;
        }
    };
    let setup = Setup::new().args(&["--min-free", "none"]);
    let setup = setup.store(&mounted.path.join("upload"));
    Some((mounted, setup))
}

fn put(server: &Server, content: &[u8]) -> u16 {
    server.request("PUT", "/files/a.txt", &[], content).status
}

#[test]
fn it_starts_and_goes_on_in_memory_until_there_is_room() {
    let Some((mounted, setup)) = setup(16 << 20) else {
        return;
    };
    let server = setup.start();
    assert_eq!((put(&server, b"older"), put(&server, b"newer")), (201, 201));
    fill(&mounted.path);
    assert_eq!(put(&server, b"refused"), 507);

    let found = |server: &Server| {
        wait_until("the name is known", || {
            server.get("/files/a.txt").text() == "newer"
        });
        assert_eq!(server.get("/readyz").status, 200);
        assert_eq!(put(server, b"refused"), 507);
        let listed = server.get("/uploads").json();
        assert_eq!(listed["uploads"].as_array().unwrap().len(), 2);
    };
    let (status, setup) = server.stop();
    assert!(status.success());
    let server = setup.start();
    server.says("the index cannot be written; it goes on in memory");
    found(&server);
    let server = server.kill().start();
    found(&server);
    let server = server.kill().start();
    found(&server);

    std::fs::remove_file(mounted.path.join("filler")).unwrap();
    wait_until("there is room", || put(&server, b"newest") == 201);
    wait_until("the index has it", || {
        server.get("/files/a.txt").text() == "newest"
    });
    // Where the file could be kept, it is whole again; else the next start makes a new one.
    let (status, setup) = server.stop();
    assert!(status.success());
    let server = setup.start();
    wait_until("the name is known", || {
        server.get("/files/a.txt").text() == "newest"
    });
    let server = server.stop().1.start();
    assert_eq!(server.get("/files/a.txt").text(), "newest");
    assert!(!server.log().contains("comparing"), "{}", server.log());
    drop(server.kill());
}

#[test]
fn an_index_that_was_whole_is_not_taken_for_whole_after_that() {
    let Some((mounted, setup)) = setup(16 << 20) else {
        return;
    };
    let server = setup.start();
    let stored = server.upload(&Form::new().file("f", "a.txt", b"a"));
    let (id, token) = (&stored["id"], stored["delete_token"].as_str().unwrap());
    let (status, setup) = server.stop();
    assert!(status.success());
    fill(&mounted.path);
    let server = setup.start();
    // The part of the index on the disk still knows it.
    let path = format!("/uploads/{}", id.as_str().unwrap());
    let bearer = format!("Bearer {token}");
    let deleted = server.request("DELETE", &path, &[("Authorization", &bearer)], b"");
    assert_eq!(deleted.status, 204, "{}", deleted.text());
    let server = server.kill().start();
    wait_until("the index is complete", || {
        server.get("/files/a.txt").status == 404
    });
    let listed = server.get("/uploads").json();
    assert_eq!(listed["uploads"], serde_json::json!([]));
    drop(server.kill());
}

#[test]
fn a_download_that_cannot_be_counted_is_refused_before_its_first_byte() {
    let Some((mounted, setup)) = setup(48 << 20) else {
        return;
    };
    let server = setup.start();
    let content = noise(16 << 20, 5);
    let form = Form::new().file("f", "large.bin", &content);
    let stored = server.post_to("/upload?max_downloads=3", &form, &[]).json();
    let id = stored["id"].as_str().unwrap();
    let (file, record) = (format!("/files/{id}/large.bin"), format!("/uploads/{id}"));
    let left = || server.get(&record).json()["downloads_left"].clone();
    let filler = mounted.path.join("filler");

    fill(&mounted.path);
    for path in [&file, &format!("/download/{id}")] {
        let refused = server.get(path);
        assert_eq!(refused.status, 507, "{path}");
        assert_eq!(refused.code(), "no-space");
    }
    assert_eq!(left(), 3);

    // Two are under way when the disk becomes full: each keeps what it needs.
    std::fs::remove_file(&filler).unwrap();
    let mut under_way = [(); 2].map(|()| Connection::open(server.address));
    for download in &mut under_way {
        let get = format!("GET {file} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        download.send(get.as_bytes());
    }
    wait_until("they have their room", || server.staged() == 2);
    fill(&mounted.path);
    for download in &mut under_way {
        let whole = download.response(false).expect("all of it");
        assert_eq!(whole.status, 200);
        assert!(whole.body == content);
    }
    wait_until("it is counted", || left() == 1);
    // One that breaks off leaves nothing of its room.
    std::fs::remove_file(&filler).unwrap();
    let mut broken = Connection::open(server.address);
    broken.send(format!("GET {file} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    wait_until("it has its room", || server.staged() == 1);
    drop(broken);
    wait_until("its room is let go", || server.staged() == 0);
    assert_eq!(left(), 1);
    drop(server.kill());
}
