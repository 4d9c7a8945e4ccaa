//! Archives under hostile names, hostile readers, and changes of their upload meanwhile.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use crate::archive::{folders, manifest_of, stored};
use crate::support::{Connection, Form, Response, Server, noise, wait_until};

/// Files whose names should lead out of a folder, or be no name somewhere.
fn hostile() -> Form {
    let long = "n".repeat(255);
    let names = [
        "../../../../tmp/wharf-attacked",
        "..\\..\\evil.txt",
        "/etc/cron.d/evil",
        "C:evil.txt",
        "C:\\Windows\\evil.txt",
        "\\\\\\\\server\\\\share\\\\evil.txt",
        "a/../../b/./c.txt",
        "CON",
        "d/nul.txt",
        "d/COM\u{b9}.log",
        "d/conin$",
        "dots./name...",
        "spaces /name .  ",
        "stream:ads/file.txt:Zone.Identifier",
        "quote%22d/na%22me%0D%0A.txt",
        "-rf/--help",
        "~/x",
        "case/a.txt",
        "CASE/A.TXT",
        "ſtraße/ß.txt",
        "STRASSE/SS.TXT",
        "case",
        "rlo\u{202e}gpj.exe",
        "zero\u{200b}width/\u{feff}x",
        "esc\u{1b}[2J/bell\u{7}.txt",
        "...",
        "..",
        ".",
        ".hidden/.git/config",
        &format!("{long}/{long}.txt"),
        &format!("{}{long}", "deep/".repeat(60)),
    ];
    let form = names
        .iter()
        .enumerate()
        .fold(Form::new(), |form, (i, name)| {
            form.file("f", name, i.to_string().as_bytes())
        });
    form.part(
        "Content-Disposition: form-data; name=\"f\"; filename*=UTF-8''a%00b%2Fc%00%2F..%2Fd",
        b"nul",
    )
}

/// Whether a path is one on every system (Microsoft, "Naming Files, Paths, and Namespaces").
fn is_plain(path: &str) -> bool {
    path.split('/').all(|name| {
        let stem = name.split('.').next().unwrap().trim_end().to_lowercase();
        let port = |kind: &str| {
            let number = stem.strip_prefix(kind);
            number.is_some_and(|number| number.chars().count() == 1)
        };
        let device = ["con", "prn", "aux", "nul", "conin$", "conout$"].contains(&stem.as_str());
        !name.is_empty()
            && name.len() <= 255
            && !name.starts_with('.')
            && !name.ends_with(['.', ' '])
            && !name.contains(|c: char| c.is_control() || "<>:\"|?*\\".contains(c))
            && !(device || port("com") || port("lpt"))
    })
}

