//! On which thread files are closed: that of a large one which has no name any more gives back its
//! blocks meanwhile, and can answer no client.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::Value;

use crate::faults::Fault;
use crate::support::{Connection, Form, Server, UnderWay, noise, wait_until};

/// The threads of the server that closed files of its store which had no name any more, by their
/// own names, once there are some.
fn closers(server: &Server, trace: &Path) -> Vec<String> {
    let store = server.store().display().to_string();
    let mut closers = Vec::new();
    wait_until("the file is closed", || {
        let calls = std::fs::read_to_string(trace).unwrap_or_default();
        let of_store = calls
            .lines()
            .filter(|line| line.contains(&store) && line.contains("(deleted)"));
        let thread = |line: &str| {
            let task = line.split(' ').next().unwrap();
            let name = format!("/proc/{}/task/{task}/comm", server.pid());
            std::fs::read_to_string(name).unwrap().trim().to_owned()
        };
        closers = of_store.map(thread).collect();
        !closers.is_empty()
    });
    closers
}

/// Begins an upload whose file has so many bytes, sends most of it, and leaves.
fn abandon(server: &Server, size: usize) {
    let form = Form::new().file("f", "a.bin", &noise(size, 1));
    let mut upload = UnderWay::begin(server.address, &form, false).unwrap();
    upload.send(size - 1000);
    wait_until("most of it is written", || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
        let files = open.filter_map(|fd| {
            let path = fd.ok()?.path();
            let of_store = std::fs::read_link(&path).ok()?.starts_with(server.store());
            of_store.then(|| std::fs::metadata(path).ok())?
        });
        let mut unnamed = files.filter(|file| file.is_file() && file.nlink() == 0);
        unnamed.any(|file| file.len() > size as u64 * 3 / 4)
    });
}

#[test]
fn a_large_file_that_is_given_up_ends_beside_the_requests() {
    let server = Server::start();
    // The server's own words for its threads; the small one is closed where its request was.
    for (size, thread) in [(48 << 20, "wharf-close"), (512 << 10, "wharf-worker")] {
        let trace = server.dir().join(format!("trace-{size}"));
        let fault = Fault::none(&server, "close", &trace);
        abandon(&server, size);
        assert_eq!(closers(&server, &trace), [thread], "{size} bytes");
        drop(fault);
    }
}

#[test]
fn a_large_file_that_was_removed_under_its_reader_ends_beside_the_requests() {
    let server = Server::start();
    let content = noise(48 << 20, 1);
    let json = server.upload(&Form::new().file("f", "a.bin", &content));
    let id = json["id"].as_str().unwrap();
    let mut reader = Connection::open(server.address);
    let head = format!("GET /files/{id}/a.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    reader.send(head.as_bytes());
    let mut first = [0; 1000];
    std::io::Read::read_exact(&mut reader.stream(), &mut first).unwrap();
    remove(&server, &json);
    let trace = server.dir().join("trace");
    let fault = Fault::none(&server, "close", &trace);
    drop(reader);
    assert_eq!(closers(&server, &trace), ["wharf-close"]);
    drop(fault);
}

fn remove(server: &Server, json: &Value) {
    let token = format!("Bearer {}", json["delete_token"].as_str().unwrap());
    let path = format!("/uploads/{}", json["id"].as_str().unwrap());
    let removed = server.request("DELETE", &path, &[("Authorization", &token)], b"");
    assert_eq!(removed.status, 204, "{}", removed.text());
    assert_eq!(server.files(), [""; 0]);
}
