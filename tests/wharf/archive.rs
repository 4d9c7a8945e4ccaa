//! Archives, as other programs read them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::support::{Form, Server, noise};

/// A form of files with folders, without, with twins, empty, with names that need UTF-8, long ones,
/// and such as no Windows makes.
pub fn folders() -> Form {
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
        .file("f", "C:\\Users\\ana\\rooted.txt", b"of another machine")
        .file("f", "con/lpt1.d./aux.txt", b"devices")
        .file("f", "a?/b|c/d<e>.txt", b"forbidden")
        .file("f", "FOLDER/A.TXT", b"another case")
        .file("f", "u\u{308}/e\u{301}.txt", b"decomposed")
        .file("f", "\u{fc}/\u{e9}.txt", b"composed")
        .file("f", &long, b"deep")
}

/// That form in an archive.
fn expected() -> BTreeMap<String, Vec<u8>> {
    let long = "long/".repeat(30) + &"n".repeat(150) + ".bin";
    let files: [(&str, &[u8]); 15] = [
        ("folder/a.txt", b"first"),
        ("folder/sub/a.txt", b"second"),
        ("folder/sub/a (2).txt", b"its twin"),
        ("folder/sub (2)", b"a file where a folder is"),
        ("a.txt", &noise(100_000, 1)),
        ("空/ü \u{1f6a2}.txt", "käse".as_bytes()),
        ("empty.txt", b""),
        ("outside/x.txt", b"below"),
        ("rooted.txt", b"of another machine"),
        ("_con/_lpt1.d/_aux.txt", b"devices"),
        ("a_/b_c/d_e_.txt", b"forbidden"),
        ("folder/A (2).TXT", b"another case"),
        ("\u{fc}/\u{e9}.txt", b"decomposed"),
        ("\u{fc}/\u{e9} (2).txt", b"composed"),
        (&long, b"deep"),
    ];
    let files = files.map(|(path, content)| (path.to_owned(), content.to_vec()));
    files.into()
}

/// Stores a form; the id.
pub fn stored(server: &Server, form: &Form) -> String {
    let answer = server.upload(form);
    answer["id"].as_str().unwrap().to_owned()
}

/// The manifest of an upload.
pub fn manifest_of(server: &Server, id: &str) -> serde_json::Value {
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
    let readers: [(&str, &[&str]); 8] = [
        ("unzip", &["unzip", "-q", "../it.zip"]),
        ("7z", &["7z", "x", "-y", "../it.zip"]),
        ("bsdtar of zip", &["bsdtar", "-xf", "../it.zip"]),
        (
            "zipfile",
            &["python3", "-m", "zipfile", "-e", "../it.zip", "."],
        ),
        ("jar", &["jar", "-xf", "../it.zip"]),
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

/// The readers of two languages say the same of each file: its time, its size, that nothing is
/// compressed, and that no other user may write it.
#[test]
fn what_an_archive_says_of_its_files_is_right() {
    const READ: &str = r#"
import io, sys, tarfile, zipfile
at = int(sys.argv[3])
import time
utc = time.gmtime(at)
names = []
with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    for it in archive.infolist():
        assert it.date_time[:5] == utc[:5] and it.date_time[5] == utc[5] // 2 * 2, it
        assert it.compress_type == zipfile.ZIP_STORED and it.file_size == it.compress_size
        assert it.external_attr >> 16 == 0o100644 and it.create_system == 3
        # The time in UTC beside it: Info-ZIP's extra field, its one.
        assert it.extra == b'UT\x05\x00\x01' + at.to_bytes(4, 'little'), it.extra
        names.append((it.filename, it.file_size))
with tarfile.open(sys.argv[2]) as archive:
    members = archive.getmembers()
    for it in members:
        assert it.isreg() and it.mtime == at and it.mode == 0o644 and it.uid == it.gid == 0, it
    assert names == [(it.name, it.size) for it in members]
print(len(names))
"#;
    let server = Server::start();
    let answer = server.upload(&folders());
    let (id, created) = (answer["id"].as_str().unwrap(), &answer["created_at"]);
    let dir = tempfile::tempdir().unwrap();
    let place = |format: &str| dir.path().join(format!("it.{format}"));
    for format in ["zip", "tar"] {
        let archive = server.get(&format!("/archive/{id}.{format}"));
        std::fs::write(place(format), &archive.body).unwrap();
    }
    let at: wharf::model::Timestamp = created.as_str().unwrap().parse().unwrap();
    let output = Command::new("python3")
        .args(["-c", READ])
        .args([place("zip"), place("tar")])
        .arg((at.as_millis() / 1000).to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), expected().len().to_string(), "{output:?}");
}

#[test]
fn an_archive_is_called_by_its_title() {
    let server = Server::start();
    for (title, name) in [
        ("Invoices%202025/2026", "Invoices 2025-2026.zip"),
        ("", ""),
        ("..%2F..", "_..-.zip"),
    ] {
        let form = Form::new().file("f", "a.txt", b"a");
        let stored = server.post_to(&format!("/upload?title={title}"), &form, &[]);
        let stored = stored.json();
        let id = stored["id"].as_str().unwrap();
        let archive = server.get(&format!("/archive/{id}.zip"));
        let said = archive.header("content-disposition").unwrap();
        let plain = match name {
            "" => format!("{id}.zip"),
            name => name.to_owned(),
        };
        assert!(
            said.starts_with("attachment; ") && said.contains(&plain),
            "{said} of {title}"
        );
        assert_eq!(archive.header("content-type"), Some("application/zip"));
        let record = format!("</uploads/{id}>; rel=\"describedby\"");
        assert_eq!(archive.header("link"), Some(record.as_str()));
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
