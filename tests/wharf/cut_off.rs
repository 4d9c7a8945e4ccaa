//! Changes whose clients leave, whose streams are reset, and whose server ends half-way.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::faults::Fault;
use crate::support::{Connection, Form, Server, Setup, noise, wait_until};

/// How long every sync waits, in seconds: long enough that the change is under way when it is cut.
const DELAY: u64 = 3;

struct Upload {
    id: String,
    path: String,
    token: String,
}

fn upload(server: &Server) -> Upload {
    let json = server.upload(&Form::new().file("f", "a.txt", b"hello"));
    let id = json["id"].as_str().unwrap().to_owned();
    let upload = Upload {
        path: format!("/uploads/{id}"),
        token: format!("Bearer {}", json["delete_token"].as_str().unwrap()),
        id,
    };
    // From now on its manifest is in memory.
    assert_eq!(upload.get(server), 200);
    upload
}

impl Upload {
    fn get(&self, server: &Server) -> u16 {
        server.get(&format!("/download/{}", self.id)).status
    }

    fn manifest(&self, server: &Server) -> Option<String> {
        let name = format!("{}.json", self.id);
        std::fs::read_to_string(server.store().join(&self.id[..2]).join(name)).ok()
    }
}

/// A client that sends one request and goes away when it is told to.
enum Client {
    Http1(Connection),
    Http2(Child),
}

impl Client {
    fn ask(server: &Server, http2: bool, upload: &Upload, method: &str, body: &str) -> Self {
        if !http2 {
            let mut connection = Connection::open(server.address);
            let head = format!(
                "{method} {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\nContent-Length: {}\r\n\r\n{body}",
                upload.path,
                upload.token,
                body.len()
            );
            connection.send(head.as_bytes());
            return Client::Http1(connection);
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wharf/clients/http2.mjs");
        let asked = json!({ ":method": method, "authorization": upload.token, "body": body });
        let client = Command::new("node")
            .args([script, &server.url(""), "reset", &upload.path])
            .arg(asked.to_string())
            .stdin(Stdio::piped())
            .spawn();
        Client::Http2(client.unwrap())
    }

    fn leave(self) {
        match self {
            Client::Http1(connection) => drop(connection),
            Client::Http2(mut child) => {
                child.stdin.take().unwrap().write_all(b"now").unwrap();
                assert!(child.wait().unwrap().success());
            }
        }
    }
}

#[test]
fn a_deletion_ends_when_its_client_has_gone() {
    let server = Server::start();
    for http2 in [false, true] {
        let upload = upload(&server);
        let fault = Fault::delay(&server, "fsync,syncfs", DELAY);
        let client = Client::ask(&server, http2, &upload, "DELETE", "");
        wait_until("the manifest is unlinked", || {
            upload.manifest(&server).is_none()
        });
        client.leave();
        wait_until("its files go", || server.files().is_empty());
        drop(fault);
        wait_until("it is not served any more", || upload.get(&server) == 404);
        let listed = server.get("/uploads").json();
        assert_eq!(listed["uploads"], json!([]));
    }
}

#[test]
fn a_deadline_that_was_moved_holds_when_its_client_has_gone() {
    let server = Server::start();
    for http2 in [false, true] {
        let upload = upload(&server);
        let fault = Fault::delay(&server, "fsync,syncfs", DELAY);
        let body = r#"{"expires_in":"1s"}"#;
        let client = Client::ask(&server, http2, &upload, "PATCH", body);
        wait_until("the manifest is replaced", || {
            let json = upload.manifest(&server).unwrap_or_default();
            let json: Value = serde_json::from_str(&json).unwrap_or_default();
            !json["expires_at"].is_null()
        });
        client.leave();
        drop(fault);
        wait_until("it is over", || upload.get(&server) == 404);
        // The index has learnt of it: the cleaner comes.
        wait_until("it is removed", || server.files().is_empty());
    }
}

#[test]
fn a_deletion_ends_before_the_index_is_closed() {
    let args = ["--shutdown-grace", "1s", "--max-total-size", "64KiB"];
    let server = Server::with(&args);
    let upload = upload(&server);
    let fault = Fault::delay(&server, "fsync,syncfs", DELAY);
    let _client = Client::ask(&server, false, &upload, "DELETE", "");
    wait_until("the manifest is unlinked", || {
        upload.manifest(&server).is_none()
    });
    let (status, setup) = server.stop();
    assert!(status.success());
    drop(fault);
    let server = setup.start();
    assert_eq!(server.files(), [""; 0]);
    assert!(
        !server.log().contains("comparing the index"),
        "it was clean"
    );
    assert_eq!(server.get("/uploads").json()["uploads"], json!([]));
    // No entry without an upload takes room.
    server.upload(&Form::new().file("f", "b.bin", &noise(40_000, 1)));
}

/// A store that never answers, for `./test soak`: the end waits for it, and not for ever.
#[test]
#[ignore = "takes as long as the server waits for a store that hangs"]
fn a_store_that_hangs_does_not_keep_the_process() {
    let mut server = Server::with(&["--shutdown-grace", "1s"]);
    let upload = upload(&server);
    let fault = Fault::delay(&server, "fsync", 1000);
    let _client = Client::ask(&server, false, &upload, "DELETE", "");
    wait_until("the manifest is unlinked", || {
        upload.manifest(&server).is_none()
    });
    server.signal(15);
    server.says("a removal has not ended");
    server.says("the next start compares the index");
    // Not by a second signal, which would end it at once.
    let stat = format!("/proc/{}/stat", server.pid());
    wait_until("the process has ended", || {
        std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z "))
    });
    fault.let_go_of_the_dead();
    assert!(server.wait().success());
    let again = Setup::new().store(&server.store()).start();
    again.says("the index is complete");
    assert_eq!(again.get("/uploads").json()["uploads"], json!([]));
}
