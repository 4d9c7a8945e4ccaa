//! The messages of a client when something is wrong.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::disk::SmallDisk;
use crate::support::{Form, Said, Server, Wharf, end_of, entries, noise};

/// A server that reads the head of a request, and goes on when it is told.
fn slow_server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1);
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Uploads `big` and `small`, and does `change` when the request is under way and held up in the
/// middle of `big`. Answers with what was said, and checks that no whole form was sent.
fn upload_while(change: impl FnOnce(&Path, &Path)) -> Said {
    let dir = tempfile::tempdir().unwrap();
    let (big, small) = (dir.path().join("big"), dir.path().join("small"));
    std::fs::File::create(&big)
        .unwrap()
        .set_len(96 << 20)
        .unwrap();
    std::fs::write(&small, "small").unwrap();
    let (listener, url) = slow_server();
    let child = Wharf::at(dir.path())
        .env("WHARF_URL", &url)
        .spawn(&["upload", "big", "small"]);
    let (mut stream, _) = listener.accept().unwrap();
    let head = read_head(&mut stream);
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("the length is known").parse().unwrap();
    change(&big, &small);
    let mut body = 0;
    let mut block = vec![0; 1 << 20];
    // A reset ends it as well.
    while let Ok(read @ 1..) = stream.read(&mut block) {
        body += read;
        let end = String::from_utf8_lossy(&block[read.saturating_sub(8)..read]).into_owned();
        assert!(!end.ends_with("--\r\n"), "the form was closed");
    }
    assert!(body < length, "{body} of {length} bytes came");
    let said = end_of(child);
    assert_eq!(said.code, Some(1), "{said:?}");
    said
}

#[test]
fn a_file_that_changes_while_it_is_read_breaks_the_upload() {
    let append = |path: &Path| {
        let file = std::fs::OpenOptions::new().append(true).open(path);
        file.unwrap().write_all(b"more").unwrap();
    };
    let said = upload_while(|big, _| append(big));
    assert!(
        said.err.contains(
            "big changed while it was being read: it had 100663296 bytes and has 100663300"
        ),
        "{said:?}"
    );
    let said = upload_while(|big, _| {
        std::fs::OpenOptions::new()
            .write(true)
            .open(big)
            .unwrap()
            .set_len(80 << 20)
            .unwrap();
    });
    assert!(
        said.err
            .contains("big changed while it was being read: it has become shorter"),
        "{said:?}"
    );
    let said = upload_while(|_, small| append(small));
    assert!(
        said.err
            .contains("small changed while it was being read: it had 5 bytes and has 9"),
        "{said:?}"
    );
    let said = upload_while(|_, small| std::fs::remove_file(small).unwrap());
    assert!(said.err.contains("small: No such file"), "{said:?}");
    let said = upload_while(|big, small| {
        std::fs::write(big.with_file_name("other"), "other").unwrap();
        std::fs::rename(big.with_file_name("other"), small).unwrap();
    });
    assert!(
        said.err.contains("another file has taken its place"),
        "{said:?}"
    );
    let said = upload_while(|_, small| {
        let file = std::fs::File::options().write(true).open(small).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    });
    assert!(said.err.contains("it was written to"), "{said:?}");
}

#[test]
fn what_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("photos")).unwrap();
    let upload = |name: &str| {
        let wharf = Wharf::at(dir.path()).env("WHARF_URL", "http://127.0.0.1:1");
        wharf.run(&["upload", name])
    };
    let said = upload("photos");
    assert_eq!(
        (said.code, said.err.contains("photos is a directory")),
        (Some(1), true),
        "{said:?}"
    );
    let said = upload("gone.txt");
    assert_eq!(
        (said.code, said.err.contains("gone.txt: No such file")),
        (Some(1), true)
    );
}

