//! The client and servers of other authors.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Foreign, Wharf, entries, noise, npm, sha256};

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wharf/clients");
const NAMES: [&str; 4] = [
    "plain.bin",
    "na\u{ef}ve \u{20ac} \u{65e5}\u{672c}.bin",
    "quote\"and space.bin",
    "semi;colon=100%22.txt",
];

/// Sends text and files to a server that says what it read.
fn send_to(server: &Foreign) {
    let dir = tempfile::tempdir().unwrap();
    let sizes = [0, 70_000, 1_500_000, 7];
    let mut expected = vec![("note", "", "caf\u{e9} \u{1f980}".as_bytes().to_vec())];
    expected.push(("a \"b\"", "", b"1\r\n2".to_vec()));
    for (name, size) in NAMES.iter().zip(sizes) {
        let content = noise(size, size as u64);
        std::fs::write(dir.path().join(name), &content).unwrap();
        expected.push(("file", name, content));
    }
    let upload = |stdin: Option<&[u8]>| -> Value {
        let mut args = vec!["upload", "--json", "--to", &server.address];
        args.extend(["-F", "note=caf\u{e9} \u{1f980}", "-F", "a \"b\"=1\r\n2"]);
        args.extend(NAMES);
        args.extend(stdin.map(|_| "-"));
        let said = Wharf::at(dir.path())
            .stdin(stdin.unwrap_or_default())
            .run(&args);
        assert_eq!(said.code, Some(0), "{said:?}");
        said.json()
    };
    let check = |said: &Value, expected: &[(&str, &str, Vec<u8>)]| {
        let parts = said["parts"].as_array().unwrap();
        assert_eq!(parts.len(), expected.len());
        for (part, (field, name, content)) in parts.iter().zip(expected) {
            assert_eq!(part["field"], *field);
            assert_eq!(part["filename"], *name);
            assert_eq!(part["size"], content.len());
            assert_eq!(part["sha256"], sha256(content), "{name}");
        }
    };
    let said = upload(None);
    check(&said, &expected);
    assert_eq!(said["parts"][2]["type"], "application/octet-stream");
    assert_eq!(said["parts"][5]["type"], "text/plain");
    assert_eq!(said["chunked"], false);
    assert!(said["length"].as_u64().unwrap() > 1_570_007);

    // It took the form; its answer is no record with an id to be printed.
    for args in [
        &["--print", "id"][..],
        &["--print=url"],
        &["--print=token"],
        &["-q"],
    ] {
        let wharf = Wharf::at(dir.path()).env("WHARF_URL", &server.address);
        let said = wharf.run(&[&["upload", NAMES[0]], args].concat());
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
        assert!(said.err.contains(&server.address), "{said:?}");
    }
    let wharf = Wharf::at(dir.path()).env("WHARF_URL", &server.address);
    assert!(wharf.done(&["upload", NAMES[0]]).contains("\"parts\""));

    let said = upload(Some(b"from a pipe"));
    expected.push(("file", "stdin", b"from a pipe".to_vec()));
    check(&said, &expected);
    assert_eq!(said["chunked"], true);
}

#[test]
fn forms_go_to_go() {
    send_to(&Foreign::go(&format!("{CLIENTS}/go_server.go")));
}

#[test]
fn forms_go_to_aiohttp() {
    let python = std::env::var("WHARF_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut command = Command::new(python);
    send_to(&Foreign::start(
        command.arg(format!("{CLIENTS}/aiohttp_server.py")),
    ));
}

#[test]
fn forms_go_to_busboy() {
    let mut command = Command::new("node");
    command.env("NODE_PATH", npm("busboy").parent().unwrap());
    send_to(&Foreign::start(
        command.arg(format!("{CLIENTS}/busboy_server.cjs")),
    ));
}

#[test]
fn forms_come_from_go() {
    let server = Foreign::go(&format!("{CLIENTS}/go_server.go"));
    let download = |dir: &Path, args: &[&str]| {
        let wharf = Wharf::at(dir).env("WHARF_URL", &server.address);
        wharf.run(&[&["download"], args].concat())
    };
    let dir = tempfile::tempdir().unwrap();
    let said = download(dir.path(), &["plain", "--fields"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(
        said.out,
        "{\"note\":[\"caf\u{e9} \u{1f980}\",\"second\"]}\n"
    );
    for name in [
        "na\u{ef}ve \u{20ac} \u{65e5}\u{672c}.bin",
        "quote\"and space.bin",
    ] {
        // As the server would store it: Windows forbids the quote.
        let here = dir.path().join(name.replace('"', "_"));
        let content = std::fs::read(here).unwrap();
        assert!(content == name.repeat(100_000).as_bytes(), "{name}");
    }
    assert_eq!(download(dir.path(), &["nothing"]).code, Some(5));

    // A form that ends without its close delimiter: whole files are kept, and no more.
    let dir = tempfile::tempdir().unwrap();
    let said = download(dir.path(), &["open"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("form is broken"), "{said:?}");
    assert_eq!(entries(dir.path()), ["whole.txt"]);

    let dir = tempfile::tempdir().unwrap();
    let said = download(dir.path(), &["damaged"]);
    assert_eq!(said.code, Some(3));
    for part in [
        "digest.txt arrived damaged: its sha-256 is",
        "size.txt arrived damaged: 4 bytes instead of 5",
        "nonsense.txt",
    ] {
        assert!(said.err.contains(part), "{said:?}");
    }
    assert_eq!(entries(dir.path()), ["first.txt", "last.txt"]);
}

#[test]
fn names_from_a_server_stay_in_the_directory() {
    let server = Foreign::go(&format!("{CLIENTS}/go_server.go"));
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("a/b/c");
    std::fs::create_dir_all(&dir).unwrap();
    let victim = root.path().join("victim.txt");
    std::fs::write(&victim, "untouched").unwrap();
    std::os::unix::fs::symlink(&victim, dir.join("link")).unwrap();
    let wharf = || Wharf::at(root.path()).env("WHARF_URL", &server.address);
    let said = wharf().run(&["download", "hostile", "-d", "a/b/c"]);
    assert_eq!(said.code, Some(3));
    assert!(said.err.contains("a/b/c/link exists already"), "{said:?}");
    let long = format!("{}l.txt", "long ".repeat(39));
    let expected = [
        "TWIN (2).TXT",
        "_.hidden",
        "_con.txt",
        "a",
        "esc[31m.txt",
        "escape.txt",
        "file",
        "file (2)",
        "file (3)",
        "linebreak.txt",
        "link",
        &long,
        "sub",
        "trailing",
        "twin.txt",
        "wharf-absolute.txt",
        "win.ini",
    ];
    assert_eq!(entries(&dir), expected);
    assert_eq!(entries(&dir.join("a")), ["b.txt"]);
    assert_eq!(entries(&dir.join("sub")), ["file"]);
    assert!(
        std::fs::symlink_metadata(dir.join("link"))
            .unwrap()
            .is_symlink()
    );
    let said = wharf().run(&["download", "hostile", "-d", "a/b/c", "--force"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(entries(&dir), expected);
    assert!(
        std::fs::symlink_metadata(dir.join("link"))
            .unwrap()
            .is_file()
    );
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
    assert_eq!(entries(root.path()), ["a", "victim.txt"]);
    assert!(!Path::new("/tmp/wharf-absolute.txt").exists());
}
