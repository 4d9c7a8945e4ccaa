//! Downloads that the kernel sends by itself, and the same ones that are read and written.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::net::UnixStream;

use crate::slow::over_http_2;
use crate::support::{Connection, Form, Response, Server, Setup, noise, sha256, wait_until};

const MIB: usize = 1 << 20;

/// A server for each way, with its name.
fn both() -> [(&'static str, Server); 2] {
    ["on", "off"].map(|way| (way, Server::with(&["--sendfile", way])))
}

/// Bytes of files that have gone by the kernel, and that were read.
fn ways(server: &Server) -> [u64; 2] {
    let secret = [("Authorization", "Bearer operator")];
    let text = server.request("GET", "/metrics", &secret, b"").text();
    ["sendfile", "read"].map(|way| {
        let name = format!("wharf_files_read_bytes_total{{way=\"{way}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&name));
        value
            .unwrap_or_else(|| panic!("{name}: {text}"))
            .parse()
            .unwrap()
    })
}

fn id_of(json: &serde_json::Value) -> String {
    json["id"].as_str().unwrap().to_owned()
}

/// The path of a stored file on the disk.
fn stored(server: &Server, id: &str, name: &str) -> std::path::PathBuf {
    server.store().join(&id[..2]).join(format!("{id}-{name}"))
}

/// The bytes that the log says were sent of the last answer to `path`, and whether it was broken
/// off.
fn logged(server: &Server, path: &str) -> (u64, bool) {
    let line = || {
        let log = server.log();
        let found = log
            .lines()
            .rfind(|line| line.contains(&format!("GET {path} 20")));
        found.map(str::to_owned)
    };
    wait_until("it is logged", || line().is_some());
    let line = line().unwrap();
    let sent = line.split("response_bytes=").nth(1).unwrap();
    let sent = sent.split(' ').next().unwrap().parse().unwrap();
    (sent, line.contains("(broken off)"))
}

#[test]
fn whole_files_ranges_and_forms_are_the_same_by_both_ways() {
    let contents = [noise(3 * MIB + 17, 1), noise(700_000, 2), noise(1000, 3)];
    let mut bodies: [Vec<Vec<u8>>; 2] = Default::default();
    for ((way, server), bodies) in both().iter().zip(&mut bodies) {
        let form = Form::new()
            .text("before", "text")
            .file("f", "a.bin", &contents[0])
            .file("f", "b.bin", &contents[1])
            .text("between", &"t".repeat(50_000))
            .file("f", "c.bin", &contents[2])
            .file("f", "a2.bin", &contents[0]);
        let id = id_of(&server.upload(&form));
        let (raw, form) = (format!("/files/{id}/a.bin"), format!("/download/{id}"));
        let mut connection = Connection::open(server.address);
        let mut get = |path: &str, range: &str, method: &str| -> Response {
            let range = match range {
                "" => String::new(),
                range => format!("Range: bytes={range}\r\n"),
            };
            let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{range}\r\n");
            connection.send(head.as_bytes());
            connection.response(method == "HEAD").unwrap()
        };
        let whole = get(&raw, "", "GET");
        assert!(whole.whole && whole.body == contents[0], "{way}");
        let whole = get(&form, "", "GET").body;
        for (path, whole) in [(&raw, &contents[0]), (&form, &whole)] {
            let len = whole.len();
            assert!(get(path, "", "HEAD").body.is_empty());
            for (range, from, to) in [
                ("1-".to_owned(), 1, len),
                (format!("{}-", len - 400_000), len - 400_000, len),
                ("100000-1300000".to_owned(), 100_000, 1_300_001),
                ("0-262143".to_owned(), 0, 262_144),
                ("5-262149".to_owned(), 5, 262_150),
            ] {
                let part = get(path, &range, "GET");
                assert_eq!(part.status, 206);
                assert!(part.body == whole[from..to], "{way} {path} {range}");
            }
        }
        let several = get(&raw, "0-799999,1000000-1999999", "GET");
        assert_eq!(several.status, 206);
        let found = |part: &[u8]| memchr::memmem::find(&several.body, part).is_some();
        assert!(found(&contents[0][..800_000]) && found(&contents[0][1_000_000..2_000_000]));
        let [sent, read] = ways(server);
        match *way {
            "on" => assert!(sent > 20 * MIB as u64 && read < MIB as u64, "{sent} {read}"),
            _ => assert!(sent == 0 && read > 20 * MIB as u64, "{sent} {read}"),
        }
        let multipart = whole[..].windows(2).position(|two| two == b"\r\n").unwrap();
        bodies.extend([whole[multipart..multipart + 40].to_vec()]);
    }
    assert!(bodies[0] == bodies[1]);
}

#[test]
fn by_default_both_ways_are_tried() {
    let server = Server::with(&["--log", "wharf=debug"]);
    let content = noise(32 * MIB, 1);
    server.upload(&Form::new().file("f", "big.bin", &content));
    assert!(server.get("/files/big.bin").body == content);
    let [sent, read] = ways(&server);
    assert!(sent > 0 && read > 0, "{sent} {read}");
    assert_eq!(sent + read, content.len() as u64);
}

#[test]
fn requests_that_come_together_are_answered_one_after_the_other() {
    for (way, server) in both() {
        let contents = [noise(2 * MIB, 1), noise(600_000, 2), noise(10, 3)];
        let mut ids = Vec::new();
        for (name, content) in ["a", "b", "c"].iter().zip(&contents) {
            ids.push(id_of(&server.upload(&Form::new().file("f", name, content))));
        }
        let mut connection = Connection::open(server.address);
        let order = [0, 2, 1, 0, 2];
        let requests = order.map(|i| {
            let name = ["a", "b", "c"][i];
            format!("GET /files/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n")
        });
        connection.send(requests.concat().as_bytes());
        for i in order {
            let answer = connection.response(false).unwrap();
            assert!(answer.body == contents[i], "{way} {i}");
            assert_eq!(answer.header("connection"), None);
        }
        // Closed by its end, without a length that is relied on.
        let request = format!("GET /files/{}/a HTTP/1.0\r\n\r\n", ids[0]);
        connection.send(request.as_bytes());
        assert!(connection.response(false).unwrap().body == contents[0]);
        assert!(connection.is_closed());
    }
}

#[test]
fn a_unix_socket_takes_files_too_and_http_2_does_not() {
    let content = noise(5 * MIB, 1);
    let server = Setup::new()
        .for_everybody()
        .args(&[
            "--access",
            "admin:operator",
            "--sendfile",
            "on",
            "--listen",
            "unix:socket",
            "--listen",
            "127.0.0.1:0",
        ])
        .start();
    server.upload(&Form::new().file("f", "big.bin", &content));
    let ask = |path: &str| {
        let mut stream = UnixStream::connect(server.dir().join("socket")).unwrap();
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    };
    assert!(ask("/files/big.bin").ends_with(&content));
    let before = ways(&server);
    assert_eq!(before[1], 0);
    let digest = over_http_2(&server, "slow", "/files/big.bin");
    assert_eq!(digest, sha256(&content));
    let after = ways(&server);
    assert_eq!(after[0], before[0]);
    assert_eq!(after[1], content.len() as u64);
}

#[test]
fn a_file_that_is_cut_under_its_reader_breaks_the_connection() {
    for (way, server) in both() {
        let content = noise(40 * MIB, 1);
        let id = id_of(&server.upload(&Form::new().file("f", "big.bin", &content)));
        let path = format!("/files/{id}/big.bin");
        let mut connection = Connection::open(server.address);
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        let mut status = [0; 12];
        connection.stream().read_exact(&mut status).unwrap();
        let file = stored(&server, &id, "big.bin");
        let file = File::options().write(true).open(file).unwrap();
        file.set_len(20 * MIB as u64).unwrap();
        let mut rest = Vec::new();
        let _ = connection.stream().read_to_end(&mut rest);
        let head = memchr::memmem::find(&rest, b"\r\n\r\n").unwrap() + 4;
        let body = &rest[head..];
        assert!(
            body.len() <= 20 * MIB && *body == content[..body.len()],
            "{way}"
        );
        server.says("big.bin became shorter");
        server.says(&format!("{path} broke off"));
        let (sent, broken) = logged(&server, &path);
        assert!(broken, "{way}");
        // Bytes that hyper had taken and not written count where they were read.
        let more = if way == "on" { 0 } else { MIB as u64 };
        let got = body.len() as u64;
        assert!((got..=got + more).contains(&sent), "{way}: {got} of {sent}");
    }
}

#[test]
fn a_file_that_is_changed_under_its_reader_is_still_a_whole_answer() {
    // As before: the bytes are read that are there by then.
    for (way, server) in both() {
        let id = id_of(&server.upload(&Form::new().file("f", "big.bin", &noise(20 * MIB, 1))));
        let mut connection = Connection::open(server.address);
        let request = format!("GET /files/{id}/big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
        connection.send(request.as_bytes());
        let file = stored(&server, &id, "big.bin");
        let file = File::options().write(true).open(file).unwrap();
        let end = 20 * MIB as u64 - 10;
        std::os::unix::fs::FileExt::write_all_at(&file, b"0123456789", end).unwrap();
        let answer = connection.response(false).unwrap();
        assert!(
            answer.whole && answer.body.ends_with(b"0123456789"),
            "{way}"
        );
    }
}

#[test]
fn what_a_reader_that_leaves_did_not_get_does_not_count() {
    for (way, server) in both() {
        let content = noise(60 * MIB, 1);
        server.upload(&Form::new().file("f", "big.bin", &content));
        let mut connection = Connection::open(server.address);
        connection.send(b"GET /files/big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut some = vec![0; 5 * MIB];
        connection.stream().read_exact(&mut some).unwrap();
        drop(connection);
        let (sent, broken) = logged(&server, "/files/big.bin");
        // Sockets hold some megabytes.
        assert!(
            broken && sent >= 5 * MIB as u64 && sent < 50 * MIB as u64,
            "{way} {sent}"
        );
        // All of it, and nothing more, counts.
        assert!(server.get("/files/big.bin").body == content);
        assert_eq!(
            logged(&server, "/files/big.bin"),
            (content.len() as u64, false)
        );
        wait_until("it is counted", || {
            let counted = server.metric("wharf_http_response_body_bytes_total") as u64;
            counted >= content.len() as u64 + sent
                && counted < content.len() as u64 + sent + 100_000
        });
    }
}

#[test]
fn a_limited_download_is_counted_before_its_last_block() {
    for (way, server) in both() {
        let content = noise(40 * MIB, 1);
        let form = Form::new().file("f", "once.bin", &content);
        let stored = server.post_to("/upload?max_downloads=1", &form, &[]);
        let id = id_of(&stored.json());
        let path = format!("/files/{id}/once.bin");
        let open = || {
            let mut connection = Connection::open(server.address);
            connection.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
            connection
        };
        // One that leaves takes none.
        let mut some = vec![0; MIB];
        let left = open();
        left.stream().read_exact(&mut some).unwrap();
        drop(left);
        wait_until("it was given up", || server.log().contains("(broken off)"));
        let mut whole = open();
        let answer = whole.response(false).unwrap();
        assert!(
            answer.status == 200 && answer.body == content,
            "{way}: {}",
            answer.status
        );
        assert_eq!(open().response(false).unwrap().status, 404, "{way}");
        // The connection goes on.
        whole.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(whole.response(false).unwrap().status, 200);
    }
}

#[test]
fn a_download_under_way_ends_whole_when_the_server_is_told_to_end() {
    for (way, mut server) in both() {
        let content = noise(40 * MIB, 1);
        server.upload(&Form::new().file("f", "big.bin", &content));
        let mut connection = Connection::open(server.address);
        connection.send(b"GET /files/big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut line = [0; 15];
        connection.stream().read_exact(&mut line).unwrap();
        assert_eq!(&line[..12], b"HTTP/1.1 200");
        server.signal(15);
        server.says("SIGTERM: ending");
        let mut rest = Vec::new();
        connection.stream().read_to_end(&mut rest).unwrap();
        assert!(rest.ends_with(&content), "{way}: {} bytes", rest.len());
        assert!(server.wait().success(), "{way}");
    }
}

#[test]
fn what_is_not_in_memory_is_read_on_a_thread() {
    let server = Server::with(&["--sendfile", "on"]);
    let content = noise(8 * MIB, 1);
    let id = id_of(&server.upload(&Form::new().file("f", "cold.bin", &content)));
    let path = format!("/files/{id}/cold.bin");
    assert!(server.get(&path).body == content);
    let [sent, read] = ways(&server);
    assert_eq!((sent, read), (content.len() as u64, 0));
    let forget = || {
        let file = File::open(stored(&server, &id, "cold.bin")).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    };
    forget();
    assert!(server.get(&path).body == content);
    assert!(ways(&server)[1] > 0, "its first block is not in memory");
    // A reader that stops has a file due whose pages go meanwhile.
    let mut connection = Connection::open(server.address);
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    connection.wait_until_full();
    forget();
    assert!(connection.response(false).unwrap().body == content);
}