#[test]
fn no_name_leads_out_of_the_folder_or_is_none_on_windows() {
    const LIST: &str = r#"
import sys, tarfile, zipfile
names = zipfile.ZipFile(sys.argv[1]).namelist()
assert names == tarfile.open(sys.argv[2]).getnames()
sys.stdout.buffer.write('\0'.join(names).encode())
"#;
    let server = Server::start();
    let id = stored(&server, &hostile());
    let dir = tempfile::tempdir().unwrap();
    for format in ["zip", "tar"] {
        let archive = server.get(&format!("/archive/{id}.{format}"));
        assert_eq!(archive.status, 200, "{}", archive.text());
        std::fs::write(dir.path().join(format!("it.{format}")), &archive.body).unwrap();
    }
    let listed = Command::new("python3")
        .args(["-c", LIST, "it.zip", "it.tar"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let names = String::from_utf8(listed.stdout).unwrap();
    let names: Vec<&str> = names.split('\0').collect();
    assert_eq!(names.len(), 32, "{names:?}");
    let folded: HashSet<String> = names.iter().map(|name| name.to_uppercase()).collect();
    assert_eq!(folded.len(), names.len(), "{names:?}");
    for name in &names {
        assert!(is_plain(name), "{name:?}");
        // No file has the name of another's folder.
        let folder = format!("{}/", name.to_uppercase());
        assert!(!folded.iter().any(|other| other.starts_with(&folder)));
    }
    assert!(names.contains(&"quote_d/na_me.txt"), "{names:?}");
    let record = server.get(&format!("/uploads/{id}")).json();
    let paths = record["files"].as_array().unwrap().iter();
    let paths: Vec<&str> = paths.map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, names);
    for (reader, command) in [
        ("unzip", &["unzip", "-q", "../it.zip"][..]),
        ("7z", &["7z", "x", "-y", "../it.zip"]),
        ("bsdtar", &["bsdtar", "-xf", "../it.zip"]),
        ("tar", &["tar", "-xf", "../it.tar"]),
    ] {
        let folder = dir.path().join(reader);
        std::fs::create_dir(&folder).unwrap();
        let mut run = Command::new(command[0]);
        run.args(&command[1..])
            .current_dir(&folder)
            .env("LC_ALL", "C.UTF-8");
        let output = run.output().unwrap();
        assert!(output.status.success(), "{reader}: {output:?}");
        for (i, name) in names.iter().enumerate().take(31) {
            let content = std::fs::read(folder.join(name)).unwrap();
            assert_eq!(content, i.to_string().as_bytes(), "{reader}: {name}");
        }
    }
    assert!(!std::path::Path::new("/tmp/wharf-attacked").exists());
}

fn ask(server: &Server, path: &str, fields: &str) -> Connection {
    let mut connection = Connection::open(server.address);
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    connection.send(request.as_bytes());
    connection
}

/// Waits for the beginning of an answer, and leaves it where it is.
fn begins(connection: &Connection) {
    let mut first = [0; 1];
    assert_eq!(connection.stream().peek(&mut first).unwrap(), 1);
}

#[test]
fn a_thousand_ranges_at_once_are_each_its_own() {
    const READERS: usize = 1000;
    let server = Server::with(&["--max-connections", "2000"]);
    let id = stored(&server, &folders());
    let path = format!("/archive/{id}.zip");
    let whole = server.get(&path);
    let (len, etag) = (whole.body.len(), whole.header("etag").unwrap());
    let range = |i: usize| {
        let from = i * 7919 % len;
        (from, len.min(from + 1 + i * 31 % 5000))
    };
    let mut readers: Vec<Connection> = (0..READERS)
        .map(|i| {
            let (from, to) = range(i);
            let last = to - 1;
            let fields = format!("If-Range: {etag}\r\nRange: bytes={from}-{last}\r\n");
            ask(&server, &path, &fields)
        })
        .collect();
    for (i, reader) in readers.iter_mut().enumerate() {
        let (from, to) = range(i);
        let answer = reader.response(false).unwrap();
        assert_eq!(answer.status, 206);
        assert!(answer.body == whole.body[from..to], "{from} to {to}");
    }
}

#[test]
fn a_reader_of_single_bytes_gets_them_all() {
    let server = Server::start();
    let form = Form::new()
        .file("f", "a/b", b"1")
        .file("f", "c", &noise(3000, 2));
    let id = stored(&server, &form);
    for format in ["zip", "tar"] {
        let path = format!("/archive/{id}.{format}");
        let whole = server.get(&path).body;
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_nodelay(true).unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        for byte in request.bytes() {
            stream.write_all(&[byte]).unwrap();
        }
        let mut read = Vec::new();
        let mut byte = [0; 1];
        while stream.read(&mut byte).unwrap() == 1 {
            read.push(byte[0]);
        }
        assert!(read.ends_with(&whole), "{format}");
    }
}

#[test]
fn ranges_of_another_version_are_the_whole() {
    let server = Server::start();
    let (id, other) = (stored(&server, &folders()), stored(&server, &folders()));
    let etag = |path: &str| {
        let head = server.request("HEAD", path, &[], b"");
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        head.header("etag").unwrap().to_owned()
    };
    let zip = format!("/archive/{id}.zip");
    let some = format!("{zip}?name=empty.txt&name=rooted.txt");
    let others = [
        etag(&format!("/archive/{id}.tar")),
        etag(&format!("/archive/{other}.zip")),
        etag(&format!("/download/{id}")),
        etag(&some),
        format!("W/{}", etag(&zip)),
        "Sat, 29 Oct 1994 19:43:31 GMT".to_owned(),
    ];
    let distinct: HashSet<&String> = others.iter().collect();
    assert_eq!(distinct.len(), others.len());
    let whole = server.get(&zip);
    let ranged = |path: &str, range: &str, validator: &str| -> Response {
        let fields = [("Range", range), ("If-Range", validator)];
        server.request("GET", path, &fields, b"")
    };
    for validator in &others {
        let answer = ranged(&zip, "bytes=5-9", validator);
        assert_eq!(answer.status, 200, "{validator}");
        assert!(answer.body == whole.body);
    }
    let own = etag(&zip);
    assert_eq!(ranged(&zip, "bytes=5-9", &own).body, &whole.body[5..10]);
    // The same files in another order are the same archive.
    let turned = format!("{zip}?name=rooted.txt&name=empty.txt");
    assert_eq!(etag(&turned), etag(&some));
    let len = whole.body.len();
    for (range, status) in [
        (format!("bytes={len}-"), 416),
        ("bytes=-0".to_owned(), 416),
        (format!("bytes=0-{len}"), 206),
        ("bytes=5-2".to_owned(), 200),
        ("bytes=0-9,5-20".to_owned(), 200),
        ("lines=1-2".to_owned(), 200),
        (format!("bytes={}", vec!["0-0"; 17].join(",")), 200),
        (format!("bytes=0-0,{}-,-1", len - 2), 200),
        (format!("bytes=0-0,{}-{},-1", len - 9, len - 5), 206),
    ] {
        let answer = server.request("GET", &zip, &[("Range", &range)], b"");
        assert_eq!(answer.status, status, "{range}");
        assert!(answer.whole, "{range}");
        let head = server.request("HEAD", &zip, &[("Range", &range)], b"");
        assert_eq!(head.status, 200, "{range}");
    }
}

/// Two files, of which the second is opened long after a reader that stands still has the first.
fn two(server: &Server, query: &str) -> (String, String) {
    let form =
        Form::new()
            .file("f", "a.bin", &noise(64 << 20, 9))
            .file("f", "b.bin", &noise(1 << 20, 8));
    let stored = server
        .post_to(&format!("/upload{query}"), &form, &[])
        .json();
    let word = |name: &str| stored[name].as_str().unwrap().to_owned();
    (word("id"), word("delete_token"))
}

#[test]
fn what_is_removed_meanwhile_does_not_end_well() {
    let server = Server::start();
    for format in ["zip", "tar"] {
        let (id, token) = two(&server, "");
        let mut reader = ask(&server, &format!("/archive/{id}.{format}"), "");
        begins(&reader);
        let token = [("Wharf-Token", token.as_str())];
        let deleted = server.request("DELETE", &format!("/uploads/{id}"), &token, b"");
        assert_eq!(deleted.status, 204);
        let answer = reader.response(false);
        assert!(answer.is_none_or(|answer| !answer.whole), "{format}");
        let gone = server.get(&format!("/archive/{id}.{format}"));
        assert_eq!(gone.status, 404);
        // People may remove what is theirs at any time: no error of the server.
        server.says(&format!("broke off: there is no upload \"{id}\" any more"));
    }
    assert!(!server.log().contains("ERROR"), "{}", server.log());
    let (id, _) = two(&server, "?expires_in=8s");
    let mut reader = ask(&server, &format!("/archive/{id}.zip"), "");
    begins(&reader);
    wait_until("it is removed", || server.files() == [""; 0]);
    let answer = reader.response(false);
    assert!(answer.is_none_or(|answer| !answer.whole));
}

#[test]
fn what_is_changed_meanwhile_goes_on() {
    let server = Server::start();
    let (id, token) = two(&server, "");
    let path = format!("/archive/{id}.zip");
    let whole = server.get(&path);
    let mut reader = ask(&server, &path, "");
    begins(&reader);
    let token = [("Wharf-Token", token.as_str())];
    let change = br#"{"title": "other", "expires_in": "7d", "max_downloads": 5}"#;
    let changed = server.request("PATCH", &format!("/uploads/{id}"), &token, change);
    assert_eq!(changed.status, 200, "{}", changed.text());
    let answer = reader.response(false).unwrap();
    assert!(answer.whole && answer.body == whole.body);
    assert_eq!(answer.header("etag"), whole.header("etag"));
    // It was no download of those that are counted from now on.
    let left = &server.get(&format!("/uploads/{id}")).json()["downloads_left"];
    assert_eq!(left, 5);
    let again = server.get(&path);
    assert!(again.body == whole.body && again.header("etag") == whole.header("etag"));
}

/// Readers that leave give the uses back, as often as they come.
#[test]
fn readers_that_leave_use_nothing_up() {
    let server = Server::start();
    let (id, _) = two(&server, "?max_downloads=1");
    let path = format!("/archive/{id}.zip");
    for _ in 0..20 {
        let mut left = None;
        wait_until("the last one is given back", || {
            let reader = ask(&server, &path, "");
            begins(&reader);
            let mut head = [0; 12];
            reader.stream().read_exact(&mut head).unwrap();
            left = Some(reader);
            head.ends_with(b"200")
        });
        drop(left);
    }
    wait_until("it is whole", || {
        let answer = server.get(&path);
        answer.status == 200 && answer.whole
    });
    assert_eq!(server.get(&path).status, 404);
}

/// The CRCs of what was stored without: they are found for a reader that has gone, and a server that
/// ends meanwhile leaves nothing half done.
#[test]
fn crcs_are_found_for_readers_that_left_and_beside_an_end() {
    let server = Server::with(&["--digest", "none"]);
    let (id, _) = two(&server, "");
    let path = format!("/archive/{id}.zip");
    let has_crcs = |server: &Server| manifest_of(server, &id).to_string().contains("crc32");
    for _ in 0..50 {
        drop(ask(&server, &path, ""));
    }
    let reader = ask(&server, &path, "");
    let (status, setup) = server.stop();
    assert!(status.success(), "{status}");
    drop(reader);
    let server = setup.start();
    drop(ask(&server, &path, ""));
    wait_until("they are found", || has_crcs(&server));
    let zip = server.get(&path);
    assert!(zip.status == 200 && zip.whole);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("it.zip"), &zip.body).unwrap();
    let tested = Command::new("unzip")
        .args(["-tq", "it.zip"])
        .current_dir(dir.path())
        .output();
    assert!(tested.unwrap().status.success());
}
