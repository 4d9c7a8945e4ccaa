use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::{Connection, Form, Server, Setup, large, noise, soak, wait_until};

#[test]
fn a_form_of_a_thousand_files() {
    let server = Server::start();
    let mut form = Form::new();
    for i in 0..1000 {
        form = form.file("f", &format!("{i}.txt"), &noise(i % 700, i as u64));
    }
    let json = server.upload(&form);
    let id = json["id"].as_str().unwrap();
    let back = server.get(&format!("/download/{id}"));
    let parts = crate::support::parts_of(back.header("content-type").unwrap(), &back.body);
    assert_eq!(parts.len(), 1000);
    for (i, (_, content)) in parts.iter().enumerate() {
        assert!(*content == noise(i % 700, i as u64), "{i}");
    }
    assert_eq!(server.files().len(), 1001);
}

#[test]
fn a_thousand_forms_at_once() {
    let server = Server::start();
    let form = |i: usize| {
        Form::new().text("i", &i.to_string()).file(
            "f",
            &format!("{i}.bin"),
            &noise(20_000, i as u64),
        )
    };
    let mut connections: Vec<Connection> = (0..1000)
        .map(|_| Connection::open(server.address))
        .collect();
    let half = 10_000;
    for (i, connection) in connections.iter_mut().enumerate() {
        let (form, body) = (form(i), form(i).body());
        let head = format!(
            "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
            form.content_type(),
            body.len()
        );
        connection.send(head.as_bytes());
        connection.send(&body[..half]);
    }
    wait_until("all are under way", || {
        server
            .get("/metrics")
            .text()
            .contains("wharf_uploads_in_progress 1000")
    });
    for (i, connection) in connections.iter_mut().enumerate() {
        connection.send(&form(i).body()[half..]);
    }
    for (i, connection) in connections.iter_mut().enumerate() {
        let response = connection.response(false).unwrap();
        assert_eq!(response.status, 201, "{i}: {}", response.text());
    }
    for i in (0..1000).step_by(97) {
        assert!(server.get(&format!("/files/{i}.bin")).body == noise(20_000, i as u64));
    }
    assert_eq!(server.files().len(), 2000);
}

#[test]
fn aborted_uploads_leave_nothing_behind() {
    let rounds = if soak() { 10_000 } else { 500 };
    let server = Server::start();
    let big = Form::new()
        .text("a", "b")
        .file("f", "a.bin", &noise(600_000, 1))
        .file("g", "b.bin", b"x");
    let body = big.body();
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        big.content_type(),
        body.len()
    );
    let abort = |cut: usize| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body[..cut]).unwrap();
    };
    let under_way = || {
        !server
            .get("/metrics")
            .text()
            .contains("wharf_uploads_in_progress 0")
    };
    for i in 0..50 {
        abort(body.len() * i / 50);
    }
    wait_until("the first are over", || !under_way());
    let (descriptors, memory) = (server.descriptors(), server.memory().0);
    for i in 0..rounds {
        abort(body.len() * (i % 97) / 97);
        if i % 50 == 0 {
            wait_until("they are over", || !under_way());
        }
    }
    wait_until("all are over", || !under_way());
    wait_until("the descriptors are closed", || {
        server.descriptors() <= descriptors + 2
    });
    let grown = server.memory().0.saturating_sub(memory);
    assert!(grown < 32 * 1024, "{grown} KiB more than before");
    assert_eq!((server.files(), server.staged()), (Vec::new(), 0));
    server.upload(&big);
}

