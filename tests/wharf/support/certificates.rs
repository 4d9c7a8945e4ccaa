use std::path::Path;
use std::process::Command;

/// Certificates of a server at localhost (`server.pem` and `.key`), and of who vouches for them
/// (`ca.pem`), in a folder of their own.
pub fn certificates() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let openssl = |args: &str| {
        let output = Command::new("openssl")
            .args(args.split(' '))
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{args}: {output:?}");
    };
    const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    std::fs::write(dir.path().join("names"), "subjectAltName=DNS:localhost").unwrap();
    openssl(&format!(
        "req -x509 {KEY} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"
    ));
    openssl(&format!(
        "req {KEY} -keyout server.key -out server.csr -subj /CN=localhost"
    ));
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
    dir
}

/// Writes `NAME.pem` and `NAME.key` into `dir`: a certificate that vouches for itself, for
/// subject names as openssl writes them, which begins `begins` (as faketime(1) has it) and lasts
/// `days`.
pub fn certificate(dir: &Path, name: &str, subjects: &str, begins: &str, days: u32) {
    // A clock that is set back by a moment must not be before it.
    let begins = if begins == "now" {
        "10 seconds ago"
    } else {
        begins
    };
    let output = Command::new("faketime")
        .args([begins, "openssl", "req", "-x509", "-nodes", "-newkey", "ec"])
        .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-subj", &format!("/CN={name}"), "-days", &days.to_string()])
        .args(["-addext", &format!("subjectAltName={subjects}")])
        .args([
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.pem"),
        ])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
