//! The ways to a server: TLS, proxies, unix sockets.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};

use crate::support::{Nginx, Server, Setup, Wharf, noise, sha256, wait_until};

/// nginx that ends TLS for a server, with a certificate of its own authority.
struct Tls {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

fn openssl(dir: &Path, args: &[&str]) {
    let output = Command::new("openssl")
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "openssl {args:?}: {output:?}");
}

impl Tls {
    fn before(server: &Server) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let new_key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ];
        let ca = [
            "req",
            "-x509",
            "-days",
            "2",
            "-subj",
            "/CN=wharf test",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ];
        openssl(dir.path(), &[&ca[..], &new_key].concat());
        let request = [
            "req",
            "-subj",
            "/CN=localhost",
            "-keyout",
            "key.pem",
            "-out",
            "request.pem",
        ];
        openssl(dir.path(), &[&request[..], &new_key].concat());
        std::fs::write(dir.path().join("names"), "subjectAltName=DNS:localhost").unwrap();
        let signed = "x509 -req -days 2 -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out cert.pem";
        openssl(dir.path(), &signed.split(' ').collect::<Vec<_>>());
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let path = dir.path().display();
        let conf = format!(
            "daemon off; pid {path}/pid; error_log {path}/error.log; events {{}}\n\
             http {{\n\
               access_log off; client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;\n\
               fastcgi_temp_path {path}/f; uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;\n\
               server {{\n\
                 listen 127.0.0.1:{port} ssl; ssl_certificate {path}/cert.pem;\n\
                 ssl_certificate_key {path}/key.pem; client_max_body_size 0;\n\
                 location / {{ proxy_pass http://{}; proxy_request_buffering off; proxy_http_version 1.1; }}\n\
               }}\n\
             }}\n",
            server.address
        );
        std::fs::write(dir.path().join("nginx.conf"), conf).unwrap();
        let child = Command::new("nginx")
            .args(["-g", "user root;", "-p"])
            .arg(dir.path())
            .arg("-c")
            .arg(dir.path().join("nginx.conf"))
            .spawn()
            .unwrap();
        wait_until("nginx listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Tls { child, port, dir }
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

#[test]
fn https_is_verified_against_named_and_system_certificates() {
    let server = Server::start();
    let content = noise(2_000_000, 3);
    std::fs::write(server.dir().join("a.bin"), &content).unwrap();
    let tls = Tls::before(&server);
    let ca = tls.dir.path().join("ca.pem").display().to_string();
    let url = format!("https://localhost:{}", tls.port);
    let wharf = || Wharf::at(server.dir()).env("WHARF_URL", &url);
    let upload = wharf().run(&["upload", "--json", "a.bin", "--ca-file", &ca]);
    assert_eq!(upload.code, Some(0), "{upload:?}");
    assert_eq!(upload.json()["sha256"], sha256(&content));
    let out = wharf().run(&["download", "a.bin", "-o", "-", "--ca-file", &ca]);
    assert!(out.bytes == content, "{}", out.err);
    let system = wharf().env("SSL_CERT_FILE", &ca).run(&["list", "-q"]);
    assert_eq!(system.code, Some(0), "{system:?}");
    let unknown = wharf().run(&["list"]);
    assert_eq!(unknown.code, Some(6));
    assert!(unknown.err.contains("UnknownIssuer"), "{unknown:?}");
    let other_name = format!("https://127.0.0.1:{}", tls.port);
    let said = wharf().run(&["list", "--ca-file", &ca, "--from", &other_name]);
    assert_eq!(said.code, Some(6));
    assert!(said.err.contains("not valid for name"), "{said:?}");
    let plain = wharf().run(&["list", "--from", &format!("http://localhost:{}", tls.port)]);
    assert_eq!(plain.code, Some(1), "{plain:?}");
    for (file, reason) in [
        ("nowhere.pem", "No such file"),
        ("a.bin", "no PEM certificates in a.bin"),
    ] {
        let said = wharf().run(&["list", "--ca-file", file]);
        assert!(
            matches!(said.code, Some(1 | 2)) && said.err.contains(reason),
            "{said:?}"
        );
    }
    // The admin's command takes the same way.
    let reindex = Wharf::at(server.dir()).run(&["reindex", "--to", &url, "--ca-file", &ca]);
    assert_eq!(reindex.code, Some(4), "{reindex:?}");
}

#[test]
fn a_proxy_is_taken_from_the_environment() {
    let server = Server::for_everybody(&[]);
    std::fs::write(server.dir().join("a.txt"), "by way of a proxy").unwrap();
    let nginx = Nginx::before(&[&server]);
    let proxy = format!("http://{}", nginx.address);
    let far = "http://wharf.invalid";
    let wharf = || Wharf::at(server.dir()).env("WHARF_URL", far);
    let upload = wharf()
        .env("http_proxy", &proxy)
        .run(&["upload", "--json", "a.txt"]);
    assert_eq!(upload.code, Some(0), "{upload:?}");
    assert_eq!(upload.json()["sha256"], sha256(b"by way of a proxy"));
    let without = wharf()
        .env("http_proxy", &proxy)
        .env("no_proxy", "wharf.invalid");
    assert_eq!(without.run(&["list"]).code, Some(6));
}

/// A proxy that makes tunnels (RFC 9110 section 9.3.6), to this machine whatever the name is; the
/// heads of what it was asked come out.
fn tunnels() -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (heads, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && matches!(client.read(&mut byte), Ok(1)) {
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap();
        let port: u16 = target.rsplit(':').next().unwrap().parse().unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        heads.send(head).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let _ = std::io::copy(&mut server, &mut client);
    });
    (url, asked)
}