#[test]
fn memory_does_not_grow_with_the_file() {
    let size = large(300 << 20);
    let server = Server::with(&["--durability", "relaxed"]);
    let sparse = server.dir().join("sparse.bin");
    std::fs::File::create(&sparse)
        .unwrap()
        .set_len(size)
        .unwrap();
    server.upload(&Form::new().file("f", "warm.bin", &noise(5_000_000, 1)));
    server.get("/files/warm.bin");
    let before = server.memory().1;
    let url = server.url("/upload");
    let out = server.curl(&[
        "-F",
        "f=@sparse.bin",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        &url,
    ]);
    assert_eq!(String::from_utf8_lossy(&out), "201");
    for path in ["/files/sparse.bin", "/download/sparse.bin"] {
        let out = server.curl(&[
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{size_download}",
            &server.url(path),
        ]);
        let out = String::from_utf8(out).unwrap();
        let (status, got) = out.split_once(' ').unwrap();
        assert_eq!(status, "200");
        assert!(got.parse::<u64>().unwrap() >= size);
    }
    let grown = server.memory().1.saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more at the peak");
}

/// Uploads of a thousand files each, all under way at once, with twenty descriptors for each.
#[test]
fn many_uploads_of_many_files_within_the_budget_of_descriptors() {
    // More would not fit into the memory that names of files have.
    let uploads = if soak() { 80 } else { 50 };
    // The first waits until the last has come.
    let server = Setup::new()
        .args(&["--idle-timeout", "10m"])
        .open_files(uploads * 20)
        .start();
    let mut form = Form::new();
    for i in 0..1000 {
        form = form.file("f", &format!("{i}.txt"), &noise(1000, i));
    }
    let body = form.body();
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        form.content_type(),
        body.len()
    );
    let (first, second) = body.split_at(body.len() * 9 / 10);
    let mut connections: Vec<Connection> = (0..uploads)
        .map(|_| {
            let mut connection = Connection::open(server.address);
            connection.send(head.as_bytes());
            connection.send(first);
            connection
        })
        .collect();
    let all = format!("wharf_uploads_in_progress {uploads}");
    wait_until("all are under way", || {
        server.get("/metrics").text().contains(&all)
    });
    for connection in &mut connections {
        connection.send(second);
    }
    for connection in &mut connections {
        let response = connection.response(false).unwrap();
        assert_eq!(response.status, 201, "{}", response.text());
    }
    assert_eq!(server.files().len() as u64, uploads * 1001);
    assert_eq!(server.staged(), 0);
    assert_eq!(server.get("/files/999.txt").body, noise(1000, 999));
}

/// Each sends as much text as it may, and then no more: together they would take 150 MiB.
#[test]
fn text_of_uploads_that_stop_takes_bounded_memory() {
    let server = Server::start();
    let value = "\u{1}".repeat(60_000);
    let form = (0..17).fold(Form::new(), |form, i| form.text(&format!("t{i}"), &value));
    let body = form.body();
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        form.content_type(),
        body.len()
    );
    let sent = [head.as_bytes(), &body[..body.len() - 10]].concat();
    let before = server.memory().1;
    let connections: Vec<TcpStream> = (0..120)
        .map(|_| TcpStream::connect(server.address).unwrap())
        .collect();
    let (answers, answered) = std::sync::mpsc::channel();
    for connection in &connections {
        let (mut connection, sent) = (connection.try_clone().unwrap(), sent.clone());
        let answers = answers.clone();
        // It may stand still: the server reads no more than it may keep.
        std::thread::spawn(move || {
            let mut start = [0; 12];
            let written = connection.write_all(&sent);
            let read = written.and_then(|()| connection.read_exact(&mut start));
            let _ = answers.send(read.map(|()| start));
        });
    }
    // Some uploads waited for the others to end, in vain.
    let first = answered.recv_timeout(std::time::Duration::from_secs(120));
    assert_eq!(&first.unwrap().unwrap(), b"HTTP/1.1 503");
    let grown = server.memory().1.saturating_sub(before);
    assert!(grown < 110 << 10, "{grown} KiB");
    // A small form takes none of that memory.
    server.upload(&Form::new().text("a", "b").file("f", "a.txt", b"x"));
    // When they are gone, there is room for all.
    for connection in connections {
        connection.shutdown(std::net::Shutdown::Both).unwrap();
    }
    wait_until("there is room", || {
        server.post_to("/upload", &form, &[]).status == 201
    });
    assert_eq!(server.files().len(), 3);
}
