//! Clients of other authors, each byte-exact both ways.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Server, noise, sha256};

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wharf/clients");
const NAMES: [&str; 3] = [
    "plain.bin",
    "na\u{ef}ve \u{20ac} \u{65e5}\u{672c}.bin",
    "quote\"and space.bin",
];

/// Puts files into the server's folder, has `client` send them and check what comes back, and
/// looks at what was stored.
fn exchange(program: &str, args: &[&str], many: usize) {
    let server = Server::start();
    let files: Vec<Vec<u8>> = [0, 70_000, 1_500_000]
        .iter()
        .map(|&size| noise(size, size as u64))
        .collect();
    let mut names: Vec<String> = NAMES.iter().map(ToString::to_string).collect();
    for (name, content) in names.iter().zip(&files) {
        std::fs::write(server.dir().join(name), content).unwrap();
    }
    for i in 0..many {
        let name = format!("many-{i}.txt");
        std::fs::write(server.dir().join(&name), name.as_bytes()).unwrap();
        names.push(name);
    }
    let mut command = Command::new(program);
    command
        .args(args)
        .arg(server.url(""))
        .args(&names)
        .current_dir(server.dir());
    command
        .env("GOFLAGS", "-mod=mod")
        .env("GO111MODULE", "off")
        .env("GOCACHE", std::env::temp_dir().join("wharf-test-go"));
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{program} {args:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let stored = json["files"].as_array().unwrap();
    assert_eq!(stored.len(), names.len());
    for (file, name) in stored.iter().zip(&names) {
        // Windows forbids the quote.
        assert_eq!(file["name"], name.replace('"', "_"));
        let content = std::fs::read(server.dir().join(name)).unwrap();
        assert_eq!(file["sha256"], sha256(&content), "{name}");
    }
    assert_eq!(
        json["fields"]["note"],
        serde_json::json!(["caf\u{e9} \u{1f980}"])
    );
}

fn python() -> String {
    std::env::var("WHARF_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

#[test]
fn python_requests() {
    exchange(&python(), &[&format!("{CLIENTS}/with_requests.py")], 50);
}

#[test]
fn python_httpx() {
    exchange(&python(), &[&format!("{CLIENTS}/with_httpx.py")], 50);
}

#[test]
fn python_aiohttp() {
    exchange(&python(), &[&format!("{CLIENTS}/with_aiohttp.py")], 50);
}

#[test]
fn node_fetch_and_form_data() {
    exchange("node", &[&format!("{CLIENTS}/with_fetch.mjs")], 50);
}

#[test]
fn go_mime_multipart() {
    exchange("go", &["run", &format!("{CLIENTS}/with_go.go")], 50);
}

#[test]
fn curl_in_its_ways() {
    let server = Server::start();
    let content = noise(2_500_000, 6);
    std::fs::write(server.dir().join("big file.bin"), &content).unwrap();
    let url = server.url("/upload");
    for args in [
        &["--form", "f=@big file.bin"][..],
        &[
            "--form",
            "f=@big file.bin",
            "--form",
            "g=@big file.bin;filename=other.bin;type=x/y",
        ],
        &[
            "--form-escape",
            "--form",
            "f=@\"big file.bin\";filename=\"a\\\"b.bin\"",
        ],
        &[
            "--form",
            "f=@big file.bin",
            "-H",
            "Transfer-Encoding: chunked",
        ],
        &["--form", "f=@big file.bin", "--limit-rate", "5M"],
        &["--form", "f=@big file.bin", "-H", "Expect: 100-continue"],
        &["--form", "f=@big file.bin", "--http2-prior-knowledge"],
        &["--form", "f=<big.txt"],
    ] {
        std::fs::write(server.dir().join("big.txt"), "text from a file").unwrap();
        let mut all = args.to_vec();
        all.push(&url);
        let json: Value = serde_json::from_slice(&server.curl(&all)).unwrap();
        if args.contains(&"f=<big.txt") {
            assert_eq!(json["fields"]["f"][0], "text from a file");
            continue;
        }
        for file in json["files"].as_array().unwrap() {
            assert_eq!(file["sha256"], sha256(&content), "{args:?}");
            assert!(server.curl(&[file["url"].as_str().unwrap()]) == content);
        }
    }
    let put: Value =
        serde_json::from_slice(&server.curl(&["-T", "big file.bin", &server.url("/files/")]))
            .unwrap();
    assert_eq!(
        (&put["name"], &put["sha256"]),
        (&"big file.bin".into(), &sha256(&content).into())
    );
    let piped = format!("cat 'big file.bin' | curl -sS -F 'f=@-;filename=piped.bin' {url}");
    let json: Value = serde_json::from_slice(&server.run("bash", &["-ec", &piped])).unwrap();
    assert_eq!(
        (&json["name"], &json["sha256"]),
        (&"piped.bin".into(), &sha256(&content).into())
    );
    let piped = format!(
        "cat 'big file.bin' | curl -sS -T - {}",
        server.url("/files/streamed.bin")
    );
    let json: Value = serde_json::from_slice(&server.run("bash", &["-ec", &piped])).unwrap();
    assert_eq!(json["sha256"], sha256(&content));
    server.curl(&["-OJ", &server.url("/files/piped.bin")]);
    assert!(std::fs::read(server.dir().join("piped.bin")).unwrap() == content);
    assert!(Path::new(CLIENTS).exists());
}
