//! A store behind TLS, with a certificate that a client trusts only when it is told to.

use std::process::{Command, Stdio};

use crate::support::redis::free_port;
use crate::support::{Bucket, Foreign, Form, Setup, certificates, noise, sha256, wait_until};

/// HAProxy with TLS before the S3 server; it ends with the value.
struct Tls {
    _proxy: Foreign,
    port: u16,
    dir: tempfile::TempDir,
}

impl Tls {
    fn before(bucket: &Bucket) -> Self {
        let (dir, port) = (certificates(), free_port());
        let path = |name: &str| dir.path().join(name);
        let [cert, key] =
            ["server.pem", "server.key"].map(|name| std::fs::read(path(name)).unwrap());
        std::fs::write(path("both.pem"), [cert, key].concat()).unwrap();
        let text = format!(
            "defaults\n\tmode http\n\ttimeout connect 2s\n\ttimeout client 75s\n\ttimeout server 75s\n\
             listen store\n\tbind 127.0.0.1:{port} ssl crt {}\n\tserver moto 127.0.0.1:{}\n",
            path("both.pem").display(),
            bucket.server.port
        );
        std::fs::write(path("haproxy.cfg"), text).unwrap();
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(path("haproxy.cfg"));
        let proxy = Foreign::at(command.stdout(Stdio::null()).stderr(Stdio::null()), port);
        Tls {
            _proxy: proxy,
            port,
            dir,
        }
    }

    fn setup(&self, bucket: &Bucket, host: &str) -> Setup {
        let url = format!("https://{host}:{}", self.port);
        Setup::new().bucket(bucket, &url).args(&["--s3-redirect"])
    }

    fn ca(&self) -> String {
        self.dir.path().join("ca.pem").display().to_string()
    }
}

#[test]
fn a_store_is_reached_over_tls_by_who_trusts_it() {
    let bucket = Bucket::new();
    let tls = Tls::before(&bucket);
    let refused = |setup: Setup| {
        let output = setup.run(&["--listen", "127.0.0.1:0"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        said.lines().last().unwrap_or_default().to_owned()
    };
    let unknown = refused(tls.setup(&bucket, "localhost"));
    let named = format!("cannot use s3://{}/up at https://localhost:", bucket.name);
    assert!(unknown.contains(&named), "{unknown}");
    assert!(
        unknown.contains("invalid peer certificate: UnknownIssuer"),
        "{unknown}"
    );
    let trusting = |host| tls.setup(&bucket, host).env("SSL_CERT_FILE", &tls.ca());
    let other = refused(trusting("127.0.0.1"));
    assert!(other.contains("not valid for name"), "{other}");
    let nowhere = tls
        .setup(&bucket, "localhost")
        .env("SSL_CERT_FILE", "/nowhere.pem");
    let nowhere = refused(nowhere);
    assert!(nowhere.contains("certificate"), "{nowhere}");

    let server = trusting("localhost").start();
    let content = noise(20_000_000, 1);
    let json = server.upload(&Form::new().file("f", "a.bin", &content));
    assert_eq!(json["sha256"], sha256(&content));
    let id = json["id"].as_str().unwrap();
    let whole = server.get(&format!("/download/{id}/a.bin"));
    assert_eq!(whole.status, 200);
    let url = json["files"][0]["url"].as_str().unwrap();
    assert!(server.curl(&["-f", "-L", "--cacert", &tls.ca(), url]) == content);
    // The listings, which are asked for by another client of it.
    server.says("the index is complete");
    let short = Form::new().file("f", "b.bin", b"b");
    assert_eq!(
        server.post_to("/upload?expires_in=1s", &short, &[]).status,
        201
    );
    wait_until("it is removed", || {
        !bucket.keys().iter().any(|key| key.ends_with("-b.bin"))
    });
}
