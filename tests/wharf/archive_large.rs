//! Archives whose numbers need more bits than the oldest fields have: the short versions of the same
//! with smaller numbers.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::archive::manifest_of;
use crate::support::{Server, Setup, large, wait_until};

/// Reads a ZIP file over HTTP by its ranges, as a program would that wants one file of it, and then
/// all of it; and the tar file as a stream.
const READ: &str = r#"
import io, sys, tarfile, urllib.request, zipfile

class Remote(io.RawIOBase):
    def __init__(self, url):
        self.url, self.at = url, 0
        head = urllib.request.urlopen(urllib.request.Request(url, method='HEAD'))
        self.size, self.tag = int(head.headers['Content-Length']), head.headers['ETag']
    def seekable(self): return True
    def readable(self): return True
    def tell(self): return self.at
    def seek(self, to, whence=0):
        self.at = to + (0, self.at, self.size)[whence]
        return self.at
    def readinto(self, into):
        end = min(self.at + len(into), self.size)
        if end <= self.at: return 0
        fields = {'Range': f'bytes={self.at}-{end - 1}', 'If-Range': self.tag}
        answer = urllib.request.urlopen(urllib.request.Request(self.url, headers=fields))
        assert answer.status == 206
        data = answer.read()
        into[:len(data)] = data
        self.at += len(data)
        return len(data)

address, files, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with zipfile.ZipFile(io.BufferedReader(Remote(address + '.zip'), 4 << 20)) as archive:
    listed = [(it.filename, it.file_size) for it in archive.infolist()]
    assert len(listed) == files and sum(size for _, size in listed) == size, (len(listed), size)
    last = archive.infolist()[-1]
    assert archive.read(last)[:4] == b'last', last
    if len(listed) < 100: assert archive.testzip() is None
with urllib.request.urlopen(address + '.tar') as stream, tarfile.open(fileobj=stream, mode='r|') as archive:
    assert listed == [(it.name, it.size) for it in archive]
"#;

#[track_caller]
fn is_read(server: &Server, id: &str, files: usize, size: u64) {
    let address = server.url(&format!("/archive/{id}"));
    let output = Command::new("python3")
        .args(["-c", READ, &address, &files.to_string(), &size.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    // Programs that read as it comes.
    for (format, read) in [
        ("zip", &["bsdtar", "-tf", "-"][..]),
        ("zip", &["jar", "-t"]),
        ("tar", &["tar", "-t"]),
        ("tar", &["bsdtar", "-tf", "-"]),
    ] {
        let script = format!(
            "set -o pipefail; curl -sS {address}.{format} | {} | wc -l",
            read.join(" ")
        );
        let output = Command::new("bash").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim(), files.to_string(), "{script}: {output:?}");
    }
    let script =
        format!("set -e; curl -sSo it.zip {address}.zip; unzip -tq it.zip; 7z t it.zip; rm it.zip");
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(server.dir())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A form of so many files in one archive.
fn many(files: usize) {
    let server = Server::with(&[
        "--max-files",
        "200000",
        "--max-fields-size",
        "32MiB",
        "--durability",
        "relaxed",
    ]);
    let (sender, mut body) = std::os::unix::net::UnixStream::pair().unwrap();
    let upload = Command::new("curl")
        .args([
            "-sS",
            "--header",
            "Content-Type: multipart/form-data; boundary=B",
        ])
        .args(["-T", "-", "-X", "POST", &server.url("/upload")])
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(sender)))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut size = 0;
    for i in 0..files {
        let content = match i + 1 == files {
            true => "last".to_owned(),
            false => i.to_string(),
        };
        size += content.len() as u64;
        let part = format!(
            "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{}/{i}.txt\"\r\n\r\n{content}\r\n",
            i / 1000
        );
        body.write_all(part.as_bytes()).unwrap();
    }
    body.write_all(b"--B--\r\n").unwrap();
    drop(body);
    let answer = upload.wait_with_output().unwrap().stdout;
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["file_count"], files, "{}", answer["detail"]);
    is_read(&server, answer["id"].as_str().unwrap(), files, size);
}

#[test]
fn an_archive_of_many_files() {
    many(2500);
}

/// More than the 65,535 that the oldest field has room for (APPNOTE 4.4.22).
#[test]
#[ignore = "a soak: takes minutes"]
fn an_archive_of_very_many_files() {
    many(70_000);
}

/// A file of a size, which is made longer in the store: it has holes where others have content. Its
/// CRC is found when its first archive is asked for.
#[test]
fn an_archive_of_a_large_file() {
    let size = large(3 << 20) + 1;
    let server = Setup::new().args(&["--digest", "none"]).start();
    let form = crate::support::Form::new()
        .file("f", "large.bin", b"first")
        .file("f", "z.txt", b"last");
    let id = server.upload(&form)["id"].as_str().unwrap().to_owned();
    let mut manifest = manifest_of(&server, &id);
    manifest["parts"][0]["size"] = size.into();
    let folder = server.store().join(&id[..2]);
    let setup = server.stop().1;
    std::fs::write(folder.join(format!("{id}.json")), manifest.to_string()).unwrap();
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(folder.join(format!("{id}-large.bin")))
        .unwrap();
    file.set_len(size).unwrap();
    assert!(setup.run(&["reindex"]).status.success());
    let server = setup.start();
    wait_until("its CRC is found", || {
        let some = [("Range", "bytes=0-99")];
        let answer = server.request("GET", &format!("/archive/{id}.zip"), &some, b"");
        assert!(matches!(answer.status, 206 | 503), "{}", answer.text());
        answer.status == 206
    });
    is_read(&server, &id, 2, size + 4);
}
