//! Transfers that break, and go on.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Cutter, Form, Server, Wharf, end_of, entries, noise};

fn stored(content: &[u8]) -> (Server, String) {
    let server = Server::start();
    let form = Form::new()
        .text("note", "kept")
        .file("f", "a.bin", content)
        .file("f", "b.bin", &content[..content.len() / 3]);
    let id = server.upload(&form)["id"].as_str().unwrap().to_owned();
    (server, id)
}

fn through(cutter: &Cutter, server: &Server, name: &str) -> Wharf {
    let dir = server.dir().join(name);
    std::fs::create_dir(&dir).unwrap();
    Wharf::at(&dir).env("WHARF_URL", &cutter.url())
}

#[test]
fn a_form_goes_on_where_it_broke() {
    let content = noise(3_000_000, 5);
    let (server, id) = stored(&content);
    // In the head, in a part's head, in data, in the second file, in the close delimiter.
    let total = server.get(&format!("/download/{id}")).body.len();
    let cuts = [700, 200_000, 1_000_003, 2_000_000, total - 3_200_000 + 300];
    let cutter = Cutter::to(server.address, &cuts);
    let wharf = through(&cutter, &server, "out");
    let said = wharf.run(&["download", &id, "--fields", "--retries", "2"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.out, "{\"note\":[\"kept\"]}\n");
    assert!(said.err.contains("going on from byte"), "{said:?}");
    let out = server.dir().join("out");
    assert_eq!(entries(&out), ["a.bin", "b.bin"]);
    assert!(std::fs::read(out.join("a.bin")).unwrap() == content);
    assert!(std::fs::read(out.join("b.bin")).unwrap() == content[..1_000_000]);
    let heads = cutter.heads();
    assert!(heads.len() >= cuts.len(), "{heads:?}");
    let ranges = heads
        .iter()
        .filter(|head| head.contains("range: bytes=") && head.contains("if-range: \""));
    assert!(ranges.count() >= cuts.len() - 1, "{heads:?}");
}

#[test]
fn standard_output_is_resumed_as_well() {
    let content = noise(900_000, 6);
    let (server, id) = stored(&content);
    let cutter = Cutter::to(server.address, &[300_000, 300_000]);
    let wharf = through(&cutter, &server, "out");
    let said = wharf.run(&["download", "-q", &format!("{id}/a.bin"), "-o", "-"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert!(said.bytes == content);
}

#[test]
fn what_brings_nothing_is_given_up_and_leaves_nothing() {
    let content = noise(900_000, 7);
    let (server, id) = stored(&content);
    let cutter = Cutter::to(server.address, &[500_000, 10, 10, 10]);
    let said = through(&cutter, &server, "out").run(&["download", &id, "--retries", "2"]);
    assert_eq!(said.code, Some(6), "{said:?}");
    assert!(said.err.contains(&cutter.url()), "{said:?}");
    assert_eq!(entries(&server.dir().join("out")), [""; 0]);
    assert_eq!(cutter.heads().len(), 3);

    // The first file is whole: that is said, and it stays.
    let cutter = Cutter::to(server.address, &[1_000_000, 10]);
    let said = through(&cutter, &server, "part").run(&["download", &id, "--retries", "1"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(3), "a.bin\n"),
        "{said:?}"
    );
    assert!(said.err.contains("1 file is complete"), "{said:?}");
    assert_eq!(entries(&server.dir().join("part")), ["a.bin"]);
    let said = through(&cutter, &server, "none").run(&["download", "-q", "nope"]);
    assert_eq!(said.code, Some(5));
}

#[test]
fn an_upload_that_breaks_is_not_stored() {
    let server = Server::start();
    std::fs::write(server.dir().join("big.bin"), noise(3_000_000, 1)).unwrap();
    let cutter = Cutter::to(server.address, &[1]);
    let wharf = Wharf::at(server.dir()).env("WHARF_URL", &cutter.url());
    let said = wharf.run(&["upload", "big.bin"]);
    assert_eq!(said.code, Some(6), "{said:?}");
    assert!(said.err.contains("may have been stored"), "{said:?}");
}

/// Answers each connection with the next of these, and closes it.
fn scripted(answers: impl IntoIterator<Item = Vec<u8>> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            let _ = stream.write_all(&answer);
        }
    });
    url
}

/// An answer whose body is cut at `len` bytes.
fn answer(status: &str, headers: &str, body: &str, len: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: multipart/form-data; boundary=B\r\n\
         Content-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), &body.as_bytes()[..len.min(body.len())]].concat()
}

fn form(first: &str, second: &str) -> String {
    let part = |name: &str, content: &str| {
        format!(
            "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\n\r\n{content}\r\n"
        )
    };
    format!(
        "{}{}--B--\r\n",
        part("one.txt", first),
        part("two.txt", second)
    )
}

