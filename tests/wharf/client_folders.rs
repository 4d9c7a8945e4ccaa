//! Folders, up and down, and archives.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use crate::support::{
    Cutter, Form, Server, Setup, Wharf, end_of, entries, noise, soak, wait_until,
};

fn below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path
                .strip_prefix(folder)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            found.insert(name, std::fs::read(&path).unwrap());
        }
    }
    found
}

fn write(path: impl AsRef<Path>, content: &[u8]) {
    let path = path.as_ref();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// A server, and a folder beside its store with files in folders.
fn photos() -> (Server, BTreeMap<String, Vec<u8>>) {
    let server = Server::start();
    let root = server.dir().join("photos");
    write(root.join("2026/may/a.jpg"), &noise(300_000, 1));
    write(root.join("2026/b \"1\".jpg"), b"b");
    write(root.join("2025/a.jpg"), b"");
    write(root.join("\u{fc}ber.txt"), "\u{fc}".as_bytes());
    let expected = below(server.dir()).into_iter();
    let expected = expected
        .filter(|(path, _)| path.starts_with("photos/"))
        .map(|(path, content)| {
            // As the server would store it: Windows forbids the quote.
            (path.replace('"', "_"), content)
        });
    let expected = expected.collect();
    (server, expected)
}

#[test]
fn a_folder_arrives_as_a_folder() {
    let (server, expected) = photos();
    let said = Wharf::of(&server).done(&["put", "-r", "photos", "--print", "id"]);
    let id = said.trim_end();
    let record = server.get(&format!("/uploads/{id}")).json();
    let paths: Vec<&str> = record["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    let order = [
        "photos/2025/a.jpg",
        "photos/2026/b _1_.jpg",
        "photos/2026/may/a.jpg",
        "photos/\u{fc}ber.txt",
    ];
    assert_eq!(paths, order);
    let out = Wharf::of(&server).done(&["get", id, "-d", "out"]);
    let lines: Vec<String> = order.iter().map(|path| format!("out/{path}")).collect();
    assert_eq!(out.lines().collect::<Vec<_>>(), lines);
    assert_eq!(below(&server.dir().join("out")), expected);
    Wharf::of(&server).done(&["get", id, "-d", "flat", "--flat"]);
    let names = entries(&server.dir().join("flat"));
    assert_eq!(names, ["a (2).jpg", "a.jpg", "b _1_.jpg", "\u{fc}ber.txt"]);
    // Nothing is replaced, and files that are there stay; other files arrive beside them.
    write(server.dir().join("out/photos/2025/a.jpg"), b"mine");
    std::fs::remove_file(server.dir().join("out/photos/2026/may/a.jpg")).unwrap();
    let said = Wharf::of(&server).run(&["get", id, "-d", "out"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(3), "out/photos/2026/may/a.jpg\n")
    );
    assert_eq!(said.err.matches("exists already").count(), 3, "{said:?}");
    assert_eq!(
        std::fs::read(server.dir().join("out/photos/2025/a.jpg")).unwrap(),
        b"mine"
    );
    Wharf::of(&server).done(&["get", id, "-d", "out", "-f"]);
    assert_eq!(below(&server.dir().join("out")), expected);
    let inside = Wharf::at(&server.dir().join("photos/2026")).env("WHARF_URL", &server.url(""));
    let upload = inside.run(&["put", "-r", ".", "--json"]).json();
    assert_eq!(upload["files"][1]["path"], "may/a.jpg");
}

#[test]
fn what_is_no_file_is_left_out_and_said() {
    let (server, _) = photos();
    let root = server.dir().join("photos");
    symlink("/etc/passwd", root.join("link")).unwrap();
    symlink("..", root.join("2026/up")).unwrap();
    write(root.join("2026/.DS_Store"), b"x");
    write(root.join("Thumbs.db"), b"x");
    std::fs::create_dir(root.join("none")).unwrap();
    server.run("mkfifo", &["photos/pipe"]);
    let odd = root.join(OsStr::from_bytes(b"caf\xe9.txt"));
    write(odd, b"latin");
    let said = Wharf::of(&server).run(&["put", "-r", "photos", "photos/link"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for line in [
        "left out are symbolic links, which are not followed: photos/2026/up, photos/link\n",
        "left out are pipes, sockets and devices: photos/pipe\n",
        "left out are files of file managers: photos/2026/.DS_Store, photos/Thumbs.db\n",
        "left out are folders without anything in them: photos/none\n",
    ] {
        assert!(said.err.contains(line), "{said:?}");
    }
    let id = said.out.trim_end().rsplit(' ').next().unwrap();
    let record = server.get(&format!("/uploads/{id}")).json();
    // A path that is named itself is sent, link or not.
    assert_eq!(record["file_count"], 6);
    assert_eq!(record["files"][5]["path"], "link");
    assert_eq!(record["files"][3]["path"], "photos/caf\u{fffd}.txt");
    let nothing = Wharf::of(&server).run(&["put", "-r", "photos/none"]);
    assert_eq!(nothing.code, Some(2), "{nothing:?}");
    assert!(nothing.err.contains("no file"), "{nothing:?}");
    let plain = Wharf::of(&server).run(&["put", "photos"]);
    assert_eq!(plain.code, Some(1));
    assert!(
        plain.err.contains("photos is a directory: -r sends it"),
        "{plain:?}"
    );
    let named = Wharf::of(&server).run(&["put", "-r", "photos", "--name", "x"]);
    assert_eq!(named.code, Some(2), "{named:?}");
}

#[test]
fn what_cannot_be_read_is_named_before_anything_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("it");
    for name in ["a", "secret", "z/secret"] {
        write(root.join(name), b"x");
    }
    std::fs::create_dir(root.join("closed")).unwrap();
    let mode = |path: &str, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(root.join(path), mode).unwrap();
    };
    for path in ["secret", "z/secret", "closed"] {
        mode(path, 0);
    }
    for path in [dir.path(), &root, &root.join("z")] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let user = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let wharf = Wharf::under(&user, dir.path()).env("WHARF_URL", "http://127.0.0.1:1");
    let said = wharf.run(&["put", "-r", "it"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let expected = "cannot be read: it/closed, it/secret, it/z/secret: Permission denied";
    assert!(said.err.contains(expected), "{said:?}");
}

#[test]
fn what_changes_in_a_folder_meanwhile_breaks_the_upload() {
    type Change = fn(&Path);
    let changes: [(Change, &str); 3] = [
        (
            |file| std::fs::remove_file(file).unwrap(),
            "it/b: No such file",
        ),
        (
            |file| std::fs::write(file, "longer").unwrap(),
            "it/b changed while it was being read",
        ),
        (
            |file| {
                std::fs::remove_file(file).unwrap();
                symlink("/etc/passwd", file).unwrap();
            },
            "it/b changed while it was being read: another file has taken its place",
        ),
    ];
    for (change, expected) in changes {
        let server = Server::start();
        let file = server.dir().join("it/b");
        write(&file, b"b");
        // The file that is read first holds the rest up.
        let path = Cutter::to(server.address, &[]);
        let wharf = Wharf::at(server.dir()).env("WHARF_URL", &path.url());
        let mut child = wharf.spawn(&["put", "-r", "-", "it"]);
        wait_until("the request is under way", || !path.heads().is_empty());
        change(&file);
        drop(child.stdin.take());
        let said = end_of(child);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.err.contains(expected), "{said:?}");
        assert_eq!(server.files(), [""; 0]);
    }
}

/// More files than a process may have open, and no memory for their contents or heads.
#[test]
fn many_files_are_opened_one_by_one() {
    let count = if soak() { 70_000 } else { 3000 };
    let server = Setup::new()
        .args(&["--max-files", "100000", "--durability", "relaxed"])
        .start();
    for number in 0..count {
        let path = server
            .dir()
            .join(format!("it/{}/{number}.txt", number / 1000));
        if number % 1000 == 0 {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        std::fs::write(path, number.to_string()).unwrap();
    }
    let run = |args: &[&str]| {
        let limits = ["prlimit", "--nofile=32:32", "/usr/bin/time", "-v"];
        let wharf = Wharf::under(&limits, server.dir()).env("WHARF_URL", &server.url(""));
        let said = wharf.run(args);
        assert_eq!(said.code, Some(0), "{said:?}");
        let line = said
            .err
            .lines()
            .find(|line| line.contains("Maximum resident set size"));
        let kib: usize = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        (said.out, kib)
    };
    std::fs::write(server.dir().join("one"), "1").unwrap();
    let (_, own) = run(&["put", "-q", "one"]);
    let (out, kib) = run(&["put", "-r", "it", "--print", "id"]);
    // The client keeps a file's name, where it is, and the server's answer on it.
    let most = own + 4096 + 4 * count;
    assert!(kib < most, "{kib} KiB for {count} files, {own} for one");
    let (_, kib) = run(&["get", "-q", out.trim_end(), "-d", "out"]);
    assert!(kib < most, "{kib} KiB for {count} files, {own} for one");
    let (there, back) = (server.dir().join("it"), server.dir().join("out/it"));
    assert!(below(&there) == below(&back));
}

/// Its answer to every request is this form.
fn hostile(names: &[&str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let parts = names.iter().map(|name| {
        format!("--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\n\r\n{name}\r\n")
    });
    let form = parts.collect::<String>() + "--B--\r\n";
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 8192]);
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=B";
            let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{form}", form.len());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn a_hostile_server_writes_nothing_outside() {
    let root = tempfile::tempdir().unwrap();
    let (dir, outside) = (root.path().join("a/b"), root.path().join("outside"));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::create_dir(&outside).unwrap();
    write(outside.join("victim"), b"untouched");
    // Links that lie in the folder already, to outside and to inside.
    symlink(&outside, dir.join("out")).unwrap();
    symlink("../../outside", dir.join("relative")).unwrap();
    symlink(".", dir.join("here")).unwrap();
    write(dir.join("file"), b"mine");
    let deep = "d/".repeat(500) + "deep.txt";
    let names = [
        "../../outside/victim",
        "..\\\\..\\\\outside\\\\victim",
        "/tmp/wharf-hostile/x",
        "C:\\\\Windows\\\\x.ini",
        "c:x",
        "\\\\\\\\server\\\\share\\\\y",
        "w/./../../z.txt",
        "esc\u{1b}[2J/n.txt",
        "con/aux.txt",
        "ab:stream/s.txt",
        "out/victim",
        "out/new",
        "relative/new",
        "here/new",
        "file/below",
        "ok/.ssh/key",
        "e//f.txt",
        &deep,
    ];
    let url = hostile(&names);
    for force in [&[][..], &["--force"]] {
        let wharf = Wharf::at(root.path()).env("WHARF_URL", &url);
        let said = wharf.run(&[&["get", "x", "-d", "a/b", "--retries", "0"], force].concat());
        assert_eq!(said.code, Some(3), "{said:?}");
        for (path, count) in [
            ("a/b/out", 2),
            ("a/b/relative", 1),
            ("a/b/here", 1),
            ("a/b/file", 1),
        ] {
            let line =
                format!("wharf: {path} is a link or a file: what is to lie in it is not written\n");
            assert_eq!(said.err.matches(&line).count(), count, "{said:?}");
        }
        assert_eq!(
            below(&outside).into_iter().collect::<Vec<_>>(),
            [("victim".to_owned(), b"untouched".to_vec())]
        );
        assert_eq!(entries(root.path()), ["a", "outside"]);
        assert_eq!(entries(&root.path().join("a")), ["b"]);
        assert_eq!(std::fs::read(dir.join("file")).unwrap(), b"mine");
        let found: Vec<String> = below(&dir).into_keys().collect();
        let deep = "d/".repeat(32) + "deep.txt";
        for path in [
            "e/f.txt",
            "_con/_aux.txt",
            "ab_stream/s.txt",
            "esc[2J/n.txt",
            "ok/_.ssh/key",
            "w/z.txt",
            &deep,
        ] {
            assert!(
                found.iter().any(|known| known == path),
                "{path} in {found:?}"
            );
        }
        assert!(!Path::new("/tmp/wharf-hostile").exists());
        assert!(
            found.iter().all(|path| !path.contains(".part")),
            "{found:?}"
        );
    }
}

#[test]
fn an_upload_comes_as_an_archive_and_goes_on_where_it_broke() {
    let (server, expected) = photos();
    let id = Wharf::of(&server).done(&["put", "-r", "photos", "--print", "id"]);
    let id = id.trim_end();
    let total = server.get(&format!("/archive/{id}.zip")).body.len();
    let cutter = Cutter::to(server.address, &[2000, 100_000, total - 102_000]);
    let wharf = Wharf::at(server.dir()).env("WHARF_URL", &cutter.url());
    let said = wharf.run(&["get", id, "--zip", "-o", "all.zip"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "all.zip\n"),
        "{said:?}"
    );
    let ranges = cutter.heads();
    assert!(
        ranges
            .iter()
            .filter(|head| head.contains("if-range: \""))
            .count()
            >= 2,
        "{ranges:?}"
    );
    server.run("unzip", &["-q", "all.zip", "-d", "unzipped"]);
    assert_eq!(below(&server.dir().join("unzipped")), expected);

    let said = Wharf::of(&server).run(&["get", id, "--tar", "--json"]);
    let name = format!("{id}.tar");
    let (path, size) = (&said.json()["path"], &said.json()["size"]);
    assert_eq!(
        (path.as_str(), said.json()["verified"].as_bool()),
        (Some(name.as_str()), Some(false))
    );
    assert_eq!(
        size.as_u64(),
        Some(server.dir().join(&name).metadata().unwrap().len())
    );
    std::fs::create_dir(server.dir().join("untarred")).unwrap();
    server.run("tar", &["-xf", &name, "-C", "untarred"]);
    assert_eq!(below(&server.dir().join("untarred")), expected);

    let piped = Wharf::of(&server).run(&[
        "get",
        &server.url(&format!("/uploads/{id}")),
        "--zip",
        "-o",
        "-",
    ]);
    assert!(piped.bytes == std::fs::read(server.dir().join("all.zip")).unwrap());
    for (args, code, part) in [
        (
            &[id, "--zip", "-o", "all.zip"][..],
            1,
            "all.zip exists already (--force replaces it)",
        ),
        (&[id, "--tar"], 1, "exists already"),
        (&[id, id, "--zip"], 2, "the files of one upload"),
        (
            &[&format!("{id}/a.jpg"), "--zip"],
            2,
            "the files of one upload",
        ),
        (&["nonsense", "--zip"], 5, "nonsense"),
        (&[id, "--zip", "--tar"], 2, "cannot be used with"),
    ] {
        let said = Wharf::of(&server).run(&[&["get"], args].concat());
        assert_eq!(said.code, Some(code), "{args:?}: {said:?}");
        assert!(said.err.contains(part), "{args:?}: {said:?}");
    }
    Wharf::of(&server).done(&["get", id, "--tar", "-f"]);
}

#[test]
fn an_archive_of_limited_downloads_takes_one_of_each() {
    let server = Server::start();
    let form = Form::new().file("f", "a", b"1").file("f", "b", b"2");
    let stored = server.post_to("/upload?max_downloads=2", &form, &[]).json();
    let id = stored["id"].as_str().unwrap();
    write(server.dir().join("there.zip"), b"mine");
    let said = Wharf::of(&server).run(&["get", id, "--zip", "-o", "there.zip"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    for left in [1, 0] {
        Wharf::of(&server).done(&["get", id, "--zip", "-f"]);
        let record = server.get(&format!("/uploads/{id}"));
        match left {
            0 => assert_eq!(record.status, 404),
            left => assert_eq!(record.json()["downloads_left"], left),
        }
    }
    let output = Command::new("unzip")
        .args(["-tq", &format!("{id}.zip")])
        .current_dir(server.dir())
        .output();
    assert!(output.unwrap().status.success());
}
