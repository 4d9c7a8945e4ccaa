//! What an archive takes of its upload: its downloads, the CRCs of its files; and what of a file
//! that is damaged.

use std::process::Command;

use serde_json::{Value, json};

use crate::archive::{folders, manifest_of, stored};
use crate::support::{Connection, Form, Server, noise, wait_until};

fn left(server: &Server, id: &str) -> Vec<u64> {
    let record = server.get(&format!("/uploads/{id}")).json();
    let files = record["files"].as_array().unwrap().iter();
    files
        .map(|file| file["downloads_left"].as_u64().unwrap())
        .collect()
}

#[test]
fn an_archive_takes_one_use_of_each_file() {
    let server = Server::start();
    let form = Form::new().file("f", "a", b"1").file("f", "b", b"2");
    let stored = server.post_to("/upload?max_downloads=2", &form, &[]).json();
    let id = stored["id"].as_str().unwrap();
    let zip = format!("/archive/{id}.zip");
    let head = server.request("HEAD", &zip, &[], b"");
    assert_eq!(head.header("accept-ranges"), Some("none"));
    let ranged = server.request("GET", &zip, &[("Range", "bytes=0-9")], b"");
    assert_eq!(ranged.status, 200);
    assert_eq!(left(&server, id), [1, 1]);
    assert_eq!(server.get(&format!("/files/{id}/a")).status, 200);
    // One has a use left, and the other does not.
    assert_eq!(server.get(&zip).status, 404);
    assert_eq!(server.get(&format!("/archive/{id}.zip?name=b")).status, 200);
    assert_eq!(server.get(&format!("/uploads/{id}")).status, 404);
}

