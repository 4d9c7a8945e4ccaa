use crate::support::{Form, Server, noise};

#[test]
fn damage_is_found_and_nothing_is_changed() {
    let server = Server::start();
    let json = server.upload(
        &Form::new()
            .file("a", "a.bin", &noise(1000, 1))
            .file("b", "b.bin", &noise(500_000, 2))
            .text("t", "x"),
    );
    let id = json["id"].as_str().unwrap();
    let run = || {
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_wharf"))
            .args(["check", "--dir"])
            .arg(server.store())
            .output()
            .unwrap();
        (out.status.code(), String::from_utf8(out.stdout).unwrap())
    };
    assert_eq!(
        run(),
        (
            Some(0),
            "1 uploads, 2 files, 501000 bytes read; 0 damaged\n".to_owned()
        )
    );
    let stored = server.store().join(&id[..2]).join(format!("{id}-b.bin"));
    let mut content = std::fs::read(&stored).unwrap();
    content[400_000] ^= 1;
    std::fs::write(&stored, &content).unwrap();
    let (code, text) = run();
    assert_eq!(code, Some(1));
    assert!(text.contains("b.bin has another sha-256"), "{text}");
    content.truncate(10);
    std::fs::write(&stored, &content).unwrap();
    assert!(run().1.contains("has 10 bytes instead of 500000"));
    std::fs::remove_file(&stored).unwrap();
    assert!(run().1.contains("is missing"));
    let manifest = server.store().join(&id[..2]).join(format!("{id}.json"));
    std::fs::write(&manifest, "{").unwrap();
    assert!(run().1.contains("is no manifest"));
    assert_eq!(server.files().len(), 2);
}

/// A manifest that is cut off, as a power cut can leave it: the remedies, and how
/// often the log says so.
#[test]
fn a_torn_manifest_is_reported_once_and_removed_by_order() {
    let server = Server::with(&["--access", "admin:root"]);
    let upload = || server.upload(&Form::new().file("a", "a.bin", &noise(1000, 1)));
    let (torn, offline, _whole) = (upload(), upload(), upload());
    let id = |json: &serde_json::Value| json["id"].as_str().unwrap().to_owned();
    for json in [&torn, &offline] {
        let folder = server.store().join(&id(json)[..2]);
        let manifest = folder.join(format!("{}.json", id(json)));
        let text = std::fs::read_to_string(&manifest).unwrap();
        std::fs::write(manifest, &text[..text.len() / 2]).unwrap();
    }
    let server = server.kill().start();
    server.says("the index is complete");
    let admin = [("Authorization", "Bearer root")];
    for _ in 0..5 {
        let listed = server.get("/uploads").json();
        assert_eq!(listed["uploads"].as_array().unwrap().len(), 1);
    }
    let said = |id: &str| {
        let log = server.log();
        let lines = log.lines().filter(|line| line.contains("ERROR"));
        lines.filter(|line| line.contains(id)).count()
    };
    assert_eq!((said(&id(&torn)), said(&id(&offline))), (1, 1));

    let path = format!("/uploads/{}", id(&torn));
    // Its token cannot be known any more, and an admin's word is enough.
    let token = format!("Bearer {}", torn["delete_token"].as_str().unwrap());
    let owner = [("Authorization", token.as_str())];
    assert_eq!(server.request("DELETE", &path, &owner, b"").status, 500);
    assert_eq!(server.files().len(), 6);
    assert_eq!(server.request("DELETE", &path, &admin, b"").status, 204);
    assert_eq!(server.request("DELETE", &path, &admin, b"").status, 404);
    assert_eq!((server.files().len(), server.get(&path).status), (4, 404));
    // The other way needs the store for itself.
    let dir = server.store();
    let run = |command: &[&str]| {
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_wharf"))
            .env_clear()
            .args(command)
            .arg("--dir")
            .arg(&dir)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (out.status.code(), text(out.stdout) + &text(out.stderr))
    };
    let (code, text) = run(&["check", "--remove"]);
    assert!(
        code == Some(1) && text.contains("another wharf serves"),
        "{text}"
    );
    server.signal(15);
    let mut server = server;
    assert!(server.wait().success());
    let offline = id(&offline);
    // A folder that is named by mistake is made nothing of.
    let nowhere = dir.join("nosuch");
    for command in [&["reindex"][..], &["check"], &["check", "--remove"]] {
        let mut wharf = std::process::Command::new(env!("CARGO_BIN_EXE_wharf"));
        let out = wharf.env_clear().args(command).arg("--dir").arg(&nowhere);
        let out = out.output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(
            out.status.code() == Some(1) && said.contains("nosuch"),
            "{said}"
        );
        assert!(out.stdout.is_empty() && !nowhere.exists());
    }
    let (code, text) = run(&["reindex"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&format!("{offline}: damaged: ")), "{text}");
    assert!(text.ends_with("1 uploads indexed, 1 damaged\n"), "{text}");
    let (code, text) = run(&["check", "--remove"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains(&format!(
            "{offline}: removed, with all files under this id\n"
        )),
        "{text}"
    );
    assert!(text.ends_with("1 damaged, 1 removed\n"), "{text}");
    assert_eq!(server.files().len(), 2);
    let (code, text) = run(&["check"]);
    assert!(
        code == Some(0) && text.starts_with("1 uploads, 1 files"),
        "{text}"
    );
}
