use std::path::Path;
use std::process::Command;

use crate::support::Server;

/// Runs every command of the README, but for the two that build and test, which run this.
#[test]
fn every_command_works() {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let blocks: Vec<&str> = readme
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() >= 6);
    assert!(blocks[0].contains("cargo run --release") && blocks[0].contains("./test"));
    let server = Server::start();
    let bin = Path::new(env!("CARGO_BIN_EXE_wharf")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    for line in blocks[1..]
        .iter()
        .flat_map(|block| block.lines())
        .filter(|line| !line.is_empty())
    {
        let command = line.replace("localhost:8080", &server.address.to_string());
        let output = Command::new("bash")
            .args(["-ec", &command])
            .env("PATH", &path)
            .current_dir(server.dir())
            .output()
            .unwrap();
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{line}\n{out}{err}");
        let refused = line.contains("expires_in=soon");
        assert_eq!(out.contains("\"status\":4"), refused, "{line}\n{out}");
        if line.contains("/upload") && line.contains("--form") && !refused {
            assert!(out.contains("\"delete_token\""), "{line}\n{out}");
        }
        if line.contains("/download/part1.txt ") {
            assert!(out.contains("hello wharf"), "{out}");
        }
    }
    assert_eq!(std::fs::read("/tmp/part1.txt").unwrap(), b"hello wharf\n");
}