#[test]
fn a_form_that_changed_begins_anew() {
    let (old, new) = (
        form("old one", "old two"),
        form("the new one", "the new two"),
    );
    let cut = old.len() - 15;
    let dir = tempfile::tempdir().unwrap();
    let run = |answers: Vec<Vec<u8>>, args: &[&str]| {
        let url = scripted(answers);
        Wharf::at(dir.path())
            .env("WHARF_URL", &url)
            .run(&[&["download", "x"], args].concat())
    };
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    // Another ETag: the first file, which was complete, is replaced by its own successor.
    let said = run(
        vec![
            answer("200 OK", "ETag: \"a\"\r\n", &old, cut),
            answer("200 OK", "ETag: \"b\"\r\n", &new, 999),
        ],
        &[],
    );
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(
        (read("one.txt"), read("two.txt")),
        ("the new one".into(), "the new two".into())
    );
    assert_eq!(entries(dir.path()), ["one.txt", "two.txt"]);
    // The same ETag again: a server without ranges; known bytes are passed over.
    let whole = answer("200 OK", "ETag: \"a\"\r\n", &old, 999);
    let said = run(
        vec![answer("200 OK", "ETag: \"a\"\r\n", &old, cut), whole],
        &["-f"],
    );
    assert_eq!((said.code, read("two.txt")), (Some(0), "old two".into()));
    // No ETag, or a weak one: from the start.
    for headers in ["", "ETag: W/\"a\"\r\n"] {
        let said = run(
            vec![
                answer("200 OK", headers, &old, cut),
                answer("200 OK", headers, &new, 999),
            ],
            &["-f"],
        );
        assert_eq!(
            (said.code, read("two.txt")),
            (Some(0), "the new two".into())
        );
    }
    // Not now, and then the rest.
    let rest = format!(
        "ETag: \"a\"\r\nContent-Range: bytes {cut}-{}/{}\r\n",
        old.len() - 1,
        old.len()
    );
    let said = run(
        vec![
            answer("200 OK", "ETag: \"a\"\r\n", &old, cut),
            answer("503 Not Now", "Retry-After: 1\r\n", "", 0),
            answer("206 Partial Content", &rest, &old[cut..], 999),
        ],
        &["-f"],
    );
    assert_eq!(
        (said.code, read("two.txt")),
        (Some(0), "old two".into()),
        "{said:?}"
    );
    // Another part than was asked for is not taken for it.
    let wrong = format!("ETag: \"a\"\r\nContent-Range: bytes 0-9/{}\r\n", old.len());
    let said = run(
        vec![
            answer("200 OK", "ETag: \"a\"\r\n", &old, 20),
            answer("206 Partial Content", &wrong, &old[..10], 999),
        ],
        &["-f"],
    );
    assert_eq!(said.code, Some(1), "{said:?}");
    // Gone meanwhile.
    let said = run(
        vec![
            answer("200 OK", "ETag: \"a\"\r\n", &old, 20),
            answer("404 Not Found", "", "", 0),
        ],
        &["-f"],
    );
    assert_eq!(said.code, Some(5), "{said:?}");
    // Bytes that were written out cannot be taken back.
    let one = form("old one", "").replace("filename=\"two.txt\"", "x=y");
    let said = run(
        vec![
            answer("200 OK", "ETag: \"a\"\r\n", &one, one.len() - 20),
            answer("200 OK", "", &new, 999),
        ],
        &["-o", "-"],
    );
    assert_eq!(said.code, Some(3));
    assert!(
        said.err.contains("changed on the server after 7 bytes"),
        "{said:?}"
    );
}

#[test]
fn a_form_that_breaks_at_the_same_byte_each_time_is_given_up() {
    let old = form("old one", "old two");
    // Without an ETag it comes from its start each time: the bytes before the break are not new.
    let given = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&given);
    let answers = (0..12).map(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        answer("200 OK", "", &old, 40)
    });
    let dir = tempfile::tempdir().unwrap();
    let said = Wharf::at(dir.path())
        .env("WHARF_URL", &scripted(answers))
        .run(&["download", "x", "--retries", "2"]);
    assert_eq!(said.code, Some(6), "{said:?}");
    // Three were sent, and one more is ready for the next connection.
    assert!(given.load(Ordering::Relaxed) <= 4, "{said:?}");
    assert_eq!(entries(dir.path()), [""; 0]);
}

