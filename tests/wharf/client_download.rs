//! `wharf download` of whole forms, files and names.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::support::{Form, Server, Wharf, end_of, entries, noise, sha256};

/// A server with one form of two files and two fields, and its id.
fn stored() -> (Server, String, Vec<u8>) {
    let server = Server::start();
    let content = noise(3_000_000, 8);
    let form = Form::new()
        .text("name", "tony bai")
        .file("f", "big file.bin", &content)
        .text("age", "23")
        .file("g", "small.txt", b"small");
    let id = server.upload(&form)["id"].as_str().unwrap().to_owned();
    (server, id, content)
}

#[test]
fn a_whole_form_comes_back() {
    let (server, id, content) = stored();
    let out = server.dir().join("out");
    let said = Wharf::of(&server).done(&["download", &id, "-d", "out"]);
    assert_eq!(said, "out/big file.bin\nout/small.txt\n");
    assert_eq!(entries(&out), ["big file.bin", "small.txt"]);
    assert!(std::fs::read(out.join("big file.bin")).unwrap() == content);

    let said = Wharf::of(&server).run(&["download", &id, "-d", "out", "-f", "--json", "--fields"]);
    let lines: Vec<Value> = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["sha256"], sha256(&content));
    assert_eq!(lines[0]["path"], "out/big file.bin");
    assert_eq!(
        (&lines[1]["verified"], &lines[1]["size"]),
        (&json!(true), &json!(5))
    );
    assert_eq!(
        lines[2],
        json!({"fields": {"name": ["tony bai"], "age": ["23"]}})
    );
    let said = Wharf::of(&server).done(&["download", &id, "-d", "out", "-fq"]);
    assert_eq!(said, "");
}

