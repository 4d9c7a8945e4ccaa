//! Every operation of the document, asked in every way that it describes an answer for.

use std::io::Read as _;

use serde_json::{Value, json};

use crate::support::{Connection, Form, Response, Server, noise};

/// No upload has it.
const ABSENT: &str = "0c8r9v3k0000000000000000zz";
const ROOT: (&str, &str) = ("Authorization", "Bearer root");

/// The answers, as `compare_answers.py` takes them.
pub fn everything(document: &Value) -> Vec<Value> {
    let server = Server::with(&[
        "--access",
        "upload:up",
        "--access",
        "download:down",
        "--access",
        "list:all",
        "--access",
        "admin:root",
        "--max-request-size",
        "64KiB",
        "--idle-timeout",
        "2s",
    ]);
    let mut answers = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, described) in methods.as_object().unwrap() {
            let operation = Operation {
                server: &server,
                method: method.to_ascii_uppercase(),
                path,
                described,
            };
            operation.ask(&mut answers);
        }
    }
    stalled(&server, &mut answers);
    crowded(&mut answers);
    full(&mut answers);
    damaged(&mut answers);
    answers
}

fn take(answers: &mut Vec<Value>, operation: &str, answer: &Response) {
    let headers = answer.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    answers.push(json!({
        "operation": operation,
        "status": answer.status,
        "headers": headers.collect::<Vec<_>>(),
        "body": answer.text(),
    }));
}

/// An operation of the document.
struct Operation<'a> {
    server: &'a Server,
    method: String,
    path: &'a str,
    described: &'a Value,
}

/// Fields of a request.
type Fields<'a> = &'a [(&'a str, &'a str)];

/// A request that it answers with success.
struct Good {
    path: String,
    media_type: String,
    body: Vec<u8>,
}

