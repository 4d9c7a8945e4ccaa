//! The users that may read and write stored files: by the umask.

use std::path::Path;
use std::process::Command;

use crate::support::{Form, Setup, WHARF, noise, say};

/// Two users that have one group in common.
const USERS: [&str; 2] = ["54321", "54322"];
const GROUP: &str = "54320";

/// A server with this umask, run by these programs.
fn with_umask(umask: &str, under: &[&str]) -> Setup {
    let shell = format!("umask {umask}; exec \"$@\"");
    let shell = ["sh", "-c", &shell, "sh"];
    Setup::new().under(&[under, &shell].concat())
}

fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The modes of all files and of all folders below, each once.
fn modes(dir: &Path) -> (Vec<u32>, Vec<u32>) {
    use std::os::unix::fs::MetadataExt as _;
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = std::fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            folders.push(meta.mode() & 0o7777);
            let below = modes(&path);
            files.extend(below.0);
            folders.extend(below.1);
        } else {
            files.push(meta.mode() & 0o7777);
        }
    }
    for modes in [&mut files, &mut folders] {
        modes.sort_unstable();
        modes.dedup();
    }
    (files, folders)
}

/// Small and large files, those of the stage as well.
fn mixed() -> Form {
    let mut form = Form::new().file("f", "large.bin", &noise(300_000, 3));
    for at in 0..20 {
        form = form.file("g", &format!("{at}.txt"), b"x");
    }
    form
}

#[test]
fn modes_are_what_the_umask_leaves() {
    for (setgid, umask, file, folder) in [
        (true, "002", 0o664, 0o2775),
        (false, "022", 0o644, 0o755),
        (false, "077", 0o600, 0o700),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        std::fs::create_dir(&store).unwrap();
        mode(&store, if setgid { 0o2775 } else { 0o755 });
        let server = with_umask(umask, &[]).store(&store).start();
        let upload = server.upload(&mixed());
        let token = format!("Bearer {}", upload["delete_token"].as_str().unwrap());
        let path = format!("/uploads/{}", upload["id"].as_str().unwrap());
        let owner = [("Authorization", token.as_str())];
        let prolonged = server.request("PATCH", &path, &owner, br#"{"expires_in":"1h"}"#);
        assert_eq!(prolonged.status, 200, "{}", prolonged.text());
        assert_eq!(modes(&store), (vec![file], vec![folder]), "umask {umask}");
    }
}

#[test]
fn a_second_user_of_the_group_has_the_store_as_well() {
    let dir = tempfile::tempdir().unwrap();
    mode(dir.path(), 0o755);
    let store = dir.path().join("upload");
    std::fs::create_dir(&store).unwrap();
    let as_user = |user: &str| {
        let (user, group) = (format!("--reuid={user}"), format!("--regid={GROUP}"));
        [
            "setpriv".to_owned(),
            user,
            group,
            "--clear-groups".to_owned(),
        ]
    };
    let possible = || {
        if !rustix::process::geteuid().is_root() {
            return Err("not root".to_owned());
        }
        let [setpriv, rest @ ..] = as_user(USERS[1]);
        let mut command = Command::new(setpriv);
        command.args(rest).arg(WHARF).arg("--version");
        match command.output() {
            Ok(output) if output.status.success() => Ok(()),
            other => Err(format!("another user cannot run the server: {other:?}")),
        }
    };
    if let Err(why) = possible() {
        say(&format!("skipped: a store of a group: {why}"));
        return;
    }
    let group = rustix::fs::Gid::from_raw(GROUP.parse().unwrap());
    rustix::fs::chown(&store, None, Some(group)).unwrap();
    mode(&store, 0o2775);
    let start = |user: &str| {
        let under = as_user(user);
        let under: Vec<&str> = under.iter().map(String::as_str).collect();
        let setup = with_umask("002", &under).store(&store);
        mode(setup.folder(), 0o755);
        setup.start()
    };
    let first = start(USERS[0]);
    let upload = first.upload(&mixed());
    let (status, _setup) = first.stop();
    assert!(status.success());
    let second = start(USERS[1]);
    assert_eq!(second.get("/readyz").status, 200);
    let token = format!("Bearer {}", upload["delete_token"].as_str().unwrap());
    let path = format!("/uploads/{}", upload["id"].as_str().unwrap());
    let owner = [("Authorization", token.as_str())];
    let prolonged = second.request("PATCH", &path, &owner, br#"{"expires_in":"1h"}"#);
    assert_eq!(prolonged.status, 200, "{}", prolonged.text());
    for _ in 0..50 {
        second.upload(&mixed());
    }
    let gone = second.request("DELETE", &path, &owner, b"");
    assert_eq!(gone.status, 204, "{}", gone.text());
    let id = upload["id"].as_str().unwrap();
    assert!(!second.files().iter().any(|file| file.contains(id)));
}
