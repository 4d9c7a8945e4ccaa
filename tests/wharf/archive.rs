//! Archives: what other programs read of them, and how they resume.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::support::{Connection, Form, Server, noise};

/// A form of files with folders, without, with twins, empty, with names that need UTF-8, long ones.
fn folders() -> Form {
    let long = "long/".repeat(30) + &"n".repeat(150) + ".bin";
    Form::new()
        .text("note", "not in the archive")
        .file("f", "folder/a.txt", b"first")
        .file("f", "folder/sub/a.txt", b"second")
        .file("f", "folder/sub/a.txt", b"its twin")
        .file("f", "folder/sub", b"a file where a folder is")
        .file("f", "a.txt", &noise(100_000, 1))
        .file("f", "空/ü \u{1f6a2}.txt", "käse".as_bytes())
        .file("f", "empty.txt", b"")
        .file("f", "../../outside/../x.txt", b"below")
        .file("f", &long, b"deep")
}

/// What that form is in an archive.
fn expected() -> BTreeMap<String, Vec<u8>> {
    let long = "long/".repeat(30) + &"n".repeat(150) + ".bin";
    let files: [(&str, &[u8]); 9] = [
        ("folder/a.txt", b"first"),
        ("folder/sub/a.txt", b"second"),
        ("folder/sub/a (2).txt", b"its twin"),
        ("folder/sub (2)", b"a file where a folder is"),
        ("a.txt", &noise(100_000, 1)),
        ("空/ü \u{1f6a2}.txt", "käse".as_bytes()),
        ("empty.txt", b""),
        ("outside/x.txt", b"below"),
        (&long, b"deep"),
    ];
    let files = files.map(|(path, content)| (path.to_owned(), content.to_vec()));
    files.into()
}

fn stored(server: &Server, form: &Form) -> String {
    let answer = server.upload(form);
    answer["id"].as_str().unwrap().to_owned()
}

