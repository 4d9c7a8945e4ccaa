//! The journal: what it makes durable, what it brings back, and disks that fail under it.

use std::path::PathBuf;

use crate::faults::Fault;
use crate::support::{Form, Response, Server, Setup, noise, wait_until};

fn setup() -> Setup {
    Setup::new().args(&["--journal", "on", "--journal-size", "32MiB"])
}

fn start(setup: Setup) -> Server {
    let server = setup.start();
    server.says("the journal is ready");
    server
}

fn form(content: &[u8]) -> Form {
    Form::new().file("f", "a.bin", content).text("t", "x")
}

struct Uploaded {
    id: String,
    token: String,
}

fn upload(server: &Server, content: &[u8]) -> Uploaded {
    let json = server.upload(&form(content));
    let text = |key: &str| json[key].as_str().unwrap().to_owned();
    Uploaded {
        id: text("id"),
        token: format!("Bearer {}", text("delete_token")),
    }
}

fn ask(server: &Server, method: &str, upload: &Uploaded, body: &[u8]) -> Response {
    let path = format!("/uploads/{}", upload.id);
    server.request(method, &path, &[("Authorization", &upload.token)], body)
}

fn content(server: &Server, upload: &Uploaded) -> Vec<u8> {
    let file = server.get(&format!("/files/{}/a.bin", upload.id));
    assert_eq!(file.status, 200, "{}", file.text());
    file.body
}

/// The files of an upload in a store.
fn files(store: &std::path::Path, upload: &Uploaded) -> [PathBuf; 2] {
    let folder = store.join(&upload.id[..2]);
    [".json", "-a.bin"].map(|end| folder.join(format!("{}{end}", upload.id)))
}

#[test]
fn what_a_power_cut_takes_of_small_uploads_comes_back() {
    let server = start(setup());
    let contents = [noise(3000, 1), noise(60_000, 2), noise(500_000, 3)];
    let uploads = contents.each_ref().map(|content| upload(&server, content));
    let removed = upload(&server, b"removed");
    let [prolonged, kept, large] = &uploads;
    assert!(server.files().len() == 8, "they are there to be seen");
    let changed = ask(&server, "PATCH", prolonged, b"{\"expires_in\":\"40d\"}");
    let deadline = changed.json()["expires_at"].clone();
    assert_eq!(ask(&server, "DELETE", &removed, b"").status, 204);
    // The large one has syncs of its own.
    assert_eq!(server.metric("wharf_journal_records_total"), 5.0);
    assert!(server.metric("wharf_journal_batches_total") >= 1.0);
    let setup = server.kill();
    // Names that were not synced, a file without its content, and a removal that is undone.
    let store = setup.folder().join("upload");
    for path in files(&store, kept) {
        std::fs::remove_file(path).unwrap();
    }
    let [manifest, file] = files(&store, prolonged);
    std::fs::write(manifest, b"").unwrap();
    std::fs::write(file, vec![0; contents[0].len()]).unwrap();
    let [_, file] = files(&store, &removed);
    std::fs::write(file, b"removed").unwrap();
    let checked = setup.run(&["check"]);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(
        said.contains("1 uploads are in the journal alone"),
        "{said}"
    );
    // Whatever the settings say by now.
    let server = Setup::new().store(&store).start();
    server.says("the journal has brought back");
    for (upload, expected) in uploads.iter().zip(&contents) {
        assert_eq!(content(&server, upload), *expected);
    }
    assert_eq!(
        ask(&server, "GET", prolonged, b"").json()["expires_at"],
        deadline
    );
    assert_eq!(ask(&server, "GET", &removed, b"").status, 404);
    assert_eq!(ask(&server, "GET", large, b"").status, 200);
    assert_eq!((server.files().len(), server.staged()), (6, 0));
    assert!(!server.store().join(".wharf/journal").exists());
    let (status, setup) = server.stop();
    assert!(status.success() && setup.run(&["check"]).status.success());
}

#[test]
fn a_clean_end_leaves_a_journal_that_is_not_read() {
    let server = start(setup());
    let first = upload(&server, b"first");
    let (status, setup) = server.stop();
    assert!(status.success());
    let server = start(setup);
    assert!(!server.log().contains("brought back"), "{}", server.log());
    let second = upload(&server, b"second");
    let setup = server.kill();
    let server = start(setup);
    server.says("brought back what the last stop may have cut off uploads=1 removed=0");
    assert_eq!(content(&server, &first), b"first");
    assert_eq!(content(&server, &second), b"second");
}

