//! The log: trouble of standard error costs lines, and never a request or the end.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::prometheus::accepted;
use crate::support::{Connection, Form, Server, Setup, WHARF, end_of, signal, wait_until};

/// A server whose standard error the test gives to another process.
struct Unread {
    child: Child,
    dir: tempfile::TempDir,
}

impl Unread {
    fn start(stderr: Stdio) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let child = Command::new(WHARF)
            .args(["--listen", "unix:socket", "--shutdown-grace", "5s"])
            // Over a unix socket it is others than this machine that ask.
            .args([
                "--open",
                "--default-expires-in",
                "never",
                "--access",
                "admin:root",
            ])
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let unread = Unread { child, dir };
        wait_until("it listens", || {
            UnixStream::connect(unread.socket()).is_ok()
        });
        unread
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    /// The answer to one request.
    fn ask(&self, head: &str, body: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        let length = body.len();
        let head = format!(
            "{head}Host: localhost\r\nAuthorization: Bearer root\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[track_caller]
    fn upload(&self) {
        let form = Form::new().file("f", "a.txt", b"content");
        let head = format!(
            "POST /upload HTTP/1.1\r\nContent-Type: {}\r\n",
            form.content_type()
        );
        let answer = self.ask(&head, &form.body());
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    }

    /// Asks for what makes long lines, one request after the other, until lines are dropped.
    fn fill(&self) {
        let path = "x".repeat(6000);
        wait_until("lines are dropped", || {
            let mut stream = UnixStream::connect(self.socket()).unwrap();
            for _ in 0..100 {
                write!(stream, "HEAD /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
                let mut answer = Vec::new();
                while !answer.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    answer.extend(byte);
                }
                assert!(answer.starts_with(b"HTTP/1.1 404 "));
            }
            self.dropped() > 0
        });
    }

    fn dropped(&self) -> u64 {
        let metrics = self.ask("GET /metrics HTTP/1.1\r\n", b"");
        let mut lines = metrics.lines();
        let value = lines.find_map(|line| line.strip_prefix("wharf_log_lines_dropped_total "));
        value.expect("the metric").parse().unwrap()
    }

    /// It stores and ends as if its log was read.
    fn goes_on(self) {
        let stored = 30;
        for _ in 0..stored {
            self.upload();
        }
        self.fill();
        self.upload();
        signal(&self.child, Signal::TERM);
        let Unread { child, dir } = self;
        assert_eq!(end_of(child).code, Some(0));
        assert_eq!(manifests(&dir.path().join("upload")), stored + 1);
    }
}

fn manifests(store: &Path) -> usize {
    let folders = std::fs::read_dir(store).unwrap().map(Result::unwrap);
    let folders = folders.filter(|folder| folder.file_name() != ".wharf");
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.path()).unwrap());
    files
        .filter(|file| file.as_ref().unwrap().path().extension() == Some("json".as_ref()))
        .count()
}

#[test]
fn a_reader_that_goes_away_costs_lines() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let server = Unread::start(writer.into());
    reader.read_exact(&mut [0; 10]).unwrap();
    drop(reader);
    server.goes_on();
}

#[test]
fn a_full_disk_costs_lines() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    Unread::start(full.into()).goes_on();
}

#[test]
fn a_reader_that_stops_reading_costs_lines() {
    let (reader, writer) = std::io::pipe().unwrap();
    Unread::start(writer.into()).goes_on();
    drop(reader);
}

#[test]
fn the_log_says_what_it_lost() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let server = Unread::start(writer.into());
    server.fill();
    let log = std::thread::spawn(move || {
        let mut log = String::new();
        reader.read_to_string(&mut log).unwrap();
        log
    });
    wait_until("it reads on", || server.dropped() > 0);
    signal(&server.child, Signal::TERM);
    assert_eq!(end_of(server.child).code, Some(0));
    let log = log.join().unwrap();
    assert!(log.contains("lines of the log were dropped lines="));
    assert!(log.lines().all(|line| line.starts_with("20")), "{log}");
    assert!(log.ends_with("ended\n"), "{log}");
}

#[test]
fn what_is_logged_acts_on_nobodys_terminal() {
    let ask = |server: &Server| {
        let mut connection = Connection::open(server.address);
        let path = "/a\u{202e}b\u{2028}c\u{9b}2Jd";
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        let _ = connection.response(false);
        server.get("/healthz");
        server.says("/healthz 200");
        server.log()
    };
    let acts = |c: char| c.is_control() && c != '\n' || ('\u{2028}'..='\u{202e}').contains(&c);
    let text = ask(&Server::start());
    assert!(!text.contains(acts), "{text}");
    assert!(
        text.contains(r"/a\u{202e}b\u{2028}c\u{9b}2Jd 404"),
        "{text}"
    );
    let json = ask(&Server::with(&["--log-format", "json"]));
    assert!(!json.contains(acts), "{json}");
    for line in json.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let ms = line["duration_ms"].as_f64().unwrap_or_default().to_string();
        assert!(
            ms.split_once('.')
                .is_none_or(|(_, decimals)| decimals.len() <= 3)
        );
    }
    assert!(json.contains(r"/a\u202eb\u2028c\u009b2Jd 404"), "{json}");
}