#[test]
fn what_is_left_of_the_form_before_is_said() {
    let old = form("old one", "old two");
    let new = form("the other", "the new two").replace("one.txt", "other.txt");
    let cut = old.len() - 15;
    let run = |answers: Vec<Vec<u8>>| {
        let dir = tempfile::tempdir().unwrap();
        let url = scripted(answers);
        let wharf = Wharf::at(dir.path()).env("WHARF_URL", &url);
        (wharf.run(&["download", "x"]), entries(dir.path()))
    };
    let begun = answer("200 OK", "ETag: \"a\"\r\n", &old, cut);
    let (said, files) = run(vec![
        begun.clone(),
        answer("200 OK", "ETag: \"b\"\r\n", &new, 999),
    ]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "other.txt\ntwo.txt\n"),
        "{said:?}"
    );
    assert!(
        said.err
            .contains("wharf: one.txt is of the form as it was before"),
        "{said:?}"
    );
    assert_eq!(files, ["one.txt", "other.txt", "two.txt"]);
    // The new form does not come: the file of the one before is what was done.
    let (said, files) = run(vec![
        begun,
        answer("200 OK", "ETag: \"b\"\r\n", &new, 20),
        answer("404 Not Found", "", "", 0),
    ]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(3), "one.txt\n"),
        "{said:?}"
    );
    assert!(said.err.contains("1 file is complete"), "{said:?}");
    assert_eq!(files, ["one.txt"]);
}

#[test]
fn a_listing_ends_with_its_reader_and_goes_nowhere_twice() {
    let dir = tempfile::tempdir().unwrap();
    let page = |n: u64| {
        let upload =
            format!("\"id\":\"u{n}\",\"url\":\"x\",\"created_at\":\"2026-01-01T00:00:00Z\"");
        let body = format!("{{\"uploads\":[{{{upload}}}],\"next_cursor\":\"c{n}\"}}");
        answer("200 OK", "Connection: close\r\n", &body, body.len())
    };
    let wharf = |url: &str| Wharf::at(dir.path()).env("WHARF_URL", url);
    let endless = scripted((0..).map(page));
    let mut child = wharf(&endless).spawn(&["list", "-q", "--all"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    drop(out);
    let said = end_of(child);
    assert_eq!((line.as_str(), said.code), ("u0\n", Some(0)), "{said:?}");
    assert_eq!(said.err, "");
    let said = wharf(&scripted([page(7), page(7)])).run(&["list", "-q", "--all"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(1), "u7\nu7\n"),
        "{said:?}"
    );
    assert!(
        said.err.contains("goes on where it was, after \"c7\""),
        "{said:?}"
    );
}

#[test]
fn answers_that_are_no_listing_are_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    for body in ["<html>", "[]", "{}", "7", "{\"uploads\": 1}"] {
        let url = scripted(vec![answer("200 OK", "", body, body.len())]);
        let said = Wharf::at(dir.path()).env("WHARF_URL", &url).run(&["list"]);
        assert_eq!(said.code, Some(1), "{body}: {said:?}");
        assert!(said.err.contains("it is no listing"), "{body}: {said:?}");
    }
}

#[test]
fn what_is_kept_of_an_endless_form_has_a_limit() {
    let name = "n".repeat(4000);
    let part = |more: &str| {
        format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n\r\n")
    };
    // Fields, and files that cannot be kept.
    for more in ["", "; filename=\"x\"\r\nContent-Length: 5"] {
        let form = part(more).repeat(18_000) + "--B--\r\n";
        let url = scripted([answer("200 OK", "", &form, form.len())]);
        let dir = tempfile::tempdir().unwrap();
        let wharf = Wharf::at(dir.path()).env("WHARF_URL", &url);
        let said = wharf.run(&["download", "x", "--retries", "0"]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(
            said.err
                .contains("its names and text fields take more than"),
            "{said:?}"
        );
        assert_eq!(entries(dir.path()), [""; 0]);
    }
}

#[test]
fn a_server_that_asks_for_time_is_given_it() {
    let dir = tempfile::tempdir().unwrap();
    let whole = answer("200 OK", "", &form("one", "two"), 999);
    let busy = |headers: &str| answer("503 Service Unavailable", headers, "busy", 999);
    let run = |answers: Vec<Vec<u8>>, args: &[&str]| {
        let url = scripted(answers);
        let wharf = Wharf::at(dir.path()).env("WHARF_URL", &url);
        wharf.run(&[&["download", "x", "-f"], args].concat())
    };
    let before = std::time::Instant::now();
    let said = run(vec![busy("Retry-After: 1\r\n"), whole.clone()], &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(before.elapsed() >= std::time::Duration::from_secs(1));
    assert!(said.err.contains("trying again in 1s"), "{said:?}");
    // A server that names no later time is asked once, and not for ever.
    let said = run(vec![busy(""), whole], &[]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let all = vec![busy("Retry-After: 0\r\n"); 3];
    let said = run(all, &["--retries", "2"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err.contains("503 Service Unavailable: busy"),
        "{said:?}"
    );
}
