//! `wharf upload`, and the records it makes.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::support::{Said, Server, Wharf, end_of, large, noise, sha256};

/// The most resident memory a client may have, in KiB.
const MEMORY: u64 = 24 * 1024;

#[test]
fn text_fields_and_files_in_one_command() {
    let server = Server::start();
    std::fs::write(server.dir().join("part1.txt"), "hello wharf\n").unwrap();
    std::fs::write(server.dir().join("part3.json"), "{}").unwrap();
    let said = Wharf::of(&server).run(&[
        "upload",
        "--json",
        "--field",
        "name=tony bai",
        "--field",
        "age=23",
        "-F",
        "name=a=b",
        "part1.txt",
        "part3.json",
    ]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!((said.out.lines().count(), said.err.as_str()), (1, ""));
    let upload = said.json();
    let fields = json!({"name": ["tony bai", "a=b"], "age": ["23"]});
    assert_eq!(upload["fields"], fields);
    assert_eq!(upload["files"][0]["sha256"], sha256(b"hello wharf\n"));
    assert_eq!(upload["files"][0]["field"], "file");
    assert_eq!(upload["files"][0]["type"], "text/plain");
    assert_eq!(upload["files"][1]["type"], "application/json");
    assert_eq!(upload["files"][1]["name"], "part3.json");

    let text = Wharf::of(&server).done(&["upload", "part1.txt"]);
    let id = text.trim_end().rsplit(' ').next().unwrap();
    let link = server.url(&format!("/uploads/{id}"));
    assert_eq!(text.lines().next(), Some(link.as_str()), "{text}");
    assert!(
        text.contains(&format!("delete it: wharf delete {id}\n")),
        "{text}"
    );
    let quiet = Wharf::of(&server).done(&["upload", "--print", "id", "-F", "only=text"]);
    let shown: Value = server.get(&format!("/uploads/{}", quiet.trim_end())).json();
    assert_eq!(
        (&shown["fields"]["only"][0], &shown["files"]),
        (&json!("text"), &json!([]))
    );
}

#[test]
fn type_name_field_and_options_are_set_by_hand() {
    let server = Server::start();
    std::fs::write(server.dir().join("notes"), "x").unwrap();
    let upload = |args: &[&str]| {
        let all = [&["upload", "--json", "notes"], args].concat();
        Wharf::of(&server).run(&all).json()
    };
    assert_eq!(upload(&[])["type"], "application/octet-stream");
    let given = [
        "--type",
        "text/x-notes; charset=utf-8",
        "--name",
        "n\u{f6}te \"1\".md",
    ];
    let upload_1 = upload(&given);
    assert_eq!(upload_1["type"], "text/x-notes; charset=utf-8");
    // As it is stored; the form gives it back as it came.
    assert_eq!(upload_1["name"], "n\u{f6}te _1_.md");
    let more = [
        "--file-field",
        "file1",
        "--expires-in",
        "7d",
        "--max-downloads",
        "3",
        "--title",
        "Notes of mine",
    ];
    let upload_2 = upload(&more);
    assert_eq!(upload_2["files"][0]["field"], "file1");
    assert_eq!(
        (&upload_2["max_downloads"], &upload_2["title"]),
        (&json!(3), &json!("Notes of mine"))
    );
    assert!(upload_2["expires_at"].is_string());
    for (args, part) in [
        (&["--type", "text plain"][..], "text plain"),
        (&["--chunk", "5MiB"], "between 1KiB and 4MiB"),
        (&["--chunk", "1"], "between 1KiB and 4MiB"),
        (&["--field", "name"], "NAME=VALUE"),
        (&["--max-downloads", "0"], "max-downloads"),
        (&["--name", "x", "notes"], "--name is for one file"),
        (&["-", "-"], "standard input can be sent once"),
        (&["--expires-in", "soon"], "\"soon\""),
        (&["--expires-at", "7d"], "2026-12-31T18:00:00Z"),
        (
            &["--expires-in", "7d", "--expires-at", "2030-12-31T18:00:00Z"],
            "cannot be used with",
        ),
        (
            &["--print", "all"],
            "[possible values: url, id, token, json]",
        ),
    ] {
        let said = Wharf::of(&server).run(&[&["upload", "notes"], args].concat());
        assert_eq!(said.code, Some(2), "{args:?}: {said:?}");
        assert!(said.err.contains(part), "{args:?}: {said:?}");
    }
    let until = upload(&["--expires-at", "2030-12-31T18:00:00+01:00"]);
    assert_eq!(until["expires_at"], "2030-12-31T17:00:00.000Z");
    let refused =
        Wharf::of(&server).run(&["upload", "notes", "--expires-at", "2020-01-01T00:00:00Z"]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.contains("400") && refused.err.contains("2020-01-01"),
        "{refused:?}"
    );
}

#[test]
fn every_block_size_sends_the_same() {
    let server = Server::start();
    let content = noise(5_000_001, 9);
    std::fs::write(server.dir().join("big.bin"), &content).unwrap();
    std::fs::write(server.dir().join("empty"), "").unwrap();
    for chunk in ["1KiB", "1000kB", "64KiB", "4MiB"] {
        let files = ["empty", "big.bin", "empty", "big.bin"];
        let args = [&["upload", "--json", "--chunk", chunk][..], &files].concat();
        let upload = Wharf::of(&server).run(&args).json();
        for (i, name) in files.iter().enumerate() {
            let expected = if *name == "empty" {
                sha256(b"")
            } else {
                sha256(&content)
            };
            assert_eq!(upload["files"][i]["sha256"], expected, "{chunk}");
        }
    }
}

#[test]
fn standard_input_and_pipes_are_read_to_their_end() {
    let server = Server::start();
    let content = noise(300_000, 4);
    let piped = Wharf::of(&server)
        .stdin(&content)
        .run(&["upload", "--json", "-"]);
    assert_eq!(piped.json()["name"], "stdin");
    assert_eq!(piped.json()["sha256"], sha256(&content));
    let named = Wharf::of(&server)
        .stdin(b"")
        .run(&["upload", "--json", "-", "--name", "a.csv"]);
    let named = named.json();
    assert_eq!(
        (&named["type"], &named["size"]),
        (&json!("text/csv"), &json!(0))
    );
    let version = Wharf::of(&server)
        .run(&["upload", "--json", "/proc/version"])
        .json();
    let expected = std::fs::read("/proc/version").unwrap();
    assert_eq!(version["sha256"], sha256(&expected));
    let fifo = server.dir().join("fifo");
    server.run("mkfifo", &["fifo"]);
    std::fs::write(server.dir().join("after.txt"), "after").unwrap();
    let child = Wharf::of(&server).spawn(&["upload", "--json", "fifo", "after.txt"]);
    let mut pipe = std::fs::OpenOptions::new().write(true).open(fifo).unwrap();
    pipe.write_all(&content).unwrap();
    drop(pipe);
    let upload = end_of(child).json();
    assert_eq!(upload["files"][0]["sha256"], sha256(&content));
    assert_eq!(upload["files"][1]["sha256"], sha256(b"after"));
}

#[test]
fn uploads_are_listed_shown_and_deleted() {
    let server = Server::with(&["--access", "admin:root"]);
    let mut ids = Vec::new();
    for i in 0..5 {
        let name = format!("f{i}.txt");
        std::fs::write(server.dir().join(&name), "x").unwrap();
        let field = format!("note=n{i}");
        let upload = Wharf::of(&server)
            .run(&["upload", "--json", &name, "-F", &field])
            .json();
        let word = |key: &str| upload[key].as_str().unwrap().to_owned();
        ids.push((word("id"), word("delete_token")));
    }
    let newest = |count: usize| -> Vec<String> {
        ids.iter()
            .rev()
            .take(count)
            .map(|(id, _)| id.clone())
            .collect()
    };
    let list = |args: &[&str]| Wharf::of(&server).done(&[&["list"], args].concat());
    assert_eq!(
        list(&["-q", "-n", "3"]).lines().collect::<Vec<_>>(),
        newest(3)
    );
    assert_eq!(
        list(&["-q", "--all"]).lines().collect::<Vec<_>>(),
        newest(5)
    );
    let table = list(&[]);
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["ID", "CREATED", "EXPIRES", "SIZE", "LEFT", "NAME"]);
    let first: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(
        (first[0], &first[2..]),
        (ids[4].0.as_str(), &["never", "1", "B", "-", "f4.txt"][..])
    );
    let lines = list(&["--json", "--limit", "1"]);
    let first: Value = serde_json::from_str(&lines).unwrap();
    assert_eq!(first["id"], ids[4].0);
    let shown = Wharf::of(&server)
        .run(&["show", "--json", &ids[1].0])
        .json();
    assert_eq!(shown["fields"]["note"][0], "n1");
    let shown = Wharf::of(&server).done(&["show", &ids[1].0]);
    assert!(
        shown.contains("note = n1") && shown.contains(&sha256(b"x")),
        "{shown}"
    );

    let code = |said: Said| said.code;
    // A sender that has kept no token.
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = || {
        let wharf = Wharf::of(&server);
        wharf.env("XDG_STATE_HOME", elsewhere.path().to_str().unwrap())
    };
    let delete = |token: &str, ids: &[&str]| {
        let wharf = stranger().env("WHARF_TOKEN", token);
        wharf.run(&[&["delete"], ids].concat())
    };
    assert_eq!(code(stranger().run(&["delete", &ids[0].0])), Some(4));
    let wrong = delete("nope", &[&ids[0].0]);
    assert_eq!(wrong.code, Some(5), "{wrong:?}");
    assert!(wrong.err.contains("was not there"), "{wrong:?}");
    let partly = delete(&ids[0].1, &[&ids[0].0, &ids[1].0]);
    assert_eq!(partly.out, format!("deleted {}\n", ids[0].0));
    assert_eq!(partly.code, Some(3), "{partly:?}");
    assert_eq!(code(delete("root", &[&ids[1].0, &ids[2].0])), Some(0));
    assert_eq!(code(Wharf::of(&server).run(&["show", &ids[1].0])), Some(5));
    for strange in ["..", ".", "a/b", "\u{e9}", "nope"] {
        assert_eq!(
            code(Wharf::of(&server).run(&["show", strange])),
            Some(5),
            "{strange}"
        );
        assert_ne!(code(delete("root", &[strange])), Some(0), "{strange}");
    }
    assert_eq!(list(&["-q"]).lines().count(), 2);
}