#[test]
fn counters_are_text_unless_openmetrics_is_asked_for() {
    let server = Server::start();
    server.upload(&Form::new().file("f", "a", b"x"));
    let plain = server.get("/metrics");
    assert_eq!(
        plain.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = plain.text();
    assert!(
        text.contains("# TYPE wharf_http_requests_total counter\n"),
        "{text}"
    );
    assert!(
        !text.contains("# EOF") && !text.contains("# UNIT"),
        "{text}"
    );
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let asked = server.request("GET", "/metrics", &[("Accept", accept)], b"");
    assert!(
        asked
            .header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    assert!(asked.text().ends_with("# EOF\n"));
    accepted(&text);
}

#[test]
fn secrets_and_unknown_variables_in_what_commands_say() {
    let said = |setup: &Setup, args: &[&str]| {
        let out = setup.run(args);
        let texts = [out.stdout, out.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(!texts.concat().contains("s3cret"), "{texts:?}");
        texts
    };
    let setup = Setup::new()
        .env("WHARF_NO_SUCH", "1")
        .env("WHARF_S3_ENDPOINT", "http://me:s3cret@127.0.0.1:1")
        .env("WHARF_REDIS", "redis://:s3cret/#s3cret@127.0.0.1:1/2");
    for command in ["config", "check", "list"] {
        let [out, err] = said(&setup, &[command]);
        let warning = "the environment variable WHARF_NO_SUCH is no setting";
        assert!(err.contains(warning), "{command}: {err}");
        assert!(command != "config" || out.contains("s3_endpoint = \"http://***@127.0.0.1:1\""));
        assert!(command != "config" || out.contains("redis = \"redis://***@127.0.0.1:1/2\""));
    }
    for (name, value) in [
        ("WHARF_S3_ENDPOINT", "me:s3cret@127.0.0.1"),
        ("WHARF_REDIS", "http://me:s3cret@127.0.0.1"),
        ("WHARF_REDIS", "redis://:s3cret@127.0.0.1:x"),
    ] {
        let [_, err] = said(&Setup::new().env(name, value), &["config"]);
        assert!(err.contains(&name[6..].to_lowercase()), "{err}");
    }
    // The reason why it does not start is said once.
    let [_, err] = said(&setup, &["serve", "--listen", "127.0.0.1:0"]);
    let reasons = err.matches("refused").count();
    assert!(err.contains("127.0.0.1:1") && reasons == 1, "{err}");
}

#[test]
fn a_request_has_its_fields_in_the_log_and_its_route_in_the_counters() {
    let server = Server::with(&["--log-format", "json"]);
    let form = Form::new().file("f", "a.txt", b"content");
    let named = |id| [("User-Agent", "tester/1"), ("X-Request-ID", id)];
    let stored = server.post_to("/upload", &form, &named("stored"));
    let id = stored.json()["id"].as_str().unwrap().to_owned();
    let refused = server.post_to("/upload?expires_in=soon", &form, &named("refused"));
    assert_eq!(refused.status, 400);
    let path = format!("/files/{id}/a.txt");
    assert_eq!(
        server.request("GET", &path, &named("read"), b"").status,
        200
    );
    let lost = server.request("GET", "/wp-login.php?x=1", &named("lost"), b"");
    assert_eq!(lost.status, 404);
    server.says("GET /wp-login.php 404");
    let logged = |request: &str| -> serde_json::Value {
        let log = server.log();
        let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
        let mut lines = lines.filter(|line: &serde_json::Value| line["request_id"] == request);
        let line = lines.next().unwrap_or_else(|| panic!("{request}: {log}"));
        assert!(lines.next().is_none(), "{log}");
        line
    };
    for (request, method, path, route, status, upload) in [
        ("stored", "POST", "/upload", "/upload", 201, Some(&id)),
        ("refused", "POST", "/upload", "/upload", 400, None),
        ("read", "GET", &path, "/files/{id}/{name}", 200, Some(&id)),
        ("lost", "GET", "/wp-login.php", "none", 404, None),
    ] {
        let line = logged(request);
        assert_eq!(line["message"], format!("{method} {path} {status}"));
        assert_eq!(line["event"], "request");
        let fields = [
            "method",
            "path",
            "route",
            "user_agent",
            "protocol",
            "client",
        ];
        let found = fields.map(|name| line[name].as_str().unwrap());
        let wanted = [method, path, route, "tester/1", "HTTP/1.1", "127.0.0.1"];
        assert_eq!(found, wanted);
        assert_eq!(line["status"], status);
        assert_eq!(line["upload_id"].as_str(), upload.map(String::as_str));
        assert!(line["duration_ms"].is_f64() && line["response_bytes"].as_u64() > Some(6));
    }
    assert_eq!(logged("stored")["request_bytes"], form.body().len());
    let metrics = server.get("/metrics").text();
    for line in [
        "wharf_http_requests_total{method=\"POST\",route=\"/upload\",status=\"201\"} 1",
        "wharf_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "wharf_http_request_duration_seconds_count{route=\"/files/{id}/{name}\"} 1",
        "wharf_uploads_refused_total{code=\"invalid-option\"} 1",
        "wharf_uploads_stored_total 1",
        "wharf_files_stored_total 1",
        "wharf_uploads_in_progress 0",
        "wharf_http_connections 1",
        "wharf_http_requests_in_progress 1",
        "wharf_ready 1",
        "wharf_next_expiry_timestamp_seconds 0.0",
        "wharf_leader 1",
        concat!(
            "wharf_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
    ] {
        assert!(
            metrics.lines().any(|known| known == line),
            "{line} in {metrics}"
        );
    }
    assert!(!metrics.contains("wp-login"), "{metrics}");
    let delete = format!("Bearer {}", stored.json()["delete_token"].as_str().unwrap());
    let gone = server.request(
        "DELETE",
        &format!("/uploads/{id}"),
        &[("Authorization", &delete)],
        b"",
    );
    assert_eq!(
        (gone.status, server.metric("wharf_uploads_deleted_total")),
        (204, 1.0)
    );
    for name in [
        "wharf_store_free_bytes",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(server.metric(name) > 10.0, "{name}");
    }
}