#[test]
fn an_archive_of_some_files_takes_one_of_each_of_these_or_none() {
    let server = Server::start();
    let big = noise(8 << 20, 3);
    let form = Form::new()
        .file("f", "a", &big)
        .file("f", "b", b"2")
        .file("f", "c", b"3");
    let stored = server.post_to("/upload?max_downloads=2", &form, &[]).json();
    let id = stored["id"].as_str().unwrap();
    let some = format!("/archive/{id}.tar?name=c&name=a");
    assert_eq!(server.get(&some).status, 200);
    assert_eq!(left(&server, id), [1, 2, 1]);
    // Both in one version of the manifest.
    assert_eq!(manifest_of(&server, id)["generation"], 2);
    // A reader that takes its time holds the last of both.
    let mut slow = Connection::open(server.address);
    slow.send(format!("GET {some} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    // They are reserved before its head goes out.
    let mut first = [0; 1];
    assert_eq!(slow.stream().peek(&mut first).unwrap(), 1);
    let file = |name: &str| format!("/files/{id}/{name}");
    for name in ["a", "c"] {
        assert_eq!(server.get(&file(name)).status, 409);
    }
    let busy = server.get(&some);
    assert_eq!(
        (busy.status, busy.code().as_str()),
        (409, "last-download-in-progress")
    );
    assert_eq!(server.get(&file("b")).status, 200);
    // A reserved use comes back, and the next download gets it.
    drop(slow);
    wait_until("they are given back", || {
        server.get(&file("c")).status == 200
    });
    assert_eq!(server.get(&some).status, 404);
    assert_eq!(left(&server, id), [1, 1, 0]);
}

/// The files of a manifest.
fn files(manifest: &Value) -> Vec<&Value> {
    let parts = manifest["parts"].as_array().unwrap().iter();
    parts.filter(|part| part["kind"] == "file").collect()
}

fn is_sound(zip: &[u8]) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it.zip");
    std::fs::write(&path, zip).unwrap();
    let tested = Command::new("unzip").arg("-tq").arg(&path).output();
    tested.unwrap().status.success()
}

/// A file that was stored without digests is read when its first ZIP file is asked for, and never
/// again.
#[test]
fn files_without_a_crc_are_read_once() {
    let server = Server::with(&["--digest", "none"]);
    let answer = server.upload(&folders());
    let id = answer["id"].as_str().unwrap();
    let token = answer["delete_token"].as_str().unwrap();
    let record = format!("/uploads/{id}");
    let version = server.get(&record).header("etag").unwrap().to_owned();
    let manifest = manifest_of(&server, id);
    assert!(!manifest.to_string().contains("crc32"), "{manifest}");
    assert_eq!(server.get(&format!("/archive/{id}.tar")).status, 200);
    let head = server.request("HEAD", &format!("/archive/{id}.zip"), &[], b"");
    let manifest = manifest_of(&server, id);
    assert!(
        !manifest.to_string().contains("crc32"),
        "HEAD reads nothing"
    );
    let zip = server.get(&format!("/archive/{id}.zip"));
    assert_eq!(zip.header("etag"), head.header("etag"));
    assert!(is_sound(&zip.body));
    let manifest = manifest_of(&server, id);
    let found = files(&manifest);
    assert!(
        found.len() == 15 && found.iter().all(|file| file["crc32"].is_u64()),
        "{manifest}"
    );
    assert_eq!(
        (&manifest["generation"], &manifest["unseen"]),
        (&json!(2), &json!(1))
    );
    let again = server.get(&format!("/archive/{id}.zip"));
    assert!(again.body == zip.body);
    // Nothing that the record shows has changed, and a client that holds its version may change it.
    let same = server.request("GET", &record, &[("If-None-Match", &version)], b"");
    assert_eq!(same.status, 304);
    let owner = [("If-Match", version.as_str()), ("Wharf-Token", token)];
    let changed = server.request("PATCH", &record, &owner, br#"{"title":"t"}"#);
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_ne!(changed.header("etag"), Some(version.as_str()));
    let late = server.request("PATCH", &record, &owner, br#"{"title":"u"}"#);
    assert_eq!(late.status, 412);
}

/// The CRCs stay in memory where the manifest cannot be written; a tar file wants none.
#[test]
fn a_file_that_is_damaged_gets_no_crc_and_keeps_no_other_from_its_own() {
    let server = Server::with(&["--digest", "none"]);
    let form = Form::new()
        .file("f", "a.bin", &noise(3 << 20, 9))
        .file("f", "b.bin", &noise(3 << 20, 8))
        .file("f", "c.bin", b"c");
    let id = stored(&server, &form);
    let lost = server.store().join(&id[..2]).join(format!("{id}-b.bin"));
    std::fs::remove_file(lost).unwrap();
    let zip = format!("/archive/{id}.zip");
    for _ in 0..2 {
        assert_eq!(server.get(&zip).status, 500);
    }
    let some = server.get(&format!("{zip}?name=a.bin&name=c.bin"));
    assert_eq!(some.status, 200);
    assert!(is_sound(&some.body));
    let manifest = manifest_of(&server, &id);
    let known = files(&manifest);
    let known: Vec<bool> = known.iter().map(|file| file["crc32"].is_u64()).collect();
    assert_eq!(known, [true, false, true]);
}

#[test]
fn a_damaged_file_breaks_its_archive() {
    let big = noise(3 << 20, 9);
    let form = Form::new()
        .file("f", "a.bin", &big)
        .file("f", "b.bin", &big)
        .file("f", "empty", b"");
    type Harm = fn(&std::path::Path);
    let cut: Harm = |file| {
        let file = std::fs::OpenOptions::new().write(true).open(file);
        file.unwrap().set_len(5).unwrap();
    };
    let lose: Harm = |file| std::fs::remove_file(file).unwrap();
    for (name, harm) in [
        ("b.bin", cut),
        ("b.bin", lose),
        ("empty", cut),
        ("empty", lose),
    ] {
        let server = Server::start();
        let id = stored(&server, &form);
        harm(&server.store().join(&id[..2]).join(format!("{id}-{name}")));
        for format in ["zip", "tar"] {
            let answer = server.get(&format!("/archive/{id}.{format}"));
            assert_eq!(answer.status, 500, "{format} without {name}");
            // An archive without that file is whole.
            let some = server.get(&format!("/archive/{id}.{format}?name=a.bin"));
            assert!(some.status == 200 && some.whole);
        }
    }
}

/// A file that is lost while its archive goes out breaks it off.
#[test]
fn an_archive_whose_file_is_lost_on_the_way_does_not_end_well() {
    let server = Server::start();
    let form =
        Form::new()
            .file("f", "a.bin", &noise(64 << 20, 9))
            .file("f", "b.bin", &noise(1 << 20, 8));
    let id = stored(&server, &form);
    for format in ["zip", "tar"] {
        let mut slow = Connection::open(server.address);
        let request = format!("GET /archive/{id}.{format} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        slow.send(request.as_bytes());
        // Its head is here, and nothing more is taken: the second file is not opened yet.
        let mut first = [0; 1];
        assert_eq!(slow.stream().peek(&mut first).unwrap(), 1);
        let file = server.store().join(&id[..2]).join(format!("{id}-b.bin"));
        let aside = server.dir().join("aside");
        std::fs::rename(&file, &aside).unwrap();
        let answer = slow.response(false);
        assert!(answer.is_none_or(|answer| !answer.whole), "{format}");
        std::fs::rename(&aside, &file).unwrap();
    }
}
