//! The description of the interface: what checkers say of it, and whether the server answers as it
//! says.

mod asked;
pub mod recorded;

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Form, Server, npm};

/// Checkers of others, with all that they recommend.
#[test]
fn checkers_find_nothing() {
    let server = Server::start();
    let document = server.get("/openapi.json").body;
    std::fs::write(server.dir().join("openapi.json"), document).unwrap();
    let rules = json!({ "extends": ["spectral:oas"] }).to_string();
    std::fs::write(server.dir().join("spectral.json"), rules).unwrap();
    let rules = json!({ "extends": ["recommended-strict"], "rules": {
        // The answer to a form of a page leads to another page (303).
        "operation-2xx-response": "off",
    } })
    .to_string();
    std::fs::write(server.dir().join("redocly.yaml"), rules).unwrap();
    for (program, args) in [
        (
            "@stoplight/spectral-cli/dist/index.js",
            &[
                "lint",
                "--ruleset",
                "spectral.json",
                "--fail-severity",
                "hint",
                "openapi.json",
            ][..],
        ),
        ("@redocly/cli/bin/cli.js", &["lint", "openapi.json"]),
    ] {
        let output = Command::new("node")
            .arg(npm(program))
            .args(args)
            .current_dir(server.dir())
            .env("REDOCLY_TELEMETRY", "off")
            .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{program}: {said}");
    }
}

/// The examples of the document are what a server answers to its examples of requests.
#[test]
fn examples_are_real_answers() {
    let server = Server::start();
    let mut given = json!({});
    let mut take = |operation: &str, status: u16, answer: &crate::support::Response| {
        assert_eq!(answer.status, status, "{operation}: {}", answer.text());
        let body = serde_json::from_slice(&answer.body);
        let body = body.unwrap_or_else(|_| json!(answer.text()));
        given[operation][status.to_string()] = recorded::normal(body, server.address.port());
    };
    let part1 = "hello wharf\n";
    let form = json!({ "name": "tony bai", "age": "23", "file": [part1] });
    let sent = form_of(&form);
    let created = server.post_to("/upload", &sent, &[]);
    take("createUpload", 201, &created);
    let text = [("Content-Type", "text/plain")];
    let put = |method: &str, path: &str| server.request(method, path, &text, part1.as_bytes());
    take("putFile", 201, &put("PUT", "/files/part1.txt"));
    take("postFile", 201, &put("POST", "/files?name=part1.txt"));
    let created = created.json();
    let path = format!("/uploads/{}", created["id"].as_str().unwrap());
    let bearer = format!("Bearer {}", created["delete_token"].as_str().unwrap());
    let owner = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
    ];
    let change = json!({ "expires_in": "7d" });
    let changed = server.request("PATCH", &path, &owner, change.to_string().as_bytes());
    take("updateUpload", 200, &changed);
    take("getUpload", 200, &server.get(&path));
    take("listUploads", 200, &server.get("/uploads?limit=2"));
    let process = server.post_to("/compat/filepond", &sent, &[]);
    take("processFilepond", 201, &process);
    let reverted = server.request("DELETE", "/compat/filepond", &[], &process.body);
    assert_eq!(reverted.status, 204);
    for (operation, path) in [
        ("getHealth", "/healthz"),
        ("getReadiness", "/readyz"),
        ("getStatus", "/status"),
        ("getProblem", "/problems/upload-not-found"),
    ] {
        take(operation, 200, &server.get(path));
    }
    let admin = Server::with(&["--access", "admin:root"]);
    let root = [("Authorization", "Bearer root")];
    let begun = admin.request("POST", "/admin/reindex", &root, b"");
    take("reindex", 202, &begun);
    given["createUpload"]["request"] = form.clone();
    given["processFilepond"]["request"] = form;
    given["putFile"]["request"] = json!(part1);
    given["postFile"]["request"] = json!(part1);
    given["updateUpload"]["request"] = change;
    let key = given["processFilepond"]["201"].clone();
    given["revertFilepond"]["request"] = key;
    recorded::compare("answers.json", &given);
}

/// The form that an example describes: arrays are files.
fn form_of(example: &Value) -> Form {
    let fields = example.as_object().unwrap().iter();
    fields.fold(Form::new(), |form, (name, value)| match value {
        Value::Array(files) => files.iter().fold(form, |form, file| {
            form.file(name, "part1.txt", file.as_str().unwrap().as_bytes())
        }),
        text => form.text(name, text.as_str().unwrap()),
    })
}

/// Whatever the document says of an answer holds for real ones: each status, the fields that are
/// always there and those that are there at times, and the body; and answers have no others.
#[test]
fn answers_are_as_described() {
    let document = Server::start().get("/openapi.json").json();
    let answers = asked::everything(&document);
    assert!(answers.len() > 300, "{}", answers.len());
    let python = std::env::var("WHARF_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let program = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/wharf/clients/compare_answers.py"
    );
    let mut python = Command::new(python)
        .arg(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = python.stdin.take().unwrap();
    let all = json!({ "document": document, "answers": answers });
    stdin.write_all(all.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = python.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}