#[test]
fn a_proxy_is_asked_for_a_tunnel_to_https() {
    let server = Server::start();
    let tls = Tls::before(&server);
    let ca = tls.dir.path().join("ca.pem").display().to_string();
    std::fs::write(server.dir().join("a.txt"), "through a tunnel").unwrap();
    let (proxy, asked) = tunnels();
    let proxy = proxy.replace("http://", "http://user:word@");
    let url = format!("https://localhost:{}", tls.port);
    let wharf = Wharf::at(server.dir()).env("https_proxy", &proxy);
    let wharf = wharf.env("WHARF_TOKEN", "hush");
    let said = wharf.run(&["upload", "--json", "a.txt", "--to", &url, "--ca-file", &ca]);
    assert_eq!(
        said.json()["sha256"],
        sha256(b"through a tunnel"),
        "{said:?}"
    );
    let head = asked.recv().unwrap();
    assert!(
        head.starts_with(&format!("CONNECT localhost:{} ", tls.port)),
        "{head}"
    );
    // The proxy's own secret goes to it, and the server's does not.
    assert!(
        head.to_lowercase().contains("proxy-authorization: basic "),
        "{head}"
    );
    assert!(!head.contains("hush"), "{head}");
}

#[test]
fn a_proxy_asked_over_tls_is_verified_for_plain_servers_too() {
    let server = Server::start();
    let tls = Tls::before(&server);
    let ca = tls.dir.path().join("ca.pem").display().to_string();
    let proxy = format!("https://localhost:{}", tls.port);
    for variable in ["http_proxy", "ALL_PROXY"] {
        let wharf = || {
            let wharf = Wharf::at(server.dir()).env("WHARF_URL", "http://wharf.invalid");
            wharf.env(variable, &proxy)
        };
        let system = wharf().env("SSL_CERT_FILE", &ca).run(&["list", "-q"]);
        assert_eq!(system.code, Some(0), "{system:?}");
        let named = wharf().run(&["list", "-q", "--ca-file", &ca]);
        assert_eq!(named.code, Some(0), "{named:?}");
        let unknown = wharf().run(&["list", "-q"]);
        assert_eq!(unknown.code, Some(6));
        assert!(unknown.err.contains("UnknownIssuer"), "{unknown:?}");
    }
}

#[test]
fn a_unix_socket_is_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("w.sock");
    let address = format!("unix:{}", socket.display());
    let server = Setup::new()
        .for_everybody()
        .args(&["--listen", &address, "--listen", "127.0.0.1:0"])
        .start();
    let content = noise(1_000_000, 3);
    std::fs::write(dir.path().join("a.bin"), &content).unwrap();
    let wharf = || {
        Wharf::at(dir.path())
            .env("WHARF_URL", &address)
            .env("http_proxy", "http://127.0.0.1:1")
    };
    let id = wharf().done(&["upload", "--print", "id", "a.bin"]);
    let out = wharf().run(&["download", id.trim_end(), "-o", "-"]);
    assert!(out.bytes == content);
    assert_eq!(
        server.get(&format!("/uploads/{}", id.trim_end())).status,
        200
    );
    drop(server);
    let said = Wharf::at(dir.path()).run(&["list", "--from", "unix:/nowhere/w.sock"]);
    assert_eq!(said.code, Some(6));
    assert!(said.err.contains("unix:/nowhere/w.sock"), "{said:?}");
}

#[test]
fn a_server_that_has_moved_is_named() {
    let server = Server::start();
    std::fs::write(server.dir().join("a.txt"), "a").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 8192]);
        let moved = b"HTTP/1.1 308 Permanent Redirect\r\nLocation: https://new.example/uploads\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(moved).unwrap();
    });
    let said = Wharf::at(server.dir()).run(&["list", "--from", &url]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("https://new.example/uploads"), "{said:?}");
}
