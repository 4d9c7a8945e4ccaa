//! The right to change an upload, and the answers to others; and the comparison of store and index.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::Value;

use crate::support::{Form, Server, Setup, Wharf, request, wait_until};

/// An id that no server has given out.
const NEVER: &str = "0123456789abcdefghjkmnpqrs";

#[test]
fn a_wrong_token_is_told_no_more_than_who_asks_for_nothing() {
    let server = Server::start();
    let json = server.upload(&Form::new().file("f", "a.txt", b"a"));
    let id = json["id"].as_str().unwrap();
    let refused = |id: &str| {
        let wrong = [("Authorization", "Bearer wrong")];
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let record = format!("/uploads/{id}");
        let expires = br#"{"expires_in":"1h"}"#;
        let answers = [
            server.request("DELETE", &record, &wrong, b""),
            server.request("PATCH", &record, &wrong, expires),
            server.request("POST", &format!("{record}/delete"), &form, b"token=wrong"),
            server.request(
                "POST",
                &format!("{record}/prolong"),
                &form,
                b"token=wrong&wharf_expires_in=1h",
            ),
            server.request(
                "DELETE",
                "/compat/filepond",
                &[],
                format!("{id}.wrong").as_bytes(),
            ),
        ];
        answers.map(|answer| {
            let mut json = answer.json();
            json["request_id"] = Value::Null;
            (answer.status, json.to_string().replace(id, "ID"))
        })
    };
    let (there, never) = (refused(id), refused(NEVER));
    assert_eq!(there, never);
    assert!(there.iter().all(|(status, _)| *status == 404), "{there:?}");
    // Without any secret the answer is the same for both as well, and says what is missing.
    for id in [id, NEVER] {
        for method in ["DELETE", "PATCH"] {
            let asked = server.request(method, &format!("/uploads/{id}"), &[], b"");
            assert_eq!(asked.status, 401);
            assert!(asked.header("www-authenticate").is_some());
        }
    }
    assert_eq!(server.files().len(), 2);
}

/// Changes of a person or a backup to the store of a server that was off.
#[test]
fn a_store_is_compared_with_its_index_though_it_was_closed_cleanly() {
    let other = Server::start();
    let brought = other.upload(&Form::new().file("f", "brought.txt", b"x"));
    let server = Server::with(&["--stale-after", "2s"]);
    let taken = server.upload(&Form::new().file("f", "taken.txt", b"x"));
    let folder =
        |server: &Server, json: &Value| server.store().join(&json["id"].as_str().unwrap()[..2]);
    let (from, gone) = (folder(&other, &brought), folder(&server, &taken));
    let (to, store) = (folder(&server, &brought), server.store());
    // The folder of the server that stops goes with it.
    let kept = tempfile::tempdir().unwrap();
    let (status, _setup) = server.stop();
    assert!(status.success());
    std::fs::remove_dir_all(gone).unwrap();
    std::fs::create_dir_all(&to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(store)
        .arg(kept.path().join("store"))
        .status();
    assert!(copied.unwrap().success());
    let server = Setup::new()
        .args(&["--stale-after", "2s"])
        .store(&kept.path().join("store"))
        .start();
    assert!(!server.log().contains("comparing the index"));
    wait_until("what was brought is found", || {
        server.get("/files/brought.txt").status == 200
    });
    let listed = server.get("/uploads").json();
    let listed = listed["uploads"].as_array().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["id"], brought["id"]);
    wait_until("what was taken is forgotten", || {
        server.get("/status").json()["uploads"] == 1
    });
}

/// Answers the first connection with nothing, and the others with 404.
fn forgetful() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn a_deletion_whose_answer_was_lost_is_asked_for_again() {
    let server = Server::start();
    let (listener, url) = forgetful();
    let address = server.address;
    let json = server.upload(&Form::new().file("f", "a.txt", b"a"));
    let id = json["id"].as_str().unwrap().to_owned();
    let token = json["delete_token"].as_str().unwrap().to_owned();
    let path = format!("/uploads/{id}");
    let bearer = format!("Bearer {token}");
    let between = std::thread::spawn(move || {
        // The first try is carried out, and its answer is lost.
        for lost in [true, false] {
            let (mut client, _) = listener.accept().unwrap();
            let mut asked = [0; 4096];
            let _ = client.read(&mut asked).unwrap();
            let owner = [("Authorization", bearer.as_str())];
            let answer = request(address, "DELETE", &path, &owner, b"");
            if !lost {
                let head = format!("HTTP/1.1 {} x\r\nContent-Length: 0\r\n\r\n", answer.status);
                client.write_all(head.as_bytes()).unwrap();
            }
        }
    });
    let said = Wharf::at(server.dir())
        .env("WHARF_URL", &url)
        .env("WHARF_TOKEN", &token)
        .run(&["delete", &id]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.out, format!("deleted {id}\n"));
    between.join().unwrap();
    assert_eq!(server.files(), [""; 0]);
}
