use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Connection, Form, Server, noise, sha256, wait_until};

#[test]
fn a_body_that_stops_is_given_up() {
    let server = Server::with(&["--idle-timeout", "1s"]);
    let mut connection = Connection::open(server.address);
    connection.send(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 1000\r\n\r\n--B\r\n");
    let response = connection.response(false).unwrap();
    assert_eq!(
        (response.status, response.code().as_str()),
        (408, "body-stalled")
    );
    assert_eq!(server.files(), [""; 0]);
}

#[test]
fn nor_does_a_small_one_take_for_ever() {
    let server = Server::with(&["--idle-timeout", "1s"]);
    let mut connection = Connection::open(server.address);
    connection.send(
        b"DELETE /compat/filepond HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n0c8r",
    );
    let response = connection.response(false).unwrap();
    assert_eq!(
        (response.status, response.code().as_str()),
        (408, "body-stalled")
    );
}

#[test]
fn a_slow_body_is_not() {
    let server = Server::with(&["--idle-timeout", "2s"]);
    let form = Form::new().file("f", "a", b"slow");
    let body = form.body();
    let mut connection = Connection::open(server.address);
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        form.content_type(),
        body.len()
    );
    connection.send(head.as_bytes());
    for piece in body.chunks(body.len() / 5) {
        std::thread::sleep(Duration::from_millis(700));
        connection.send(piece);
    }
    assert_eq!(connection.response(false).unwrap().status, 201);
}

#[test]
fn a_connection_serves_for_longer_than_a_head_may_take() {
    let server = Server::start();
    let form = Form::new().text("n", "small enough to come at once");
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        form.content_type(),
        form.body().len()
    );
    let request = [head.as_bytes(), &form.body()].concat();
    let mut connection = Connection::open(server.address);
    let mut store = || {
        connection.send(&request);
        connection.response(false).map(|response| response.status)
    };
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_secs(11) {
        assert_eq!(store(), Some(201));
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_secs(11));
    assert_eq!(store(), Some(201), "nor is a pause a slow head");
}

