//! What a server takes, asked by the client before the first byte of a folder.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

use crate::support::{Cutter, Server, Wharf};

/// A server with this setting, a folder beside its store with four files, and a way to the server that
/// sees the requests.
fn beside_a_folder(setting: &[&str]) -> (Server, Cutter) {
    let server = Server::with(setting);
    let folder = server.dir().join("it");
    std::fs::create_dir(&folder).unwrap();
    for name in ["a", "b", "c"] {
        std::fs::write(folder.join(name), name).unwrap();
    }
    std::fs::write(folder.join("large.bin"), [0; 3000]).unwrap();
    let path = Cutter::to(server.address, &[]);
    (server, path)
}

#[test]
fn a_folder_that_the_server_does_not_take_is_not_sent() {
    for (setting, said) in [
        (
            ["--max-files", "3"],
            "takes no more than 3 files in one upload (max_files), and these are 4: nothing was sent",
        ),
        (
            ["--max-file-size", "2KiB"],
            "takes no more than 2KiB in a file in one upload (max_file_size), and it/large.bin has 3000 bytes: nothing was sent",
        ),
        (
            ["--max-request-size", "2KiB"],
            "takes no more than 2KiB in one upload (max_request_size), and this is 3003 bytes: nothing was sent",
        ),
        (
            ["--max-fields-size", "60"],
            "takes no more than 60 bytes of names and text fields in one upload (max_fields_size), and this is",
        ),
    ] {
        let (server, path) = beside_a_folder(&setting);
        let wharf = || Wharf::at(server.dir()).env("WHARF_URL", &path.url());
        let refused = wharf().run(&["put", "-r", "it"]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains(said), "{refused:?}");
        let json = wharf().run(&["put", "-r", "it", "--json"]);
        let problem: serde_json::Value = serde_json::from_str(&json.err).unwrap();
        assert_eq!(problem["code"], "limit-exceeded");
        let name = setting[0].trim_start_matches('-').replace('-', "_");
        assert_eq!(problem["setting"], name);
        let heads = path.heads();
        assert!(
            heads
                .iter()
                .all(|head| head.starts_with("GET / HTTP/1.1\r\n")),
            "{heads:?}"
        );
        assert_eq!(server.files(), [""; 0]);
        // What it takes is sent.
        wharf().done(&["put", "-r", "it/a", "-q"]);
    }
}

/// A server that is none of wharf's says nothing of limits, and is sent the form.
#[test]
fn a_server_that_says_nothing_of_limits_is_sent_the_folder() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut block = [0; 4096];
            while !request.ends_with(b"\r\n\r\n") && !request.ends_with(b"--\r\n") {
                match stream.read(&mut block) {
                    Ok(read @ 1..) => request.extend_from_slice(&block[..read]),
                    _ => break,
                }
            }
            let text = String::from_utf8_lossy(&request);
            let line = text.lines().next().unwrap_or_default().to_owned();
            let body = match line.starts_with("POST") {
                true => "thanks",
                false => "<html>{\"name\":\"other\",\"limits\":{\"max_files\":1}}",
            };
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/html";
            let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes());
            if asked.send(line).is_err() {
                return;
            }
        }
    });
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("it")).unwrap();
    for name in ["a", "b"] {
        std::fs::write(dir.path().join("it").join(name), name).unwrap();
    }
    let said = Wharf::at(dir.path()).env("WHARF_URL", &url);
    assert_eq!(said.done(&["put", "-r", "it"]), "thanks\n");
    let lines: Vec<String> = requests.try_iter().collect();
    assert_eq!(lines, ["GET / HTTP/1.1", "POST /upload HTTP/1.1"]);
}
