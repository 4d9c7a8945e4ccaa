//! Clients that generators of others make of the OpenAPI document.

use std::path::Path;
use std::process::Command;

use crate::support::{Server, npm};

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wharf/clients");

/// A server, with its document in its folder.
fn described() -> Server {
    let server = Server::start();
    let document = server.get("/openapi.json").body;
    std::fs::write(server.dir().join("openapi.json"), document).unwrap();
    server
}

#[track_caller]
fn run(command: &mut Command, dir: &Path) {
    let output = command.current_dir(dir).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{command:?}: {said}");
}

#[test]
fn python_uploads_lists_prolongs_and_deletes() {
    let server = described();
    std::fs::write(server.dir().join("config.yml"), "post_hooks: []\n").unwrap();
    let python = std::env::var("WHARF_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut generator = Command::new(&python);
    generator.args(["-m", "openapi_python_client", "generate", "--meta", "none"]);
    generator.args(["--path", "openapi.json", "--config", "config.yml"]);
    generator.args(["--output-path", "wharf_client"]);
    run(&mut generator, server.dir());
    let mut client = Command::new(&python);
    client.arg(format!("{CLIENTS}/with_generated.py"));
    client.arg(server.url("")).env("PYTHONPATH", server.dir());
    run(&mut client, server.dir());
    assert_eq!(server.files(), [""; 0]);
}

#[test]
fn typescript_uploads_lists_prolongs_and_deletes() {
    let server = described();
    let dir = server.dir();
    std::os::unix::fs::symlink(npm(""), dir.join("node_modules")).unwrap();
    std::fs::write(dir.join("package.json"), "{\"type\": \"module\"}").unwrap();
    std::fs::copy(
        format!("{CLIENTS}/with_generated.ts"),
        dir.join("client.ts"),
    )
    .unwrap();
    let options = serde_json::json!({
        "compilerOptions": {
            "strict": true, "target": "es2022", "module": "nodenext",
            "lib": ["es2022", "dom", "dom.iterable"], "types": [],
        },
        "files": ["client.ts"],
    });
    std::fs::write(dir.join("tsconfig.json"), options.to_string()).unwrap();
    let node = |program: &str, args: &[&str]| {
        run(Command::new("node").arg(npm(program)).args(args), dir);
    };
    node(
        "openapi-typescript/bin/cli.js",
        &["openapi.json", "--output", "schema.d.ts"],
    );
    node("typescript/bin/tsc", &[]);
    let mut client = Command::new("node");
    run(client.args(["client.js", &server.url("")]), dir);
    assert_eq!(server.files(), [""; 0]);
}
