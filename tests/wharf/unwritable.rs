//! Disks that fail to be written, and folders that are gone, under a running server: uploads are
//! refused, and stored uploads are given out and found as before.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{EXT4, Form, Mounted, Server, Setup, as_root, say, wait_until};

/// The findings on two uploads of the name `a.txt`, the newer one with this id.
#[track_caller]
fn assert_found(server: &Server, newest: &str) {
    let by_name = server.get("/files/a.txt");
    assert_eq!((by_name.status, by_name.text().as_str()), (200, "newer"));
    assert_eq!(server.get("/download/a.txt").status, 200);
    assert_eq!(server.get(&format!("/download/{newest}")).status, 200);
    let listed = server.get("/uploads");
    assert_eq!(listed.status, 200, "{}", listed.text());
    let ids = listed.json()["uploads"].clone();
    assert_eq!(ids.as_array().unwrap().len(), 2, "{ids}");
}

fn upload(server: &Server, content: &[u8]) -> Value {
    server.upload(&Form::new().file("f", "a.txt", content))
}

fn refused(server: &Server) -> u16 {
    let form = Form::new().file("f", "a.txt", b"refused");
    server.post_to("/upload", &form, &[]).status
}

#[test]
fn a_disk_that_has_gone_read_only_serves_names_and_listings() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    if !EXT4.is_possible(64 << 20) {
        return;
    }
    let file = std::fs::File::create(&image).unwrap();
    file.set_len(64 << 20).unwrap();
    EXT4.make(&image);
    let mounted = Mounted::new("ext4", "errors=remount-ro", &image).unwrap();
    let Some(error) = trigger(&mounted.path) else {
        say("skipped: this kernel has no way to have ext4 find an error");
        return;
    };
    let setup = Setup::new().args(&["--min-free", "none"]);
    let server = setup.store(&mounted.path.join("upload")).start();
    upload(&server, b"older");
    let newest = upload(&server, b"newer");
    let newest = newest["id"].as_str().unwrap();
    let gone = server.upload(&Form::new().file("f", "b.txt", b"b"));
    let token = format!("Bearer {}", gone["delete_token"].as_str().unwrap());
    let gone = format!("/uploads/{}", gone["id"].as_str().unwrap());
    let deleted = server.request("DELETE", &gone, &[("Authorization", &token)], b"");
    assert_eq!(deleted.status, 204);

    let wrote = as_root("sh").args(["-c", &error]).status().unwrap();
    assert!(wrote.success());
    wait_until("uploads are refused", || refused(&server) == 503);
    assert_eq!(server.get("/readyz").status, 503);
    server.says("the index cannot be written; it goes on in memory");
    assert_found(&server, newest);
    assert_eq!(server.get(&gone).status, 404);
    assert_eq!(refused(&server), 503);
    drop(server.kill());
}

/// A shell command that has the ext4 that is mounted there find an error.
fn trigger(mounted: &Path) -> Option<String> {
    let mut find = Command::new("findmnt");
    let found = find.args(["-no", "SOURCE"]).arg(mounted).output().ok()?;
    let found = String::from_utf8(found.stdout).ok()?;
    let device = Path::new(found.trim()).file_name()?.to_str()?.to_owned();
    let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
    Path::new(&trigger)
        .exists()
        .then(|| format!("echo a test > {trigger}"))
}

#[test]
fn an_index_that_had_no_room_is_whole_when_there_is_some_again() {
    let server = Server::start();
    upload(&server, b"older");
    let newest = upload(&server, b"newer");
    let limit = |bytes: &str| {
        let (pid, limit) = (
            format!("--pid={}", server.pid()),
            format!("--fsize={bytes}:"),
        );
        let set = Command::new("prlimit").args([pid, limit]).status();
        assert!(set.unwrap().success());
    };
    limit("0");
    server.says("the index cannot be written; it goes on in memory");
    assert_found(&server, newest["id"].as_str().unwrap());
    assert_eq!(refused(&server), 507);
    limit("unlimited");
    server.says("the index can be written again");
    let third = upload(&server, b"newest");
    let (status, setup) = server.stop();
    assert!(status.success());
    // It was closed as whole, and is found as whole without a comparison.
    let server = setup.start();
    assert_eq!(server.get("/files/a.txt").text(), "newest");
    assert!(!server.log().contains("comparing"), "{}", server.log());
    let listed = server.get("/uploads").json();
    assert_eq!(listed["uploads"][0]["id"], third["id"]);
    assert_eq!(listed["uploads"].as_array().unwrap().len(), 3);
}

#[test]
fn a_folder_that_is_moved_away_takes_no_uploads_until_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, away) = (dir.path().join("upload"), dir.path().join("away"));
    let server = Setup::new().store(&store).start();
    upload(&server, b"older");
    let newest = upload(&server, b"newer");
    let newest = newest["id"].as_str().unwrap();
    let ready = || server.get("/readyz").status;

    std::fs::rename(&store, &away).unwrap();
    wait_until("it is missed", || ready() == 503);
    server.says(&format!("looking for {}", store.display()));
    assert_eq!(refused(&server), 503);
    assert_found(&server, newest);

    // Another one in its place is not filled.
    std::fs::create_dir(&store).unwrap();
    wait_until("it is not taken for the store", || {
        ready() == 503 && server.log().contains("another folder is there now")
    });
    assert_eq!(refused(&server), 503);
    assert_found(&server, newest);
    assert_eq!(std::fs::read_dir(&store).unwrap().count(), 0);

    std::fs::remove_dir(&store).unwrap();
    std::fs::rename(&away, &store).unwrap();
    wait_until("it is found again", || ready() == 200);
    assert_found(&server, newest);
    server.upload(&Form::new().file("f", "b.txt", b"b"));
    assert_eq!(server.get("/files/b.txt").status, 200);
}
