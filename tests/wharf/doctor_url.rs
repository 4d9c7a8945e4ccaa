//! `wharf doctor --url`: the changes that proxies make to requests.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{Server, Setup, WHARF, nginx_main, wait_until};

/// nginx with this in its location; it ends with the value.
struct Before {
    child: Child,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Before {
    fn new(server: &Server, location: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let upstream = server.address;
        let http = format!(
            "server {{ listen {address}; location / {{ proxy_pass http://{upstream}; \
             proxy_http_version 1.1; proxy_set_header Host $http_host; {location} }} }}"
        );
        let conf = dir.path().join("nginx.conf");
        std::fs::write(&conf, nginx_main(dir.path(), &http)).unwrap();
        let child = Command::new("nginx")
            .args(["-g", "user root;", "-p"])
            .arg(dir.path())
            .arg("-c")
            .arg(&conf)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("nginx listens", || TcpStream::connect(address).is_ok());
        Before {
            child,
            address,
            _dir: dir,
        }
    }
}

impl Drop for Before {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// The findings at this address.
fn look(url: &str) -> (Option<i32>, Vec<Value>) {
    let dir = tempfile::tempdir().unwrap();
    let out = Command::new(WHARF)
        .args(["doctor", "--json", "--port", "0", "--url", url])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let json: Value = serde_json::from_slice(&out.stdout).unwrap();
    (
        out.status.code(),
        json["findings"].as_array().unwrap().clone(),
    )
}

#[track_caller]
fn says(found: &[Value], check: &str, level: &str, text: &str) {
    let one = found.iter().any(|finding| {
        finding["check"] == check
            && finding["level"] == level
            && finding["text"].as_str().unwrap().contains(text)
    });
    assert!(one, "{check} {level} {text}: {found:#?}");
}

/// Everything is as it should be over an address.
#[track_caller]
fn all_well(found: &[Value]) {
    for check in [
        "url",
        "ready",
        "address",
        "streaming",
        "refusals",
        "lengths",
    ] {
        says(found, check, "ok", "");
    }
}

const STREAMING: &str = "proxy_request_buffering off; client_max_body_size 0;";
const OWN: &str = "proxy_set_header X-Forwarded-Host $http_host; \
                   proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header Forwarded \"\";";

#[test]
fn a_server_alone_and_one_behind_a_good_proxy_are_well() {
    let server = Server::start();
    let (code, found) = look(&server.url(""));
    assert_eq!(code, Some(0), "{found:#?}");
    all_well(&found);
    let server = Setup::new()
        .for_everybody()
        .args(&["--trusted-proxies", "127.0.0.1", "--base-path", "/w"])
        .start();
    let proxy = Before::new(&server, &format!("{STREAMING} {OWN}"));
    let (code, found) = look(&format!("http://{}/w", proxy.address));
    assert_eq!(code, Some(0), "{found:#?}");
    all_well(&found);
    assert_eq!((server.files().len(), server.staged()), (0, 0));
    let (code, found) = look(&format!("http://{}", proxy.address));
    assert_eq!(code, Some(1));
    says(&found, "url", "error", "is not wharf");
}

#[test]
fn a_proxy_that_buffers_and_bounds_bodies_is_found() {
    let server = Server::for_everybody(&[]);
    let proxy = Before::new(&server, "client_max_body_size 20m;");
    let (code, found) = look(&format!("http://{}", proxy.address));
    assert_eq!(code, Some(1));
    says(
        &found,
        "streaming",
        "warning",
        "keeps bodies until they are whole",
    );
    says(
        &found,
        "lengths",
        "error",
        "above 100MiB, or above less, and takes those of 10MiB",
    );
}

#[test]
fn what_a_client_claims_must_not_be_believed() {
    let server = Setup::new()
        .for_everybody()
        .args(&["--trusted-proxies", "127.0.0.1"])
        .start();
    let proxy = Before::new(&server, STREAMING);
    let (code, found) = look(&format!("http://{}", proxy.address));
    assert_eq!(code, Some(1));
    says(&found, "address", "error", "x-forwarded-host");
    says(&found, "address", "error", "sends forwarded");
    // Links that lead elsewhere.
    let server = Setup::new()
        .for_everybody()
        .args(&["--public-url", "https://files.example"])
        .start();
    let (code, found) = look(&server.url(""));
    assert_eq!(code, Some(0), "{found:#?}");
    says(&found, "address", "warning", "https://files.example");
    let (code, found) = look("http://127.0.0.1:1");
    assert_eq!(code, Some(1));
    says(&found, "url", "error", "");
}
