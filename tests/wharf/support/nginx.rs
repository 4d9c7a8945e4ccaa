use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::redis::free_port;
use super::{Server, wait_until};

/// nginx with the configuration that is shipped; it ends with the value.
pub struct Nginx {
    child: Child,
    pub address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Nginx {
    /// One in front of these.
    pub fn before(servers: &[&Server]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/nginx.conf");
        let shipped = std::fs::read_to_string(shipped).unwrap();
        let upstreams: String = servers
            .iter()
            .map(|server| format!("    server {};\n", server.address))
            .collect();
        let mut http = String::new();
        for line in shipped.lines() {
            let trimmed = line.trim();
            match trimmed {
                "server 127.0.0.1:8081;" => http += &upstreams,
                _ if trimmed.starts_with("server 127.0.0.1:") => {}
                "listen 80;" => http += &format!("listen {address};\n"),
                _ => http += &format!("{line}\n"),
            }
        }
        assert!(http.contains(&upstreams) && http.contains(&address.to_string()));
        let conf = nginx_main(dir.path(), &http);
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
        end(&mut self.child);
    }
}

/// The configuration around what is shipped: everything nginx writes lies under `dir`.
pub fn nginx_main(dir: &Path, http: &str) -> String {
    let path = dir.display();
    format!(
        "daemon off; pid {path}/pid; error_log {path}/error.log;\n\
         events {{}}\n\
         http {{\n\
           access_log off; client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;\n\
           fastcgi_temp_path {path}/f; uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;\n\
           {http}\n\
         }}\n"
    )
}

/// Ends a proxy by SIGTERM: nginx then ends its workers; killed, it would leave them. One that
/// waits for its connections is killed.
pub fn end(child: &mut Child) {
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    let patience = Instant::now() + Duration::from_secs(5);
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
}
