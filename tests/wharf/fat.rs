//! File systems without hard links: FAT and exFAT, by the kernel's drivers and by one that is a
//! program, and file systems as bare, by errors that strace(1) injects.

use std::path::Path;

use serde_json::Value;

use crate::support::{
    Form, Mounted, Redis, Server, Setup, as_root, noise, request, say, wait_until,
};

/// The warning there, at the start and in `/status`.
const WARNING: &str = "the file system has no hard links, as FAT and exFAT have none";

/// Bytes of a disk.
const SIZE: u64 = 64 << 20;

/// A file system, as mount(8) calls it, and the program that makes one.
struct Bare {
    kind: &'static str,
    options: &'static str,
    make: &'static str,
}

const VFAT: Bare = Bare {
    kind: "vfat",
    options: "utf8=1",
    make: "mkfs.vfat",
};
const EXFAT: Bare = Bare {
    kind: "exfat",
    options: "",
    make: "mkfs.exfat",
};
const EXFAT_FUSE: Bare = Bare {
    kind: "exfat-fuse",
    options: "",
    make: "mkfs.exfat",
};

impl Bare {
    /// One on a disk of its own; what is missing for it is printed.
    fn mounted(&self, dir: &Path) -> Option<Mounted> {
        let image = dir.join(self.kind);
        let file = std::fs::File::create(&image).unwrap();
        file.set_len(SIZE).unwrap();
        let made = as_root(self.make).arg(&image).output();
        let mounted = match made {
            Ok(made) if made.status.success() => {
                // FAT knows no owners: all is of the user who runs the server.
                let user = rustix::process::geteuid();
                let options = format!("uid={user},{}", self.options);
                Mounted::new(self.kind, options.trim_end_matches(','), &image)
            }
            Ok(made) => Err(String::from_utf8_lossy(&made.stderr).into_owned()),
            Err(error) => Err(format!("{}: {error}", self.make)),
        };
        match mounted {
            Ok(mounted) => Some(mounted),
            Err(why) => {
                say(&format!(
                    "skipped: uploads on {}: {}",
                    self.kind,
                    why.trim()
                ));
                None
            }
        }
    }
}

/// Names that FAT folds, shortens or refuses, as clients send them.
fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "a.txt",
        "A.TXT",
        "a.txt",
        "stra\u{df}e",
        "STRASSE",
        "caf\u{e9}.txt",
        "CAFE\u{301}.TXT",
        "\u{1f600}\u{4e2d}.bin",
        "what? \\\"12:30\\\" <a|b> *.txt",
        "dots and spaces. . .",
        " .hidden",
        "con",
        "LPT1.txt",
        "longname~1.txt",
        "no extension",
        "+,;=[].txt",
        "%41.txt",
    ]
    .map(str::to_owned)
    .into();
    names.push("\u{1f600}".repeat(300));
    names.push(format!("{}.tar.gz", "x".repeat(300)));
    names
}

/// Downloads what was uploaded, under the names that the answer has.
#[track_caller]
fn check(server: &Server, upload: &Value, contents: &[Vec<u8>]) {
    let id = upload["id"].as_str().unwrap();
    let files = upload["files"].as_array().unwrap();
    assert_eq!(files.len(), contents.len());
    let stored = server.get(&format!("/uploads/{id}")).json();
    for (at, content) in contents.iter().enumerate() {
        let (name, url) = (&files[at]["name"], files[at]["url"].as_str().unwrap());
        assert_eq!(stored["files"][at]["name"], *name);
        let path = url.splitn(4, '/').nth(3).unwrap();
        let got = request(server.address, "GET", &format!("/{path}"), &[], b"");
        assert_eq!(got.status, 200, "{name}: {}", got.text());
        assert!(got.body == *content, "{name}");
        // People see in the folder the files that they were told of.
        let file = format!("{id}-{}", name.as_str().unwrap());
        assert!(server.files().contains(&file), "{file}");
    }
}

