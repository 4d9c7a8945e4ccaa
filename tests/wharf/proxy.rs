//! Behind nginx, with the settings the README names.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::support::{Form, Server, noise, request, wait_until};

struct Nginx {
    child: Child,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Nginx {
    fn before(server: &Server) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let path = dir.path().display();
        let conf = format!(
            "daemon off; pid {path}/pid; error_log {path}/error.log;\n\
             events {{}}\n\
             http {{\n\
               access_log off; client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;\n\
               fastcgi_temp_path {path}/f; uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;\n\
               server {{\n\
                 listen {address};\n\
                 client_max_body_size 0;\n\
                 location / {{\n\
                   proxy_pass http://{}; proxy_http_version 1.1; proxy_request_buffering off;\n\
                   proxy_set_header Host $host:$server_port;\n\
                   proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
                   proxy_set_header X-Forwarded-Proto https;\n\
                 }}\n\
               }}\n\
             }}\n",
            server.address
        );
        std::fs::write(dir.path().join("nginx.conf"), conf).unwrap();
        let child = Command::new("nginx")
            .arg("-c")
            .arg(dir.path().join("nginx.conf"))
            .args(["-g", "user root;", "-p"])
            .arg(dir.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Nginx {
            child,
            address,
            _dir: dir,
        };
        wait_until("nginx listens", || TcpStream::connect(address).is_ok());
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM: the master ends its workers; killed, it would leave them.
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

#[test]
fn uploads_and_downloads_go_through() {
    let server = Server::with(&["--trusted-proxies", "127.0.0.1", "--max-file-size", "30MiB"]);
    let nginx = Nginx::before(&server);
    let content = noise(20_000_000, 8);
    let form = Form::new().file("f", "big.bin", &content);
    let content_type = form.content_type();
    let headers = [
        ("Content-Type", content_type.as_str()),
        ("X-Forwarded-For", "6.6.6.6"),
    ];
    let stored = request(nginx.address, "POST", "/upload", &headers, &form.body());
    assert_eq!(stored.status, 201, "{}", stored.text());
    let json = stored.json();
    assert!(
        json["url"]
            .as_str()
            .unwrap()
            .starts_with(&format!("https://{}/files/", nginx.address)),
        "{json}"
    );
    let raw = request(nginx.address, "GET", "/files/big.bin", &[], b"");
    assert!(raw.body == content);
    let part = request(
        nginx.address,
        "GET",
        "/files/big.bin",
        &[("Range", "bytes=5-9")],
        b"",
    );
    assert_eq!((part.status, &part.body[..]), (206, &content[5..10]));
    let form = Form::new().file("f", "big.bin", &noise(31 << 20, 1));
    let refused = request(
        nginx.address,
        "POST",
        "/upload",
        &[("Content-Type", &content_type)],
        &form.body(),
    );
    assert_eq!(refused.status, 413, "{}", refused.text());
    assert_eq!(server.files().len(), 2);
    wait_until("the lines are logged", || {
        server.log().contains("POST /upload 413")
    });
}