#[test]
fn refusals_say_why() {
    let server = Server::with(&[
        "--max-file-size",
        "1KiB",
        "--access",
        "download+upload:hush",
    ]);
    std::fs::write(server.dir().join("big.bin"), noise(8 << 20, 3)).unwrap();
    let token = || Wharf::of(&server).env("WHARF_TOKEN", "hush");
    let said = token().run(&["upload", "big.bin"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("413") && said.err.contains("max_file_size (1KiB)"),
        "{said:?}"
    );
    assert_eq!(server.files(), [""; 0]);
    let said = Wharf::of(&server).run(&["upload", "big.bin"]);
    assert_eq!(said.code, Some(4), "{said:?}");
    let said = Wharf::of(&server).run(&["download", "big.bin"]);
    assert_eq!(said.code, Some(4), "{said:?}");
    let said = token().run(&["download", "no such \u{1b}[31mfile"]);
    assert_eq!(said.code, Some(5), "{said:?}");
    assert!(
        said.err.contains("no such") && !said.err.contains('\u{1b}'),
        "{said:?}"
    );
    assert_eq!(said.err.lines().count(), 1);
}

#[test]
fn no_server_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a"), "a").unwrap();
    for args in [
        &["upload", "a"][..],
        &["download", "a"],
        &["list"],
        &["show", "a"],
        &["delete", "a"],
        &["update", "a", "--title", "b"],
    ] {
        let args = [args, &["-s", "127.0.0.1:1"]].concat();
        let said = Wharf::at(dir.path()).run(&args);
        assert_eq!(said.code, Some(6), "{args:?}: {said:?}");
        let expected =
            "wharf: cannot reach http://127.0.0.1:1: Connection refused (os error 111)\n";
        assert_eq!(said.err, expected, "{args:?}");
    }
    let said = Wharf::at(dir.path()).run(&["list", "--from", "http://no-such-host.invalid"]);
    assert_eq!(
        (said.code, said.err.contains("no-such-host.invalid")),
        (Some(6), true),
        "{said:?}"
    );
    let said = Wharf::at(dir.path()).run(&["list", "--from", "gopher://x"]);
    assert_eq!(
        (said.code, said.err.contains("gopher://x")),
        (Some(2), true),
        "{said:?}"
    );
}

#[test]
fn silence_is_a_time_out() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a"), "a").unwrap();
    std::fs::File::create(dir.path().join("big"))
        .unwrap()
        .set_len(64 << 20)
        .unwrap();
    // The kernel accepts connections and as many bytes as fit into its buffers; no program reads or
    // answers.
    let (_listener, url) = slow_server();
    let socket = dir.path().join("w.sock");
    let _local = UnixListener::bind(&socket).unwrap();
    for server in [url, format!("unix:{}", socket.display())] {
        for args in [
            &["upload", "a"][..],
            &["upload", "big"],
            &["download", "a", "--retries", "1"],
            &["list"],
        ] {
            let args = [args, &["--timeout", "1s", "--from", &server]].concat();
            let child = Wharf::at(dir.path()).spawn(&args);
            let said = end_of(child);
            assert_eq!(said.code, Some(6), "{args:?}: {said:?}");
            assert!(said.err.contains(&server), "{args:?}: {said:?}");
        }
    }
}

#[test]
fn a_token_is_never_shown() {
    let secret = "hush-0123456789-hush";
    let server = Server::with(&["--access", &format!("upload+download+admin:{secret}")]);
    std::fs::write(server.dir().join("a.txt"), "a").unwrap();
    std::fs::write(server.dir().join("token"), format!("{secret}\n")).unwrap();
    let with_file = Wharf::of(&server).run(&["upload", "a.txt", "--token-file", "token"]);
    assert_eq!(with_file.code, Some(0), "{with_file:?}");
    let dead = "http://127.0.0.1:1";
    let mut all = vec![with_file];
    for args in [
        &["upload", "a.txt"][..],
        &["list", "--json"],
        &["upload", "a.txt", "--to", dead],
        &["download", "nope"],
        &["upload", "--help"],
        &["--help"],
        &["config"],
        &["list", "--from", &format!("http://user:{secret}@127.0.0.1")],
        &["list", "--from", &format!("{secret}@127.0.0.1:x:y")],
        &["list", "--token-file", "nowhere"],
        &["list", "--token", "x"],
    ] {
        all.push(Wharf::of(&server).env("WHARF_TOKEN", secret).run(args));
    }
    let proxy = format!("http://user:{secret}@127.0.0.1:1");
    let wharf = Wharf::of(&server).env("WHARF_TOKEN", secret);
    all.push(wharf.env("http_proxy", &proxy).run(&["list"]));
    assert_eq!(all.last().unwrap().code, Some(6));
    let odd = format!("{secret}\u{1}");
    all.push(Wharf::of(&server).env("WHARF_TOKEN", &odd).run(&["list"]));
    assert_eq!(all.last().unwrap().code, Some(2));
    for said in all {
        assert!(
            !said.out.contains(secret) && !said.err.contains(secret),
            "{said:?}"
        );
    }
    assert!(!server.log().contains(secret));
}

#[test]
fn a_full_disk_is_said_and_left_as_it_was() {
    let server = Server::start();
    let content = noise(12 << 20, 2);
    let form =
        Form::new()
            .file("f", "small.bin", &content[..1000])
            .file("f", "large.bin", &content);
    let id = server.upload(&form)["id"].as_str().unwrap().to_owned();
    let disk = SmallDisk::new("8m");
    let wharf = Wharf::at(&disk.0).env("WHARF_URL", &server.url(""));
    let said = wharf.run(&["download", &id]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(
        said.err.contains("large.bin: No space left on device"),
        "{said:?}"
    );
    assert_eq!(entries(&disk.0), ["small.bin"]);
    let said = Wharf::at(&disk.0)
        .env("WHARF_URL", &server.url(""))
        .run(&["download", "large.bin"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(entries(&disk.0), ["small.bin"]);
}
