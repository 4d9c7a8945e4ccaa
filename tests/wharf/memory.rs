//! How much memory many clients can take, and that all of it is given back.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Form, Server, noise, wait_until};

/// How many clients there are at once.
const CLIENTS: usize = 250;
/// What may stay of the memory of many clients that have left, in KiB.
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
