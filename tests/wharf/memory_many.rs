//! How much memory the readers of an upload of very many files take.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::{Form, Server, soak, wait_until};

/// What may stay of the memory of readers that have left, in KiB: the manifests in the cache beside it.
const STAYS: u64 = 48 << 10;

/// A server that takes so many files in one form, and an upload of them in folders.
fn many(files: usize) -> (Server, String) {
    let server = Server::with(&[
        "--max-files",
        "200000",
        "--max-fields-size",
        "16MiB",
        "--durability",
        "relaxed",
        "--max-connections",
        "1000",
    ]);
    let form = (0..files).fold(Form::new(), |form, i| {
        let path = format!("photos/{}/picture-{i}.txt", i / 500);
        form.file("f", &path, i.to_string().as_bytes())
    });
    let rest = server.anonymous();
    let id = server.upload(&form)["id"].as_str().unwrap().to_owned();
    let (_, most) = server.memory();
    println!("{files} files: {rest} KiB at rest, {most} KiB after the upload");
    (server, id)
}

/// So many clients ask for it, and read nothing but the beginning of the status line.
fn ask(server: &Server, readers: usize, path: &str, fields: &str) -> Vec<TcpStream> {
    let clients: Vec<TcpStream> = (0..readers)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    for mut stream in &clients {
        let mut first = [0; 11];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 20", "{path}");
    }
    clients
}

/// The manifest is in memory once for all who read of it, however many files it has.
#[test]
fn many_readers_of_many_files_are_bounded_and_given_back() {
    let (files, most_readers, bound) = match soak() {
        true => (100_000, 100, 224 << 10),
        false => (20_000, 30, 112 << 10),
    };
    let (server, id) = many(files);
    let json = "Accept: application/json\r\n";
    let end = "Range: bytes=-300000\r\n";
    let mut asked = vec![
        (format!("/uploads/{id}"), json),
        (format!("/download/{id}"), end),
        (format!("/archive/{id}.zip"), end),
        (format!("/archive/{id}.tar"), end),
    ];
    // All files of these are looked for.
    if soak() {
        asked.push((format!("/download/{id}"), json));
        asked.extend(["zip", "tar"].map(|format| (format!("/archive/{id}.{format}"), "")));
    }
    for (path, fields) in asked {
        let rest = server.anonymous();
        for readers in [1, most_readers] {
            let clients = ask(&server, readers, &path, fields);
            let most = server.most_anonymous();
            let fields = fields.trim_end();
            println!("{readers} of {path} {fields}: {rest} KiB, then {most} KiB");
            assert!(most < rest + bound, "{rest} KiB, then {most} KiB");
            drop(clients);
        }
        wait_until("the memory is given back", || {
            server.anonymous() < rest + STAYS
        });
    }
}
