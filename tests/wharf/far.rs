//! A store on a file system that another machine or another program gives, which stands still.

use std::io::Write as _;
use std::path::Path;

use crate::support::{Connection, Far, Form, Redis, Response, Server, Setup, noise, wait_until};

/// How many clients are in the midst of an upload, and how many of a download.
const CLIENTS: usize = 20;
/// More than the buffers of a connection take.
const SIZE: usize = 12 << 20;

fn setup(redis: &Redis, store: &Path) -> Setup {
    let store = store.join("upload");
    Setup::new()
        .store(&store)
        .args(&["--redis", &redis.url(), "--idle-timeout", "120s"])
}

fn form(client: usize) -> Form {
    let name = format!("{client}.bin");
    Form::new().file("f", &name, &noise(SIZE / 8, client as u64))
}

/// An upload of which half is sent.
struct Half(Connection, Vec<u8>);

impl Half {
    fn of(server: &Server, form: &Form) -> Self {
        let mut connection = Connection::announcing(server.address, form);
        let mut body = form.body();
        let rest = body.split_off(body.len() / 2);
        connection.send(&body);
        Half(connection, rest)
    }

    /// Sends the rest, and waits for the answer.
    fn end(mut self) -> Option<Response> {
        // A server that ends reads no more of it.
        let _ = self.0.stream().write_all(&self.1);
        self.0.response(false)
    }
}

/// A download of which something is sent, and nothing is read.
fn ask(server: &Server, id: &str) -> Connection {
    let mut connection = Connection::open(server.address);
    let head = format!("GET /files/{id}/a.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    connection.send(head.as_bytes());
    let mut first = [0];
    connection.stream().peek(&mut first).unwrap();
    connection
}

/// Asks for what needs no store as often as every worker is asked.
fn assert_alive(server: &Server) {
    for path in ["/healthz", "/metrics", "/status", "/"] {
        for _ in 0..8 {
            assert_eq!(server.get(path).status, 200, "{path}");
        }
    }
}

#[test]
fn one_that_stands_still_holds_up_nothing_else() {
    let (redis, Some(far)) = (Redis::start(), Far::mount()) else {
        return;
    };
    let server = setup(&redis, &far.path).start();
    let content = noise(SIZE, 99);
    let known = server.upload(&Form::new().file("f", "a.bin", &content));
    let id = known["id"].as_str().unwrap();
    let downloads: Vec<Connection> = (0..CLIENTS).map(|_| ask(&server, id)).collect();
    let uploads: Vec<Half> = (0..CLIENTS)
        .map(|it| Half::of(&server, &form(it)))
        .collect();
    far.stand_still();
    std::thread::scope(|scope| {
        let uploads: Vec<_> = uploads
            .into_iter()
            .map(|upload| scope.spawn(|| upload.end()))
            .collect();
        let downloads: Vec<_> = downloads
            .into_iter()
            .map(|mut download| scope.spawn(move || download.response(false)))
            .collect();
        wait_until("it is not ready", || {
            assert_eq!(server.get("/healthz").status, 200);
            server.get("/readyz").status == 503
        });
        assert_alive(&server);
        let unready = server.get("/readyz");
        assert_eq!(unready.detail(), "the storage cannot store now");
        server.says("the file system of the store does not answer");
        // A transfer that has not begun is not begun.
        for refused in [
            server.post_to("/upload", &form(0), &[]),
            server.get(&format!("/files/{id}/a.bin")),
            server.get(&format!("/download/{id}")),
        ] {
            assert_eq!(refused.status, 503, "{}", refused.text());
            assert!(refused.header("retry-after").is_some());
        }
        assert_alive(&server);
        far.go_on();
        for download in downloads {
            let download = download.join().unwrap().expect("an answer");
            assert!(download.whole && download.body == content);
        }
        for (client, upload) in uploads.into_iter().enumerate() {
            let upload = upload.join().unwrap().expect("an answer");
            assert_eq!(upload.status, 201, "{}", upload.text());
            let id = upload.json()["id"].as_str().unwrap().to_owned();
            let stored = server.get(&format!("/files/{id}/{client}.bin"));
            assert!(stored.body == noise(SIZE / 8, client as u64));
        }
    });
    wait_until("it is ready", || server.get("/readyz").status == 200);
    server.says("the file system of the store answers again");
    wait_until("nothing is left in the stage", || server.staged() == 0);
    assert!(server.stop().0.success());
}

/// Without Redis, with the index on it as well, as long as nothing is written to that.
#[test]
fn one_that_stands_still_holds_up_nothing_else_of_one_server() {
    let Some(far) = Far::mount() else {
        return;
    };
    let server = Setup::new().store(&far.path.join("upload")).start();
    let content = noise(SIZE, 99);
    let known = server.upload(&Form::new().file("f", "a.bin", &content));
    let (id, other) = (known["id"].as_str().unwrap(), server.upload(&form(1)));
    let paths = [format!("/files/{id}/a.bin"), format!("/download/{id}")];
    for path in &paths {
        assert_eq!(server.get(path).status, 200);
    }
    far.stand_still();
    wait_until("it is not ready", || {
        assert_eq!(server.get("/healthz").status, 200);
        server.get("/readyz").status == 503
    });
    // One whose manifest is in memory, and one whose is not.
    let unread = format!("/files/{}/1.bin", other["id"].as_str().unwrap());
    for _ in 0..3 {
        for path in paths.iter().chain([&unread]) {
            let refused = server.get(path);
            assert_eq!(refused.status, 503, "{path}: {}", refused.text());
        }
        assert_eq!(server.post_to("/upload", &form(0), &[]).status, 503);
        assert_eq!(server.get("/files/none.txt").status, 404);
        assert_alive(&server);
    }
    far.go_on();
    wait_until("it is ready", || server.get("/readyz").status == 200);
    assert!(server.get(&paths[0]).body == content);
    assert!(server.stop().0.success());
}

#[test]
fn one_that_stands_still_does_not_keep_the_server() {
    let (redis, Some(far)) = (Redis::start(), Far::mount()) else {
        return;
    };
    let setup = setup(&redis, &far.path).args(&["--shutdown-grace", "1s"]);
    let mut server = setup.start();
    let uploads: Vec<Half> = (0..CLIENTS)
        .map(|it| Half::of(&server, &form(it)))
        .collect();
    far.stand_still();
    std::thread::scope(|scope| {
        for upload in uploads {
            scope.spawn(|| upload.end());
        }
        wait_until("it is not ready", || server.get("/readyz").status == 503);
        server.signal(15);
        server.says("transfers are cut off after shutdown_grace");
        server.says(" ended");
    });
    // A call that the program has taken, and does not answer, cannot be killed.
    far.go_on();
    assert!(server.wait().success());
    assert_eq!(server.files(), [""; 0]);
}