#[test]
fn slow_heads_close_the_connection() {
    let server = Server::start();
    let mut stream = TcpStream::connect(server.address).unwrap();
    let start = std::time::Instant::now();
    for byte in b"GET / HTTP/1.1\r\nHost: a-very-slow-client.example\r\n"
        .iter()
        .cycle()
    {
        if stream.write_all(&[*byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
        assert!(
            start.elapsed() < Duration::from_secs(40),
            "it goes on for ever"
        );
        if start.elapsed() > Duration::from_secs(9) {
            stream
                .set_read_timeout(Some(Duration::from_millis(1)))
                .unwrap();
            if matches!(stream.read(&mut [0; 100]), Ok(0)) {
                break;
            }
        }
    }
    assert!(start.elapsed() > Duration::from_secs(8));
}

#[test]
fn a_reader_that_takes_nothing_is_dropped() {
    let server = Server::with(&["--idle-timeout", "1s"]);
    server.upload(&Form::new().file("f", "big.bin", &noise(30_000_000, 4)));
    let before = server.descriptors();
    let mut connection = Connection::open(server.address);
    connection.send(b"GET /files/big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_until("it is dropped", || {
        server.log().contains("GET /files/big.bin 200 (broken off)")
    });
    wait_until("its descriptors are closed", || {
        server.descriptors() <= before
    });
}

/// A reader that takes a little all the time, though less in the idle time-out than the third of a
/// socket's buffer after which the system asks for more.
#[test]
fn a_slow_reader_is_not() {
    let server = Server::with(&["--idle-timeout", "1s"]);
    let content = noise(16_000_000, 4);
    let stored = server.upload(&Form::new().file("f", "big.bin", &content));
    let id = stored["id"].as_str().unwrap();
    let mut stream = TcpStream::connect(server.address).unwrap();
    write!(stream, "GET /files/{id}/big.bin HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = vec![0; 16 * 1024];
    let mut read = 0;
    for _ in 0..50 {
        std::thread::sleep(Duration::from_millis(100));
        answer.resize(read + 16 * 1024, 0);
        read += stream.read(&mut answer[read..]).unwrap();
    }
    answer.truncate(read);
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(&content), "{} bytes", answer.len());
}

pub fn over_http_2(server: &Server, what: &str, path: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wharf/clients/http2.mjs");
    let out = server.run("node", &[script, &server.url(""), what, path]);
    String::from_utf8(out).unwrap().trim().to_owned()
}

#[test]
fn nor_is_one_over_http_2_and_beside_one_that_stops() {
    let server = Server::with(&["--idle-timeout", "1s"]);
    let content = noise(8_000_000, 4);
    server.upload(&Form::new().file("f", "big.bin", &content));
    for what in ["slow", "beside"] {
        assert_eq!(
            over_http_2(&server, what, "/files/big.bin"),
            sha256(&content),
            "{what}"
        );
    }
}

#[test]
fn a_stream_that_is_taken_back_stores_nothing() {
    let server = Server::start();
    over_http_2(&server, "cut", "/files/cut.bin");
    server.says("PUT /files/cut.bin");
    assert_eq!(server.files(), [""; 0]);
    assert_eq!(server.get("/files/cut.bin").status, 404);
}

#[test]
fn idle_connections_do_not_stop_an_upload() {
    let server = Server::start();
    let idle: Vec<TcpStream> = (0..2000)
        .map(|_| TcpStream::connect(server.address).unwrap())
        .collect();
    server.upload(&Form::new().file("f", "a", b"x"));
    assert_eq!(server.get("/files/a").text(), "x");
    drop(idle);
}

#[test]
fn connections_are_kept_alive() {
    let server = Server::start();
    let mut connection = Connection::open(server.address);
    for _ in 0..3 {
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let response = connection.response(false).unwrap();
        assert_eq!(
            (response.status, response.header("connection")),
            (200, None)
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    connection.send(b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(connection.response(false).unwrap().status, 200);
    assert!(connection.is_closed());
}

#[test]
fn a_reader_that_stops_is_dropped_over_http_2_as_well() {
    let server = Server::with(&["--idle-timeout", "1s"]);
    server.upload(&Form::new().file("f", "big.bin", &noise(30_000_000, 4)));
    let url = server.url("/files/big.bin");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big.bin");
    let args = [
        "-sS",
        "--http2-prior-knowledge",
        "--limit-rate",
        "100k",
        "-o",
        path.to_str().unwrap(),
        &url,
    ];
    let mut curl = std::process::Command::new("curl")
        .args(args)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_raw(curl.id().cast_signed()).unwrap();
    wait_until("the first bytes are there", || {
        path.metadata().is_ok_and(|file| file.len() > 0)
    });
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    wait_until("it is dropped", || {
        server.log().contains("GET /files/big.bin 200 (broken off)")
    });
    curl.kill().unwrap();
    curl.wait().unwrap();
}

/// The server is frozen for longer than the idle time-out, while what the client sends waits in
/// the socket: the client made progress.
#[test]
fn a_body_that_came_while_the_server_was_frozen_is_read() {
    let server = Server::with(&["--idle-timeout", "1s"]);
    let form = Form::new().file("f", "frozen.bin", &noise(200_000, 3));
    let body = form.body();
    let mut uploads: Vec<Connection> = (0..12)
        .map(|_| Connection::announcing(server.address, &form))
        .collect();
    for upload in &mut uploads {
        upload.send(&body[..100_000]);
    }
    server.signal(19);
    for upload in &mut uploads {
        upload.send(&body[100_000..]);
    }
    std::thread::sleep(Duration::from_secs(3));
    server.signal(18);
    for upload in &mut uploads {
        assert_eq!(upload.response(false).unwrap().status, 201);
    }
}

/// A client that reads no answer before it has sent all (Java's HttpClient) sees why its form is
/// refused, and one that keeps its connection goes on.
#[test]
fn a_small_rest_of_a_refused_body_is_read_before_the_answer() {
    let server = Server::start();
    let mut connection = Connection::open(server.address);
    let head = |media_type: &str, length: &str| {
        format!(
            "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\n{length}\r\n\r\n"
        )
    };
    let rest = noise(60_000, 5);
    for (media_type, status) in [
        ("text/plain", 415),
        ("multipart/form-data; boundary=B", 400),
    ] {
        connection.send(head(media_type, "Content-Length: 60000").as_bytes());
        // No answer before the body is there.
        for piece in rest.chunks(20_000) {
            std::thread::sleep(Duration::from_millis(100));
            connection.send(piece);
        }
        let answer = connection.response(false).unwrap();
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("connection"), None);
    }
    // The same in chunks.
    connection.send(head("text/plain", "Transfer-Encoding: chunked").as_bytes());
    connection.send(b"5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(connection.response(false).unwrap().status, 415);
    // The server does not wait for a body that it did not ask for, nor for a long one.
    for length in [
        "Content-Length: 60000\r\nExpect: 100-continue",
        "Content-Length: 70000",
    ] {
        let mut connection = Connection::open(server.address);
        connection.send(head("text/plain", length).as_bytes());
        let answer = connection.response(false).unwrap();
        assert_eq!(answer.status, 415, "{length}");
        assert_eq!(answer.header("connection"), Some("close"), "{length}");
    }
    connection.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(connection.response(false).unwrap().status, 200);
}