#[test]
fn a_journal_that_cannot_be_written_stores_nothing_until_a_restart() {
    for (calls, errno) in [
        ("fdatasync", "EIO"),
        ("fdatasync", "ENOSPC"),
        ("pwritev", "EIO"),
    ] {
        let server = start(setup());
        let kept = upload(&server, b"kept");
        let before = server.files();
        let fault = Fault::inject(&server, calls, errno);
        let refused = server.post_to("/upload", &form(b"refused"), &[]);
        assert_eq!(refused.status, 503, "{calls} {errno}: {}", refused.text());
        drop(fault);
        assert_eq!(server.files(), before, "{calls} {errno}");
        // The disk is whole again, and nothing is tried over it.
        assert_eq!(server.get("/readyz").status, 503);
        for content in [&b"small"[..], &[7; 400_000]] {
            let refused = server.post_to("/upload", &form(content), &[]);
            assert_eq!(refused.status, 503, "{}", refused.text());
        }
        assert_eq!(
            ask(&server, "PATCH", &kept, b"{\"expires_in\":\"40d\"}").status,
            503
        );
        assert_eq!(ask(&server, "DELETE", &kept, b"").status, 503);
        assert_eq!(content(&server, &kept), b"kept");
        server.says("a restart stores what it holds");
        let (_, setup) = server.stop();
        let server = start(setup);
        assert_eq!(server.get("/readyz").status, 200);
        assert_eq!(content(&server, &kept), b"kept");
        upload(&server, b"again");
    }
}

#[test]
fn a_checkpoint_that_fails_frees_nothing_and_ends_readiness() {
    // Of the file system, and of the position.
    for calls in ["syncfs", "pwrite64"] {
        let server = start(setup());
        let [kept, gone] = [&b"kept"[..], b"gone"].map(|content| upload(&server, content));
        let was = files(&server.store(), &gone).map(|path| (std::fs::read(&path).unwrap(), path));
        let fault = Fault::inject(&server, calls, "EIO");
        assert_eq!(ask(&server, "DELETE", &gone, b"").status, 204);
        wait_until("the checkpoint fails", || {
            server.get("/readyz").status == 503
        });
        drop(fault);
        server.says("the journal cannot be shortened");
        let setup = server.kill();
        // A power cut undoes the removal.
        for (content, path) in was {
            std::fs::write(path, content).unwrap();
        }
        let server = start(setup);
        assert_eq!(server.get("/readyz").status, 200);
        assert_eq!(ask(&server, "GET", &gone, b"").status, 404);
        assert_eq!(content(&server, &kept), b"kept");
        assert_eq!(server.files().len(), 2);
    }
}

#[test]
fn a_replay_that_fails_is_made_again() {
    let server = start(setup());
    let uploads = [&b"first"[..], b"second"].map(|content| upload(&server, content));
    let setup = server.kill();
    let store = setup.folder().join("upload");
    let [manifest, file] = files(&store, &uploads[1]);
    std::fs::remove_file(&manifest).unwrap();
    std::fs::remove_file(&file).unwrap();
    // Something that is no file is in the way.
    std::fs::create_dir(&file).unwrap();
    let refused = setup.run(&["serve", "--port", "0"]);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains(&uploads[1].id), "{said}");
    std::fs::remove_dir(&file).unwrap();
    let server = start(setup);
    assert_eq!(content(&server, &uploads[0]), b"first");
    assert_eq!(content(&server, &uploads[1]), b"second");
}

#[test]
fn a_copy_of_a_running_server_sets_the_journal_aside() {
    let server = start(setup());
    let stored = upload(&server, b"stored");
    let copy = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([&server.store(), &copy.path().join("upload")])
        .status();
    assert!(copied.unwrap().success());
    let other = Setup::new().store(&copy.path().join("upload")).start();
    other.says("set aside");
    assert!(
        other
            .store()
            .join(".wharf/journal.foreign-1/position")
            .exists()
    );
    assert_eq!(content(&other, &stored), b"stored");
}