/// Runs it under time(1); answers its peak of memory, in KiB.
#[track_caller]
fn peak(server: &Server, args: &[&str]) -> u64 {
    let wharf = Wharf::under(&["/usr/bin/time", "-v"], server.dir());
    let said = wharf.env("WHARF_URL", &server.url("")).run(args);
    assert_eq!(said.code, Some(0), "{said:?}");
    let line = said
        .err
        .lines()
        .find(|line| line.contains("Maximum resident set size"));
    let kib = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    kib.unwrap_or_else(|| panic!("{}", said.err))
}

#[test]
fn a_file_of_any_size_takes_the_same_memory_both_ways() {
    let server = Server::with(&["--durability", "relaxed"]);
    let size = large(192 << 20);
    let file = std::fs::File::create(server.dir().join("sparse.bin")).unwrap();
    file.set_len(size).unwrap();
    std::fs::create_dir(server.dir().join("out")).unwrap();
    for args in [
        &["upload", "-q", "sparse.bin"][..],
        &["upload", "-q", "sparse.bin", "--chunk", "4MiB"],
        &["download", "-q", "sparse.bin", "-d", "out"],
    ] {
        let peak = peak(&server, args);
        assert!(peak < MEMORY, "{args:?} took {peak} KiB");
    }
    assert_eq!(
        std::fs::metadata(server.dir().join("out/sparse.bin"))
            .unwrap()
            .len(),
        size
    );
}
