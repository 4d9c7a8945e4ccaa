//! Small files of a store that are larger than wharf writes them: they are damaged, and cost no
//! memory.

use std::fs::File;
use std::path::Path;

use crate::support::{Bucket, Form, Server, Setup};

/// The most that is read of one, in bytes.
const LARGEST: usize = 64 << 20;

fn form() -> Form {
    Form::new().file("f", "a.txt", b"some text")
}

/// Makes a file as large as only a hole can be.
fn blow_up(path: &Path) {
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(false).open(path);
    file.unwrap().set_len(1 << 30).unwrap();
}

/// That its memory was never near the size of one.
#[track_caller]
fn assert_small(server: &Server) {
    let (_, most) = server.memory();
    assert!(most < 200 * 1024, "{most} KiB");
}

#[test]
fn a_manifest_that_is_too_large_is_damaged_and_not_read() {
    let server = Server::with(&["--access", "admin:root"]);
    let stored = server.upload(&form());
    let (id, whole) = (stored["id"].as_str().unwrap(), server.upload(&form()));
    let (_, setup) = server.stop();
    let store = setup.folder().join("upload");
    blow_up(&store.join(&id[..2]).join(format!("{id}.json")));
    let server = setup.start();
    for path in [
        format!("/files/{id}/a.txt"),
        format!("/download/{id}"),
        format!("/uploads/{id}"),
    ] {
        assert_eq!(server.get(&path).status, 500, "{path}");
    }
    server.says(&format!("{id}.json has more than {LARGEST} bytes"));
    let whole = format!("/files/{}/a.txt", whole["id"].as_str().unwrap());
    assert_eq!(server.get(&whole).text(), "some text");
    assert_small(&server);
    let admin = [("Authorization", "Bearer root")];
    let path = format!("/uploads/{id}");
    assert_eq!(server.request("DELETE", &path, &admin, b"").status, 204);
    assert_eq!(server.get(&path).status, 404);
    assert_small(&server);
}

#[test]
fn what_a_store_says_of_itself_may_be_too_large_as_well() {
    let setup = Setup::new().args(&["--max-total-size", "1GiB", "--durability", "relaxed"]);
    let private = setup.folder().join("upload/.wharf");
    std::fs::create_dir_all(&private).unwrap();
    for name in ["store.json", "total.json", "doubt.json"] {
        blow_up(&private.join(name));
    }
    let server = setup.start();
    server.says(&format!("doubt.json has more than {LARGEST} bytes"));
    server.upload(&form());
    assert_eq!(server.get("/files/a.txt").text(), "some text");
    assert_eq!(server.get("/readyz").status, 200);
    assert_small(&server);
}

#[test]
fn an_object_that_is_too_large_is_damaged_and_not_fetched() {
    let bucket = Bucket::new();
    let setup = Setup::new().args(&["--access", "admin:root"]);
    let server = setup.bucket(&bucket, &bucket.server.url()).start();
    let stored = server.upload(&form());
    let id = stored["id"].as_str().unwrap();
    let key = format!("up/{}/{id}.json", &id[..2]);
    bucket.put(&key, &vec![b' '; LARGEST + 1]);
    let path = format!("/uploads/{id}");
    for _ in 0..3 {
        assert_eq!(server.get(&path).status, 500);
    }
    server.says(&format!("{id}.json has more than {LARGEST} bytes"));
    let (_, most) = server.memory();
    assert!(most < 60 * 1024, "{most} KiB");
    let admin = [("Authorization", "Bearer root")];
    assert_eq!(server.request("DELETE", &path, &admin, b"").status, 204);
    assert!(bucket.get(&key).1.contains("\"gone\""));
}

#[test]
fn a_form_whose_manifest_would_be_too_large_is_refused() {
    let server = Server::with(&["--max-fields-size", "1GiB", "--max-field-size", "1GiB"]);
    // JSON makes six bytes of each.
    let text = "\u{1}".repeat(9 << 20);
    let form = form().text("t", &text);
    let refused = server.post_to("/upload", &form, &[]);
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (413, "limit-exceeded")
    );
    assert_eq!(refused.json()["setting"], "max_fields_size");
    assert!(
        refused.detail().contains("in the manifest"),
        "{}",
        refused.detail()
    );
    assert_eq!((server.files(), server.staged()), (Vec::new(), 0));
}