impl Operation<'_> {
    fn id(&self) -> &str {
        self.described["operationId"].as_str().unwrap()
    }

    fn has(&self, status: u16) -> bool {
        self.described["responses"][status.to_string()].is_object()
    }

    /// For an id written so, of an upload of its own.
    fn by_id(&self, written: impl Fn(&str) -> String) -> Good {
        let form = Form::new().file("f", "a.txt", b"0123456789");
        let stored = self.server.post_to("/upload", &form, &[ROOT]).json();
        let id = written(stored["id"].as_str().unwrap());
        let name = match self.path.split('/').nth(1) {
            Some("archive") => format!("{id}.zip"),
            _ if self.path.contains("{id}") => "a.txt".to_owned(),
            _ => id.clone(),
        };
        let query = match self.path {
            "/download" => format!("?name={id}"),
            _ => String::new(),
        };
        let path = self.path.replace("{id}", &id).replace("{name}", &name);
        Good {
            path: path + &query,
            ..self.good()
        }
    }

    /// For an upload of its own.
    fn good(&self) -> Good {
        let form = Form::new()
            .text("t", "x")
            .file("f", "a.txt", b"0123456789")
            .file("f", "b.txt", b"");
        let stored = self.server.post_to("/upload", &form, &[ROOT]);
        assert_eq!(stored.status, 201, "{}", stored.text());
        let stored = stored.json();
        let id = stored["id"].as_str().unwrap();
        let file = match self.path.split('/').nth(1) {
            Some("static") => "style.css".to_owned(),
            Some("archive") => format!("{id}.zip"),
            _ => "a.txt".to_owned(),
        };
        let path = self.path.replace("{id}", id).replace("{name}", &file);
        let path = path.replace("{code}", "internal").replace("{version}", "0");
        let query = match (self.method.as_str(), self.path) {
            (_, "/download") | ("POST", "/files") => "?name=a.txt",
            _ => "",
        };
        let (media_type, body) = match (self.method.as_str(), self.path) {
            ("POST", "/upload" | "/compat/filepond") => (form.content_type(), form.body()),
            ("PUT", _) | ("POST", "/files") => ("text/plain".to_owned(), b"x".to_vec()),
            ("PATCH", _) => (
                "application/json".to_owned(),
                br#"{"expires_in":"1h"}"#.to_vec(),
            ),
            ("DELETE", "/compat/filepond") => (
                "text/plain".to_owned(),
                stored["manage_key"].as_str().unwrap().as_bytes().to_vec(),
            ),
            ("POST", "/uploads/{id}/prolong") => (
                "application/x-www-form-urlencoded".to_owned(),
                b"wharf_expires_in=1h".to_vec(),
            ),
            _ => (String::new(), Vec::new()),
        };
        Good {
            path: format!("{path}{query}"),
            media_type,
            body,
        }
    }

    fn send(&self, good: &Good, headers: &[(&str, &str)]) -> Response {
        let mut all = headers.to_vec();
        if !good.media_type.is_empty() {
            all.push(("Content-Type", &good.media_type));
        }
        self.server
            .request(&self.method, &good.path, &all, &good.body)
    }

    fn ask(&self, answers: &mut Vec<Value>) {
        let mut ask = |headers: &[(&str, &str)]| {
            take(answers, self.id(), &self.send(&self.good(), headers));
        };
        ask(&[ROOT]);
        ask(&[ROOT, ("Accept", "text/html")]);
        ask(&[ROOT, ("Accept", "text/plain")]);
        ask(&[ROOT, ("Prefer", "return=minimal")]);
        ask(&[("Host", "a b")]);
        let foreign = format!("evil.example:{}", self.server.address.port());
        let ways: &[(u16, &[Fields<'_>])] = &[
            (
                206,
                &[&[("Range", "bytes=0-1")], &[("Range", "bytes=0-1,4-5")]],
            ),
            (304, &[&[("If-None-Match", "*")]]),
            (403, &[&[("Sec-Fetch-Site", "cross-site")]]),
            (412, &[&[("If-Match", "\"x\"")]]),
            (415, &[&[("Content-Encoding", "gzip")]]),
            (416, &[&[("Range", "bytes=99999-")]]),
            (421, &[&[("Host", &foreign)]]),
        ];
        for (status, ways) in ways {
            for way in *ways {
                if self.has(*status) {
                    ask(&[&[ROOT][..], *way].concat());
                }
            }
        }
        // Those that need no secret take any.
        if self.has(401) || self.has(403) {
            let secrets: [&[_]; 4] = [
                &[],
                &[("Authorization", "Bearer wrong")],
                &[("Authorization", "Bearer up")],
                &[("Authorization", "Bearer down")],
            ];
            secrets.iter().for_each(|secret| ask(secret));
        }
        self.ask_otherwise(answers);
    }

    /// The same at another address, or with another body.
    fn ask_otherwise(&self, answers: &mut Vec<Value>) {
        let mut ask = |good: &Good, headers: &[(&str, &str)]| {
            take(answers, self.id(), &self.send(good, headers));
        };
        if self.path == "/" {
            let good = Good {
                path: "/?sign-in=%2Fproblems".to_owned(),
                ..self.good()
            };
            ask(&good, &[]);
            ask(&good, &[ROOT]);
        }
        if self.has(404) {
            let mut good = self.good();
            let absent = self.path.replace("{id}", ABSENT).replace("{version}", "0");
            let absent = absent.replace("/archive/{name}", &format!("/archive/{ABSENT}.zip"));
            let absent = absent.replace("{name}", "none").replace("{code}", "teapot");
            let query = good.path.split_once('?').map(|_| "?name=none");
            good.path = absent + query.unwrap_or_default();
            if self.path == "/compat/filepond" {
                good.body = format!("{ABSENT}.token").into_bytes();
            }
            ask(&good, &[ROOT]);
        }
        if self.has(308) {
            ask(&self.by_id(str::to_uppercase), &[ROOT]);
            ask(&self.by_id(str::to_owned), &[ROOT]);
        }
        if matches!(self.path, "/upload" | "/files" | "/files/{name}") && self.has(201) {
            // A browser that has been on the page.
            let cookie = "wharf-form=0123456789abcdefghijkl";
            ask(&self.good(), &[ROOT, ("Cookie", cookie)]);
        }
        if self.method == "PATCH" {
            let media_type = "text/plain".to_owned();
            let good = Good {
                media_type,
                ..self.good()
            };
            ask(&good, &[ROOT]);
        }
        if self.method == "GET" && self.path == "/uploads" {
            self.good();
            let path = "/uploads?limit=1".to_owned();
            let good = Good {
                path,
                ..self.good()
            };
            ask(&good, &[ROOT]);
        }
        if self.path == "/" {
            ask(&self.good(), &[("Accept", "application/json")]);
        }
        if self.has(413) {
            let good = Good {
                body: noise(100_000, 1),
                ..self.good()
            };
            ask(&good, &[ROOT]);
        }
        if self.has(501) {
            let (mut connection, good) = (Connection::open(self.server.address), self.good());
            let head = format!(
                "{} {} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
                self.method, good.path
            );
            connection.send(head.as_bytes());
            take(answers, self.id(), &connection.response(false).unwrap());
        }
    }
}

/// A body that does not come.
fn stalled(server: &Server, answers: &mut Vec<Value>) {
    let mut connection = Connection::open(server.address);
    connection.send(
        b"PUT /files/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer up\r\nContent-Length: 9\r\n\r\n",
    );
    take(answers, "putFile", &connection.response(false).unwrap());
}

/// More at once than there may be.
fn crowded(answers: &mut Vec<Value>) {
    let server = Server::with(&["--max-uploads", "1"]);
    let big = Form::new().file("f", "big.bin", &noise(8 << 20, 1));
    let stored = server.post_to("/upload?max_downloads=1", &big, &[]).json();
    let path = format!("/files/{}/big.bin", stored["id"].as_str().unwrap());
    let mut last = Connection::open(server.address);
    last.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    last.stream().read_exact(&mut [0]).unwrap();
    take(answers, "getFile", &server.get(&path));
    let small = Form::new().text("t", "x");
    let _under_way = Connection::announcing(server.address, &small);
    let second = server.post_to("/upload", &small, &[]);
    take(answers, "createUpload", &second);
    let server = Server::with(&[
        "--max-uploads-per-client",
        "1",
        "--trusted-proxies",
        "127.0.0.1",
        "--open",
        "--default-expires-in",
        "never",
    ]);
    let mut first = Connection::open(server.address);
    first.send(
        b"PUT /files/a HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    );
    assert_eq!(first.response(false).unwrap().status, 100);
    let client = [("X-Forwarded-For", "192.0.2.1")];
    take(
        answers,
        "putFile",
        &server.request("PUT", "/files/b", &client, b"x"),
    );
}

/// No room.
fn full(answers: &mut Vec<Value>) {
    let server = Server::with(&["--min-free", "1000TiB"]);
    let refused = server.post_to("/upload", &Form::new().file("f", "a.txt", b"a"), &[]);
    take(answers, "createUpload", &refused);
}

/// A file that is not what it was.
fn damaged(answers: &mut Vec<Value>) {
    let server = Server::start();
    server.upload(&Form::new().file("f", "long.txt", &noise(100_000, 3)));
    let files = server.files();
    let name = files
        .iter()
        .find(|name| name.ends_with("long.txt"))
        .unwrap();
    let file = server.store().join(&name[..2]).join(name);
    let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(10).unwrap();
    take(answers, "getFileByName", &server.get("/files/long.txt"));
}