#[test]
fn files_are_named_one_by_one_or_together() {
    let (server, id, content) = stored();
    let in_dir = |name: &str, args: &[&str]| {
        let dir = server.dir().join(name);
        std::fs::create_dir(&dir).unwrap();
        let wharf = Wharf::at(&dir).env("WHARF_URL", &server.url("/"));
        let said = wharf.run(&[&["download", "-q"], args].concat());
        (said, entries(&dir))
    };
    let one = format!("{id}/small.txt");
    assert_eq!(in_dir("one", &[&one]).1, ["small.txt"]);
    assert_eq!(in_dir("name", &["big file.bin"]).1, ["big file.bin"]);
    let both = ["big file.bin", "small.txt"];
    assert_eq!(in_dir("both", &["small.txt", "big file.bin"]).1, both);
    assert_eq!(
        in_dir("twice", &["small.txt", &id]).1,
        [both[0], "small (2).txt", both[1]]
    );
    let (said, files) = in_dir("missing", &["small.txt", "nope.txt"]);
    assert_eq!((said.code, files.len()), (Some(5), 0));
    assert!(said.err.contains("nope.txt"), "{said:?}");
    let (said, _) = in_dir("slash", &["small.txt", &one]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains(&one), "{said:?}");
    for dots in [".", "..", "../uploads", ""] {
        let said = Wharf::of(&server).run(&["download", dots]);
        assert!(matches!(said.code, Some(2 | 5)), "{dots}: {said:?}");
    }

    let said = Wharf::of(&server).run(&["download", "big file.bin", "-o", "-"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert!(said.bytes == content);
    let said = Wharf::of(&server).run(&["download", &id, "-o", "-"]);
    assert_eq!(said.code, Some(3));
    assert!(said.err.contains("more than one file"), "{said:?}");
    let said = Wharf::of(&server).run(&["download", &one, "-o", "-", "--fields"]);
    assert_eq!(said.code, Some(2));
}

#[test]
fn what_is_there_is_kept_unless_forced() {
    let (server, id, content) = stored();
    let path = server.dir().join("big file.bin");
    std::fs::write(&path, "mine").unwrap();
    let said = Wharf::of(&server).run(&["download", &id]);
    assert_eq!((said.code, said.out.as_str()), (Some(3), "small.txt\n"));
    assert!(said.err.contains("big file.bin exists already"), "{said:?}");
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    let said = Wharf::of(&server).run(&["download", "big file.bin"]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    Wharf::of(&server).done(&["download", "-f", "big file.bin"]);
    assert!(std::fs::read(&path).unwrap() == content);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let said = Wharf::of(&server).run(&["download", "-f", "big file.bin"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("big file.bin: Is a directory"),
        "{said:?}"
    );
    assert!(
        entries(server.dir())
            .iter()
            .all(|name| !name.starts_with(".wharf-"))
    );
}

#[test]
fn a_directory_that_is_none_is_named_before_anything_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "x").unwrap();
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    let download = |args: &[&str]| {
        let wharf = Wharf::at(dir.path()).env("WHARF_URL", "http://127.0.0.1:1");
        wharf.run(&[&["download", "x"], args].concat())
    };
    for (args, reason) in [
        (["-d", "file"], "file: Not a directory"),
        (["-d", "file/x"], "file/x: Not a directory"),
        (["-o", "folder"], "folder is no path of a file"),
        (["-o", "nowhere/x"], "nowhere: No such file"),
        (["-o", "folder/.."], "folder/.. is no path of a file"),
    ] {
        let said = download(&args);
        assert_eq!(said.code, Some(1), "{args:?}: {said:?}");
        assert!(said.err.contains(reason), "{args:?}: {said:?}");
    }
    // One that is missing is made when there is something to put into it.
    assert_eq!(download(&["-d", "a/b"]).code, Some(6));
    assert_eq!(entries(dir.path()), ["file", "folder"]);
}

#[test]
fn one_file_goes_to_a_path_of_its_own() {
    let (server, id, content) = stored();
    let get = |args: &[&str]| Wharf::of(&server).run(&[&["get"], args].concat());
    let said = get(&[&format!("{id}/big file.bin"), "-o", "odd:name.bin"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "odd:name.bin\n"));
    assert!(std::fs::read(server.dir().join("odd:name.bin")).unwrap() == content);
    let said = get(&["small.txt", "-o", "odd:name.bin"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("odd:name.bin exists already"), "{said:?}");
    assert_eq!(
        get(&["small.txt", "-o", "odd:name.bin", "-f"]).code,
        Some(0)
    );
    assert_eq!(
        std::fs::read(server.dir().join("odd:name.bin")).unwrap(),
        b"small"
    );
    // Of several files none is left there.
    let said = get(&[&id, "-o", "several"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("more than one file"), "{said:?}");
    let left = entries(server.dir());
    assert!(!left.contains(&"several".to_owned()), "{left:?}");
    assert!(
        left.iter().all(|name| !name.starts_with(".wharf-")),
        "{left:?}"
    );
    assert_eq!(get(&[&id, "-o", "x", "-d", "y"]).code, Some(2));
}

#[test]
fn a_link_is_a_name() {
    let (server, id, content) = stored();
    let elsewhere = tempfile::tempdir().unwrap();
    // Whatever server is the usual one, the link says which is meant: it gets no secret of that one.
    let wharf = || {
        let wharf = Wharf::at(elsewhere.path()).env("WHARF_URL", "http://127.0.0.1:1");
        wharf.env("WHARF_TOKEN", "hush")
    };
    let file = format!("/files/{id}/big%20file.bin?inline=1");
    for path in [format!("/uploads/{id}"), format!("/download/{id}"), file] {
        let link = server.url(&path);
        wharf().done(&["download", &link, "-d", "out", "-f"]);
        let out = elsewhere.path().join("out");
        assert!(
            std::fs::read(out.join("big file.bin")).unwrap() == content,
            "{link}"
        );
        let expected = if path.starts_with("/files") { 1 } else { 2 };
        assert_eq!(entries(&out).len(), expected, "{link}");
        std::fs::remove_dir_all(out).unwrap();
    }
    let links = [
        server.url(&format!("/uploads/{id}")),
        "http://127.0.0.1:1/uploads/x".to_owned(),
    ];
    let said = wharf().run(&["download", &links[0], &links[1]]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(!server.log().contains("bad-secret"), "{}", server.log());
}

#[test]
fn the_umask_decides_who_may_read() {
    let (server, id, _) = stored();
    let script = "umask 027; exec \"$0\" \"$@\"";
    let wharf = Wharf::under(&["sh", "-c", script], server.dir());
    wharf
        .env("WHARF_URL", &server.url(""))
        .done(&["download", &id]);
    let mode = std::fs::metadata(server.dir().join("small.txt"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn the_last_allowed_download_is_one() {
    let server = Server::start();
    std::fs::write(server.dir().join("once.txt"), "once").unwrap();
    let upload = Wharf::of(&server).run(&["upload", "--json", "once.txt", "--max-downloads", "1"]);
    let id = upload.json()["id"].as_str().unwrap().to_owned();
    std::fs::remove_file(server.dir().join("once.txt")).unwrap();
    Wharf::of(&server).done(&["download", &id]);
    assert_eq!(
        Wharf::of(&server).run(&["download", "-f", &id]).code,
        Some(5)
    );
}

#[test]
fn two_at_once_leave_one_whole_file() {
    let (server, id, content) = stored();
    let name = format!("{id}/big file.bin");
    for force in [false, true] {
        let mut args = vec!["download", "-q", &name];
        args.extend(force.then_some("--force"));
        let children = [(); 2].map(|()| Wharf::of(&server).spawn(&args));
        let said = children.map(end_of);
        let mut codes = said.each_ref().map(|said| said.code);
        codes.sort_unstable();
        let expected = if force { Some(0) } else { Some(1) };
        assert_eq!(codes, [Some(0), expected], "{said:?}");
        let refused = said
            .iter()
            .filter(|said| said.err.contains("exists already"));
        assert_eq!(refused.count(), usize::from(!force), "{said:?}");
        assert!(std::fs::read(server.dir().join("big file.bin")).unwrap() == content);
        let left = entries(server.dir());
        assert!(left.iter().all(|name| !name.starts_with(".wharf-")));
    }
}

#[test]
fn what_comes_without_a_digest_is_not_called_verified() {
    let server = Server::with(&["--digest", "none"]);
    let content = noise(2_000_000, 8);
    let form = Form::new().file("f", "a.bin", &content).file("f", "b", b"");
    server.upload(&form);
    let said = Wharf::of(&server).run(&["download", "--json", "a.bin", "b"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for (line, size) in said.out.lines().zip([content.len(), 0]) {
        let file: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&file["sha256"], &file["verified"], &file["size"]),
            (&Value::Null, &json!(false), &json!(size))
        );
    }
    assert!(std::fs::read(server.dir().join("a.bin")).unwrap() == content);
    assert_eq!(std::fs::read(server.dir().join("b")).unwrap(), b"");
}