/// Does all that can be done with uploads, over a stop and a kill.
#[track_caller]
fn stores(setup: Setup) {
    let server = setup.start();
    assert_eq!(server.get("/readyz").status, 200);
    let told = server.get("/status").json();
    assert!(told["warning"].as_str().unwrap().contains(WARNING));
    server.says(WARNING);
    assert_eq!(server.lines(WARNING).len(), 1);
    let names = names();
    let mut contents: Vec<Vec<u8>> = (0..names.len())
        .map(|at| format!("file {at}").into())
        .collect();
    contents[1] = noise(700_000, 7);
    let mut form = Form::new().text("field", "value");
    for (name, content) in names.iter().zip(&contents) {
        form = form.file("f", name, content);
    }
    let upload = server.upload(&form);
    check(&server, &upload, &contents);

    let path = |upload: &Value| format!("/uploads/{}", upload["id"].as_str().unwrap());
    let owner = |upload: &Value| format!("Bearer {}", upload["delete_token"].as_str().unwrap());
    let token = owner(&upload);
    let headers = [("Authorization", token.as_str())];
    let prolonged = server.request("PATCH", &path(&upload), &headers, br#"{"expires_in":"1h"}"#);
    assert_eq!(prolonged.status, 200, "{}", prolonged.text());
    let expires = server.get(&path(&upload)).json()["expires_at"].clone();
    assert!(expires.is_string(), "{expires}");

    let small = Form::new().file("f", "once.txt", b"once");
    let once = server
        .post_to("/upload?max_downloads=1", &small, &[])
        .json();
    let download = format!("/download/{}", once["id"].as_str().unwrap());
    assert_eq!(server.get(&download).status, 200);
    assert_ne!(server.get(&download).status, 200);

    let removed = server.upload(&small);
    let token = owner(&removed);
    let headers = [("Authorization", token.as_str())];
    let gone = server.request("DELETE", &path(&removed), &headers, b"");
    assert_eq!(gone.status, 204, "{}", gone.text());
    assert_eq!(server.get(&path(&removed)).status, 404);
    let id = removed["id"].as_str().unwrap();
    assert!(!server.files().iter().any(|file| file.contains(id)));
    assert_eq!(server.staged(), 0);

    let (status, setup) = server.stop();
    assert!(status.success());
    let server = setup.start();
    check(&server, &upload, &contents);
    let setup = server.kill();
    let server = setup.start();
    check(&server, &upload, &contents);
    assert_eq!(server.get(&path(&upload)).json()["expires_at"], expires);
    assert_eq!(server.get(&path(&removed)).status, 404);
    server.upload(&form);
    assert_eq!(server.get("/readyz").status, 200);
}

#[test]
fn fat_and_exfat_hold_uploads() {
    for bare in [VFAT, EXFAT, EXFAT_FUSE] {
        let dir = tempfile::tempdir().unwrap();
        let Some(disk) = bare.mounted(dir.path()) else {
            continue;
        };
        let setup = || {
            let setup = Setup::new().store(&disk.path.join("upload"));
            setup.args(&["--min-free", "none"])
        };
        stores(setup());
        std::fs::remove_dir_all(disk.path.join("upload")).unwrap();
        stores(setup().args(&["--durability", "relaxed"]));
    }
}

#[test]
fn names_that_a_mount_refuses_are_told_at_the_start() {
    const REFUSES: &str = "refuses file names";
    let ascii = Bare {
        options: "utf8=0,iocharset=ascii",
        ..VFAT
    };
    for (bare, refuses) in [(ascii, true), (VFAT, false)] {
        let dir = tempfile::tempdir().unwrap();
        let Some(disk) = bare.mounted(dir.path()) else {
            return;
        };
        let setup = Setup::new().store(&disk.path.join("upload"));
        let server = setup.args(&["--min-free", "none"]).start();
        server.upload(&Form::new().file("f", "a.txt", b"x"));
        assert_eq!(server.log().contains(REFUSES), refuses);
        let wide = Form::new().file("f", "\u{e9}\u{4e2d}.txt", b"x");
        let status = server.post_to("/upload", &wide, &[]).status;
        assert_eq!(status, if refuses { 500 } else { 201 });
        assert_eq!(server.get("/readyz").status, 200);
        assert_eq!(server.staged(), 0);
    }
}

/// A server whose system calls fail from its start on; strace(1) says which.
fn failing(faults: &[&str]) -> Setup {
    let mut under = vec!["strace", "-D", "-f", "-qq", "-o", "/dev/null"];
    under.extend(["-e", "trace=linkat,renameat2"]);
    for fault in faults {
        under.extend(["-e", fault]);
    }
    Setup::new().under(&under)
}

const NO_LINKS: &str = "inject=linkat:error=EPERM";
const NO_FLAGS: &str = "inject=renameat2:error=EINVAL";

#[test]
fn a_file_system_without_links_holds_uploads() {
    stores(failing(&[NO_LINKS]));
}

#[test]
fn one_without_links_and_flags_of_a_rename_holds_those_of_one_server() {
    stores(failing(&[NO_LINKS, NO_FLAGS]));
}

#[test]
fn one_without_links_and_flags_of_a_rename_is_not_shared() {
    let shared = |redis: &Redis, faults| failing(faults).args(&["--redis", &redis.url()]);
    let redis = Redis::start();
    let Err(log) = shared(&redis, &[NO_LINKS, NO_FLAGS]).try_start() else {
        panic!("it starts");
    };
    assert!(log.contains("cannot be shared by several servers"), "{log}");
    assert!(log.contains("RENAME_NOREPLACE"), "{log}");
    // One of both is enough, and the trials of a start leave nothing.
    for (faults, warned) in [([NO_LINKS].as_slice(), true), (&[NO_FLAGS], false)] {
        let redis = Redis::start();
        let server = shared(&redis, faults).start();
        wait_until("it is ready", || server.get("/readyz").status == 200);
        let upload = server.upload(&Form::new().file("f", "a.txt", b"x"));
        check(&server, &upload, &[b"x".to_vec()]);
        assert_eq!(server.get("/status").json()["warning"].is_string(), warned);
        assert_eq!(server.staged(), 0);
    }
}

#[test]
fn what_is_no_fat_has_no_warning() {
    let server = Server::start();
    assert!(server.get("/status").json()["warning"].is_null());
    assert_eq!(server.staged(), 0);
    assert!(!server.log().contains(WARNING));
}
