//! The files that a power cut has taken, whose answers did not wait for the disk.

use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use crate::support::{Form, Server, Setup, noise, wait_until};

/// An upload of two files, of which the second is the larger.
struct Uploaded {
    id: String,
    second: PathBuf,
}

fn upload(server: &Server, name: &str, seed: u64) -> Uploaded {
    let form = Form::new()
        .file("f", "first.txt", b"first")
        .file("g", name, &noise(300_000, seed));
    let json = server.upload(&form);
    let id = json["id"].as_str().unwrap().to_owned();
    let folder = server.store().join(&id[..2]);
    let second = folder.join(format!("{id}-{name}"));
    Uploaded { id, second }
}

/// Takes some of its content, and leaves its size.
fn punch(file: &PathBuf) {
    let file = std::fs::File::options().write(true).open(file).unwrap();
    file.write_all_at(&[0; 8192], 65_536).unwrap();
}

#[test]
fn a_hole_of_the_right_size_is_found_and_not_served() {
    let relaxed = || Setup::new().args(&["--durability", "relaxed"]);
    let server = relaxed().start();
    let (whole, broken) = (upload(&server, "w.bin", 1), upload(&server, "b.bin", 2));
    let content = std::fs::read(&broken.second).unwrap();
    let setup = server.kill();
    punch(&broken.second);

    let served = |server: &Server| {
        let get = |path: String| server.get(&path).status;
        [
            get(format!("/files/{}/b.bin", broken.id)),
            get(format!("/download/{}", broken.id)),
            get("/files/b.bin".to_owned()),
        ]
    };
    let compared = "compared the uploads that came shortly before the last stop";
    let server = setup.start();
    assert_eq!(served(&server), [500, 500, 500]);
    server.says("has another sha-256 than it was stored with");
    assert_eq!(server.get(&format!("/download/{}", whole.id)).status, 200);
    let file = server.get(&format!("/files/{}/w.bin", whole.id));
    assert!(file.status == 200 && file.body == noise(300_000, 1));
    server.says(compared);
    let first = server.get(&format!("/files/{}/first.txt", broken.id));
    assert_eq!((first.status, first.text().as_str()), (200, "first"));
    // Later uploads are in no doubt.
    let later = upload(&server, "l.bin", 3);
    assert_eq!(server.get(&format!("/download/{}", later.id)).status, 200);

    // It is not forgotten with the process, however that ends.
    let (status, setup) = server.stop();
    assert!(status.success());
    let server = setup.start();
    assert_eq!(served(&server), [500, 500, 500]);
    server.says(compared);
    let doubt = server.store().join(".wharf/doubt.json");
    assert!(doubt.exists());
    let setup = server.kill();
    std::fs::write(&broken.second, content).unwrap();
    let server = setup.start();
    assert_eq!(served(&server), [200, 200, 200]);
    wait_until("nothing is in doubt any more", || !doubt.exists());
}

#[test]
fn making_the_index_anew_after_a_cut_takes_nothing_for_whole() {
    let server = Setup::new().args(&["--durability", "relaxed"]).start();
    let broken = upload(&server, "b.bin", 4);
    let setup = server.kill();
    punch(&broken.second);
    assert!(setup.run(&["reindex"]).status.success());
    let server = setup.start();
    let file = server.get(&format!("/files/{}/b.bin", broken.id));
    assert_eq!(file.status, 500);
}