/// The record of an upload.
fn record_of(server: &Server, id: &str) -> serde_json::Value {
    let path = server.store().join(&id[..2]).join(format!("{id}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The files below a folder, by their paths in it.
fn below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
            found.insert(name.to_owned(), std::fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn every_reader_finds_the_files_in_their_folders() {
    let server = Server::start();
    let id = stored(&server, &folders());
    let dir = tempfile::tempdir().unwrap();
    for format in ["zip", "tar"] {
        let answer = server.get(&format!("/archive/{id}.{format}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let length = answer.header("content-length").unwrap();
        assert_eq!(length, answer.body.len().to_string());
        std::fs::write(dir.path().join(format!("it.{format}")), &answer.body).unwrap();
    }
    let readers: [(&str, &[&str]); 7] = [
        ("unzip", &["unzip", "-q", "../it.zip"]),
        ("7z", &["7z", "x", "-y", "../it.zip"]),
        ("bsdtar of zip", &["bsdtar", "-xf", "../it.zip"]),
        (
            "zipfile",
            &["python3", "-m", "zipfile", "-e", "../it.zip", "."],
        ),
        ("tar", &["tar", "-xf", "../it.tar"]),
        ("bsdtar of tar", &["bsdtar", "-xf", "../it.tar"]),
        (
            "tarfile",
            &["python3", "-m", "tarfile", "-e", "../it.tar", "."],
        ),
    ];
    for (reader, command) in readers {
        let folder = dir.path().join(reader);
        std::fs::create_dir(&folder).unwrap();
        let mut run = Command::new(command[0]);
        run.args(&command[1..])
            .current_dir(&folder)
            .env("LC_ALL", "C.UTF-8");
        let output = run.output().unwrap();
        assert!(output.status.success(), "{reader}: {output:?}");
        assert_eq!(below(&folder), expected(), "{reader}");
    }
    // Each finds all that it can complain of: the CRCs, the sizes, what is between the files.
    for command in [
        &["unzip", "-tq", "it.zip"][..],
        &["7z", "t", "it.zip"],
        &["7z", "t", "it.tar"],
    ] {
        let mut run = Command::new(command[0]);
        let output = run
            .args(&command[1..])
            .current_dir(dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && !said.contains("arning"),
            "{command:?}: {said}"
        );
    }
}

#[test]
fn an_archive_resumes_at_every_place() {
    let server = Server::start();
    let id = stored(&server, &folders());
    for format in ["zip", "tar"] {
        let path = format!("/archive/{id}.{format}");
        let whole = server.get(&path);
        let etag = whole.header("etag").unwrap();
        let head = server.request("HEAD", &path, &[], b"");
        assert_eq!(
            head.header("content-length"),
            whole.header("content-length")
        );
        assert_eq!(head.header("etag").unwrap(), etag);
        let len = whole.body.len();
        // Every place but those inside of the largest file, and some of these.
        let places = (0..len).filter(|at| *at < 2500 || len - at < 2500 || at % 9973 == 0);
        let mut connection = Connection::open(server.address);
        for at in places.step_by(7) {
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nIf-Range: {etag}\r\nRange: bytes={at}-\r\n\r\n"
            );
            connection.send(head.as_bytes());
            let rest = connection.response(false).unwrap();
            assert_eq!(rest.status, 206, "at {at}");
            assert!(rest.body == whole.body[at..], "{format} at {at}");
        }
        let middle = server.request("GET", &path, &[("Range", "bytes=10-400,2000-2999")], b"");
        assert_eq!(middle.status, 206);
        assert!(
            middle
                .header("content-type")
                .unwrap()
                .starts_with("multipart/byteranges")
        );
        let same = server.request("GET", &path, &[("If-None-Match", etag)], b"");
        assert_eq!(same.status, 304);
    }
}

#[test]
fn some_files_are_taken_by_their_names() {
    let server = Server::start();
    let id = stored(&server, &folders());
    let answer = server.get(&format!(
        "/archive/{id}.tar?name=a%20(2).txt&name=empty.txt"
    ));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("it.tar");
    std::fs::write(&archive, &answer.body).unwrap();
    let listed = Command::new("tar")
        .arg("-tf")
        .arg(&archive)
        .output()
        .unwrap();
    let names = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(names, "folder/sub/a.txt\nempty.txt\n");
    let twice = server.get(&format!("/archive/{id}.tar?name=empty.txt&name=empty.txt"));
    assert_eq!(
        (twice.status, twice.code().as_str()),
        (400, "invalid-parameter")
    );
    let none = server.get(&format!("/archive/{id}.tar?name=none"));
    assert_eq!((none.status, none.code().as_str()), (404, "file-not-found"));
    for (path, code) in [
        (format!("/archive/{id}.rar"), "no-such-route"),
        (format!("/archive/{id}"), "no-such-route"),
        (
            "/archive/00000000000000000000000000.zip".to_owned(),
            "upload-not-found",
        ),
    ] {
        let answer = server.get(&path);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, code),
            "{path}"
        );
    }
    let fields = stored(&server, &Form::new().text("a", "b"));
    assert_eq!(server.get(&format!("/archive/{fields}.zip")).status, 404);
}

#[test]
fn an_archive_takes_one_use_of_each_file() {
    let server = Server::start();
    let form = Form::new().file("f", "a", b"1").file("f", "b", b"2");
    let stored = server.post_to("/upload?max_downloads=2", &form, &[]).json();
    let id = stored["id"].as_str().unwrap();
    let zip = format!("/archive/{id}.zip");
    assert_eq!(
        server
            .request("HEAD", &zip, &[], b"")
            .header("accept-ranges"),
        Some("none")
    );
    assert_eq!(
        server
            .request("GET", &zip, &[("Range", "bytes=0-9")], b"")
            .status,
        200
    );
    assert_eq!(server.get(&format!("/files/{id}/a")).status, 200);
    // One has a use left, and the other does not.
    assert_eq!(server.get(&zip).status, 404);
    assert_eq!(server.get(&format!("/archive/{id}.zip?name=b")).status, 200);
    assert_eq!(server.get(&format!("/uploads/{id}")).status, 404);
}

/// What was stored without digests is read when its first ZIP file is asked for, and never again.
#[test]
fn files_without_a_crc_are_read_once() {
    let server = Server::with(&["--digest", "none"]);
    let id = stored(&server, &folders());
    let record = record_of(&server, &id);
    assert!(!record.to_string().contains("crc32"), "{record}");
    let tar = server.get(&format!("/archive/{id}.tar"));
    assert_eq!(tar.status, 200);
    let head = server.request("HEAD", &format!("/archive/{id}.zip"), &[], b"");
    assert!(
        !record_of(&server, &id).to_string().contains("crc32"),
        "HEAD reads nothing"
    );
    let zip = server.get(&format!("/archive/{id}.zip"));
    assert_eq!(zip.header("etag"), head.header("etag"));
    let record = record_of(&server, &id);
    let files = record["parts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|part| part["kind"] == "file");
    assert!(
        files.clone().count() == 9 && files.clone().all(|file| file["crc32"].is_u64()),
        "{record}"
    );
    let again = server.get(&format!("/archive/{id}.zip"));
    assert!(again.body == zip.body);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it.zip");
    std::fs::write(&path, &zip.body).unwrap();
    assert!(
        Command::new("unzip")
            .arg("-tq")
            .arg(&path)
            .output()
            .unwrap()
            .status
            .success()
    );
}

#[test]
fn a_damaged_file_breaks_its_archive() {
    let server = Server::start();
    let big = noise(3 << 20, 9);
    let form = Form::new()
        .file("f", "a.bin", &big)
        .file("f", "b.bin", &big);
    let id = stored(&server, &form);
    let file = server.store().join(&id[..2]).join(format!("{id}-b.bin"));
    std::fs::OpenOptions::new()
        .write(true)
        .open(file)
        .unwrap()
        .set_len(5)
        .unwrap();
    for format in ["zip", "tar"] {
        let answer = server.get(&format!("/archive/{id}.{format}"));
        assert!(
            answer.status == 500 || !answer.whole,
            "{format}: {}",
            answer.status
        );
    }
}
