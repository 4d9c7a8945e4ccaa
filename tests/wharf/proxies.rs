//! Proxies of every kind before a server on loopback: a server that has no setting at all gives
//! their clients nothing but what they have an id of, and one that is opened serves them as it is.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::strangers::{Held, Reach, meet};
use crate::support::{Form, Server, Setup, request, wait_until};

/// A proxy on a free address; it ends with the value.
struct Proxy {
    child: Child,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Runs `program` with the configuration that `config` makes of an address and a folder.
fn run(program: &str, args: &[&str], config: impl FnOnce(SocketAddr, &str) -> String) -> Proxy {
    let dir = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let path = dir.path().join("config");
    let folder = dir.path().to_str().unwrap().to_owned();
    std::fs::write(&path, config(address, &folder)).unwrap();
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let child = Command::new(program)
        .args(args)
        .arg(&path)
        .current_dir(dir.path())
        .env("HOME", dir.path())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    wait_until(&format!("{program} listens"), || {
        TcpStream::connect(address).is_ok()
    });
    Proxy {
        child,
        address,
        _dir: dir,
    }
}

fn nginx(server: &Server, host: &str) -> Proxy {
    let upstream = server.address;
    let host = match host {
        "" => String::new(),
        host => format!("proxy_set_header Host {host};"),
    };
    run("nginx", &["-g", "user root;", "-c"], |address, dir| {
        format!(
            "daemon off; pid {dir}/pid; error_log {dir}/error.log; events {{}}\n\
             http {{ access_log off; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;\n\
             fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\n\
             server {{ listen {address}; location / {{ {host} proxy_pass http://{upstream}; }} }} }}\n"
        )
    })
}

fn caddy(server: &Server) -> Proxy {
    let upstream = server.address;
    let args = ["run", "--adapter", "caddyfile", "--config"];
    run("caddy", &args, |address, dir| {
        format!(
            "{{\n\tadmin off\n\tauto_https off\n\tstorage file_system {dir}/s\n}}\n\
             http://:{} {{\n\tbind 127.0.0.1\n\treverse_proxy {upstream}\n}}\n",
            address.port()
        )
    })
}

fn haproxy(server: &Server) -> Proxy {
    let upstream = server.address;
    run("haproxy", &["-db", "-f"], |address, _| {
        format!(
            "defaults\n\tmode http\n\ttimeout connect 2s\n\ttimeout client 75s\n\ttimeout server 75s\n\
             frontend f\n\tbind {address}\n\tdefault_backend b\n\
             backend b\n\toption httpchk GET /readyz\n\tserver s {upstream} check\n"
        )
    })
}

fn apache(server: &Server, preserve: &str) -> Proxy {
    let upstream = server.address;
    run(
        "/usr/sbin/apache2",
        &["-DFOREGROUND", "-f"],
        |address, dir| {
            let modules: String = ["mpm_event", "authz_core", "proxy", "proxy_http"]
                .map(|name| {
                    format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
                })
                .concat();
            format!(
                "{modules}ServerRoot {dir}\nPidFile {dir}/pid\nErrorLog {dir}/error.log\n\
             DefaultRuntimeDir {dir}\nServerName localhost\nListen {address}\n\
             ProxyPreserveHost {preserve}\nProxyPass / http://{upstream}/\n"
            )
        },
    )
}

fn tinyproxy(server: &Server) -> Proxy {
    let upstream = server.address;
    run("tinyproxy", &["-d", "-c"], |address, dir| {
        format!(
            "Listen {}\nPort {}\nTimeout 60\nPidFile \"{dir}/pid\"\nLogFile \"{dir}/log\"\n\
             ReverseOnly Yes\nReversePath \"/\" \"http://{upstream}/\"\n",
            address.ip(),
            address.port()
        )
    })
}

/// The request of a browser at `files.example` through the proxy.
fn passes(what: &str, make: impl Fn(&Server) -> Proxy) {
    let server = Server::for_everybody(&[]);
    let proxy = make(&server);
    let host = format!("files.example:{}", proxy.address.port());
    let form = Form::new().file("f", "a.txt", b"some text");
    let content_type = form.content_type();
    has_server(what, &proxy, &host);
    let headers = [("Host", host.as_str()), ("Content-Type", &content_type)];
    let stored = request(proxy.address, "POST", "/upload", &headers, &form.body());
    assert_eq!(stored.status, 201, "{what}: {}", stored.text());
    for (path, status) in [("/", 200), ("/files/a.txt", 200), ("/uploads", 401)] {
        let answer = request(proxy.address, "GET", path, &headers[..1], b"");
        assert_eq!(answer.status, status, "{what} {path}: {}", answer.text());
    }
    // Without a setting they are strangers.
    let held = Held::by(Setup::new(), &[]);
    let proxy = make(&held.server);
    let host = format!("files.example:{}", proxy.address.port());
    has_server(what, &proxy, &host);
    meet(
        what,
        Reach::Closed,
        &held,
        |method, path, media_type, body| {
            let headers = [("Host", host.as_str()), ("Content-Type", media_type)];
            let answer = request(proxy.address, method, path, &headers, body);
            (
                answer.status,
                String::from_utf8_lossy(&answer.body).into_owned(),
            )
        },
    );
}

fn has_server(what: &str, proxy: &Proxy, host: &str) {
    wait_until(&format!("{what} has a server"), || {
        let answer = request(proxy.address, "GET", "/", &[("Host", host)], b"");
        answer.status != 503
    });
}

#[test]
fn behind_nginx() {
    for host in ["", "$host", "$http_host", "$host:$server_port"] {
        passes(&format!("nginx {host:?}"), |server| nginx(server, host));
    }
}

#[test]
fn behind_caddy() {
    passes("caddy", caddy);
}

#[test]
fn behind_haproxy() {
    passes("haproxy", haproxy);
}

#[test]
fn behind_apache() {
    for preserve in ["On", "Off"] {
        passes(&format!("apache {preserve}"), |server| {
            apache(server, preserve)
        });
    }
}

#[test]
fn behind_tinyproxy() {
    passes("tinyproxy", tinyproxy);
}
