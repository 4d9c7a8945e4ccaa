use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::nginx::{end, nginx_main};
use super::{Server, wait_until};

/// nginx, Caddy, Apache httpd or HAProxy with the configuration that is shipped, speaking TLS; it ends with the value.
pub struct TlsProxy {
    child: Child,
    pub address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl TlsProxy {
    pub fn nginx(server: &Server) -> Self {
        let (dir, address) = prepare();
        let path = dir.path().display();
        let http = [
            ("listen 443 ssl;", format!("listen {address} ssl;")),
            (
                "server 127.0.0.1:8080;",
                format!("server {};", server.address),
            ),
            (
                "/etc/ssl/files.example.com/fullchain.pem",
                format!("{path}/cert.pem"),
            ),
            (
                "/etc/ssl/files.example.com/privkey.pem",
                format!("{path}/key.pem"),
            ),
            ("location /wharf/ {", "location /base/ {".to_owned()),
        ];
        let http = http
            .iter()
            .fold(shipped("nginx-tls.conf"), |text, (from, to)| {
                assert!(text.contains(from), "{from}");
                text.replace(from, to)
            });
        let config = dir.path().join("nginx.conf");
        std::fs::write(&config, nginx_main(dir.path(), &http)).unwrap();
        let mut command = Command::new("nginx");
        command
            .arg("-c")
            .arg(config)
            .args(["-g", "user root;", "-p"])
            .arg(dir.path());
        Self::run(command, dir, address)
    }

    pub fn caddy(server: &Server) -> Self {
        let (dir, address) = prepare();
        let path = dir.path().display();
        let shipped = shipped("Caddyfile");
        let site = format!(
            "https://127.0.0.1:{} {{\n\ttls {path}/cert.pem {path}/key.pem",
            address.port()
        );
        let text = shipped.replace("files.example.com {", &site).replace(
            "127.0.0.1:8081 127.0.0.1:8082 127.0.0.1:8083",
            &server.address.to_string(),
        );
        assert!(text.contains(&site) && text.contains(&server.address.to_string()));
        let text = format!(
            "{{\n\tadmin off\n\tauto_https off\n\tskip_install_trust\n\tstorage file_system {path}/storage\n}}\n{text}"
        );
        std::fs::write(dir.path().join("Caddyfile"), text).unwrap();
        let mut command = Command::new("caddy");
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(dir.path().join("Caddyfile"));
        command
            .env("HOME", dir.path())
            .env("XDG_DATA_HOME", dir.path())
            .env("XDG_CONFIG_HOME", dir.path());
        Self::run(command, dir, address)
    }

    pub fn apache(server: &Server) -> Self {
        let (dir, address) = prepare();
        let path = dir.path().display();
        let site = [
            ("Listen 443", format!("Listen {address}")),
            ("*:443", address.to_string()),
            (
                "/etc/ssl/files.example.com/fullchain.pem",
                format!("{path}/cert.pem"),
            ),
            (
                "/etc/ssl/files.example.com/privkey.pem",
                format!("{path}/key.pem"),
            ),
            ("127.0.0.1:8080", server.address.to_string()),
            ("/wharf", "/base".to_owned()),
        ];
        let site = site
            .iter()
            .fold(shipped("apache.conf"), |text, (from, to)| {
                assert!(text.contains(from), "{from}");
                text.replace(from, to)
            });
        let modules = [
            "mpm_event",
            "alias",
            "authz_core",
            "headers",
            "http2",
            "proxy",
            "proxy_http",
            "reqtimeout",
            "socache_shmcb",
            "ssl",
        ];
        let modules = modules.map(|name| {
            format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
        });
        let text = format!(
            "{}ServerRoot {path}\nPidFile {path}/pid\nErrorLog {path}/error.log\n\
             DefaultRuntimeDir {path}\nServerName localhost\n{site}",
            modules.concat()
        );
        let config = dir.path().join("apache.conf");
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("/usr/sbin/apache2");
        command.args(["-DFOREGROUND", "-f"]).arg(config);
        Self::run(command, dir, address)
    }

    pub fn haproxy(server: &Server) -> Self {
        Self::haproxy_with(server, "")
    }

    /// HAProxy that speaks HTTP/2 to wharf, as the file says.
    pub fn haproxy_http_2(server: &Server) -> Self {
        Self::haproxy_with(server, "proto h2 ")
    }

    fn haproxy_with(server: &Server, proto: &str) -> Self {
        let (dir, address) = prepare();
        let pem = dir.path().join("both.pem");
        let [cert, key] =
            ["cert.pem", "key.pem"].map(|name| std::fs::read(dir.path().join(name)).unwrap());
        std::fs::write(&pem, [cert, key].concat()).unwrap();
        let mut text = String::new();
        for line in shipped("haproxy.cfg").lines() {
            match line.trim() {
                line if line.starts_with("bind :443 ") => {
                    text += &format!(
                        "\tbind {address} ssl crt {} alpn h2,http/1.1\n",
                        pem.display()
                    );
                }
                line if line.starts_with("server wharf1 ") => {
                    text += &format!("\tserver wharf1 {} {proto}check\n", server.address);
                }
                line if line.starts_with("server wharf") => {}
                _ => text += &format!("{line}\n"),
            }
        }
        assert!(text.contains(&server.address.to_string()) && text.contains(&address.to_string()));
        if !proto.is_empty() {
            // As the file says, and with the streams of all clients on the same connections.
            for (place, more) in [
                ("global\n", "\ttune.h2.max-concurrent-streams 32\n"),
                ("balance leastconn\n", "\thttp-reuse always\n"),
            ] {
                assert!(text.contains(place));
                text = text.replace(place, &format!("{place}{more}"));
            }
        }
        // Where wharf has a base path, its readiness has it too.
        let config = dir.path().join("haproxy.cfg");
        std::fs::write(&config, text.replace("GET /readyz", "GET /base/readyz")).unwrap();
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(config);
        Self::run(command, dir, address)
    }

    fn run(mut command: Command, dir: tempfile::TempDir, address: SocketAddr) -> Self {
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let proxy = TlsProxy {
            child,
            address,
            _dir: dir,
        };
        wait_until("the proxy listens", || TcpStream::connect(address).is_ok());
        proxy
    }
}

impl Drop for TlsProxy {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// A folder with a certificate for 127.0.0.1, and an address that is free.
fn prepare() -> (tempfile::TempDir, SocketAddr) {
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
        ])
        .current_dir(dir.path())
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    (dir, free)
}
