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
