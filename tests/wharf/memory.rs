//! How much memory many clients can take, and that all of it is given back.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Form, Server, noise, wait_until};

/// How many clients there are at once.
const CLIENTS: usize = 250;
/// The memory that many clients may leave behind, in KiB.
const STAYS: u64 = 16 << 10;

/// Each client sends 1 MiB of text fields, and then nothing more.
#[test]
fn text_that_does_not_end_is_bounded_and_given_back() {
    let server = Server::with(&["--max-connections", "1000"]);
    let rest = server.anonymous();
    let fields: String = (0..17)
        .map(|i| {
            let text = "t".repeat(61_000);
            format!("--B\r\nContent-Disposition: form-data; name=\"t{i}\"\r\n\r\n{text}\r\n")
        })
        .collect();
    let head = "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\
                Content-Type: multipart/form-data; boundary=B\r\n\r\n";
    let begun = format!("{head}{fields}");
    let mut clients: Vec<(TcpStream, &[u8])> = (0..CLIENTS)
        .map(|_| {
            let stream = TcpStream::connect(server.address).unwrap();
            stream.set_nonblocking(true).unwrap();
            (stream, begun.as_bytes())
        })
        .collect();
    // The server stops reading where it has no room: each client sends what is taken.
    let mut taken = 1;
    while taken > 0 {
        taken = 0;
        for (stream, left) in &mut clients {
            if let Ok(sent) = stream.write(left) {
                taken += sent;
                *left = &left[sent..];
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let most = server.most_anonymous();
    assert!(most < rest + (112 << 10), "{rest} KiB, then {most} KiB");
    drop(clients);
    wait_until("the memory is given back", || {
        server.anonymous() < rest + STAYS
    });
}

/// Each client asks for the record of a form whose names are six times as long in JSON, and reads
/// nothing of it: 6 MB for each, were they written at once.
#[test]
fn records_that_are_not_read_are_bounded_and_given_back() {
    const READERS: usize = 100;
    let server = Server::start();
    let name = "\u{1}".repeat(8000);
    let form = (0..125).fold(Form::new(), |form, i| {
        form.file(&name, &format!("{i}.txt"), b"")
    });
    let id = server.upload(&form)["id"].as_str().unwrap().to_owned();
    let rest = server.anonymous();
    let head = format!("GET /uploads/{id} HTTP/1.1\r\nHost: localhost\r\n");
    for accept in ["application/json", "text/html"] {
        let clients: Vec<TcpStream> = (0..READERS)
            .map(|_| {
                let mut stream = TcpStream::connect(server.address).unwrap();
                let request = format!("{head}Accept: {accept}\r\n\r\n");
                stream.write_all(request.as_bytes()).unwrap();
                stream
            })
            .collect();
        for mut stream in &clients {
            let mut first = [0; 12];
            stream.read_exact(&mut first).unwrap();
            assert_eq!(&first, b"HTTP/1.1 200");
        }
        let most = server.most_anonymous();
        assert!(
            most < rest + (80 << 10),
            "{accept}: {rest} KiB, then {most} KiB"
        );
        drop(clients);
        wait_until("the memory is given back", || {
            server.anonymous() < rest + STAYS
        });
    }
}

/// Each client asks for a large file and reads nothing of it.
#[test]
fn answers_that_are_not_read_are_bounded_and_given_back() {
    let server = Server::with(&["--max-connections", "1000"]);
    server.upload(&Form::new().file("f", "big.bin", &noise(32 << 20, 4)));
    let rest = server.anonymous();
    let clients: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream
                .write_all(b"GET /files/big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .unwrap();
            stream
        })
        .collect();
    for mut stream in &clients {
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
    }
    let most = server.most_anonymous();
    assert!(most < rest + (128 << 10), "{rest} KiB, then {most} KiB");
    drop(clients);
    wait_until("the memory is given back", || {
        server.anonymous() < rest + STAYS
    });
}

/// Each client asks for an archive of many files in deep folders, and reads nothing of it: what is
/// held for it depends neither on the files nor on their paths.
#[test]
fn archives_that_are_not_read_are_bounded_and_given_back() {
    const FILES: usize = 800;
    const READERS: usize = 100;
    let server = Server::start();
    let form = (0..FILES).fold(Form::new(), |form, i| {
        let path = format!("{}{i}.bin", format!("folder-{:02}/", i % 50).repeat(30));
        form.file("f", &path, b"0123456789")
    });
    let form = form.file("f", "big.bin", &noise(8 << 20, 4));
    let id = server.upload(&form)["id"].as_str().unwrap().to_owned();
    for format in ["zip", "tar"] {
        // The manifest is in memory, for one and for all.
        assert_eq!(server.get(&format!("/archive/{id}.{format}")).status, 200);
        let rest = server.anonymous();
        let clients: Vec<TcpStream> = (0..READERS)
            .map(|i| {
                let mut stream = TcpStream::connect(server.address).unwrap();
                // Some stand in the middle of the directory.
                let range = match i % 2 {
                    0 => "",
                    _ => "Range: bytes=-300000\r\n",
                };
                let request = format!(
                    "GET /archive/{id}.{format} HTTP/1.1\r\nHost: localhost\r\n{range}\r\n"
                );
                stream.write_all(request.as_bytes()).unwrap();
                stream
            })
            .collect();
        for mut stream in &clients {
            let mut first = [0; 11];
            stream.read_exact(&mut first).unwrap();
            assert_eq!(&first, b"HTTP/1.1 20");
        }
        let most = server.most_anonymous();
        assert!(
            most < rest + (128 << 10),
            "{format}: {rest} KiB, then {most} KiB"
        );
        drop(clients);
        wait_until("the memory is given back", || {
            server.anonymous() < rest + STAYS
        });
    }
}

/// Forms of very deep paths take no more memory while they come than the text of all uploads may.
#[test]
fn deep_paths_are_bounded_while_they_come() {
    const UPLOADS: usize = 40;
    let server = Server::with(&["--max-connections", "1000"]);
    let rest = server.anonymous();
    let mut streams: Vec<TcpStream> = Vec::new();
    for upload in 0..UPLOADS {
        let parts: String = (0..450)
            .map(|i| {
                let folders: String = (0..40).map(|level| format!("{level}-{i}-{upload}-abcdefghijkl/")).collect();
                format!(
                    "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{folders}a\"\r\n\r\n\r\n"
                )
            })
            .collect();
        let head = "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\
                    Content-Type: multipart/form-data; boundary=B\r\n\r\n";
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_nonblocking(true).unwrap();
        let begun = format!("{head}{parts}").into_bytes();
        let mut left = &begun[..];
        while let Ok(sent @ 1..) = stream.write(left) {
            left = &left[sent..];
            std::thread::sleep(Duration::from_millis(2));
        }
        streams.push(stream);
    }
    let most = server.most_anonymous();
    assert!(most < rest + (128 << 10), "{rest} KiB, then {most} KiB");
    drop(streams);
    wait_until("the memory is given back", || {
        server.anonymous() < rest + STAYS
    });
}

/// Each client asks for a large file, which the kernel sends, and reads nothing of it: no block of
/// it is held. Read and written, these answers hold 48 MiB in blocks, and 32 KiB each beyond.
#[test]
fn files_that_the_kernel_sends_are_in_no_memory_of_the_server() {
    const READERS: usize = 1000;
    let args = ["--sendfile", "on", "--max-connections", "2000"];
    let server = Server::with(&args);
    server.upload(&Form::new().file("f", "big.bin", &noise(32 << 20, 4)));
    // The memory that the first answer of this kind needs stays.
    assert_eq!(server.get("/files/big.bin").body.len(), 32 << 20);
    let rest = server.anonymous();
    let clients: Vec<TcpStream> = (0..READERS)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream
                .write_all(b"GET /files/big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .unwrap();
            stream
        })
        .collect();
    for mut stream in &clients {
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
    }
    let most = server.most_anonymous();
    println!("{rest} KiB, then {most} KiB");
    assert!(most < rest + (48 << 10), "{rest} KiB, then {most} KiB");
    drop(clients);
    wait_until("the memory is given back", || {
        server.anonymous() < rest + STAYS
    });
}
