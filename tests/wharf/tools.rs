//! The tools people already have: command-line downloaders, Postman's runner, OpenAPI's tester.

use std::process::Command;

use serde_json::Value;

use crate::support::{Form, Server, noise, npm, sha256, wait_until};

#[test]
fn wget_names_files_as_they_were() {
    let server = Server::start();
    let content = noise(700_000, 2);
    let json = server.upload(&Form::new().file("f", "na\u{ef}ve report.bin", &content));
    let url = json["url"].as_str().unwrap();
    // Without a locale of UTF-8 it would write the name in ASCII.
    let wget = ["LC_ALL=C.UTF-8", "wget", "-q", "--content-disposition", url];
    server.run("env", &wget);
    assert!(std::fs::read(server.dir().join("na\u{ef}ve report.bin")).unwrap() == content);
    // One that broke off goes on where it stopped.
    std::fs::write(server.dir().join("part.bin"), &content[..300_000]).unwrap();
    server.run("wget", &["-q", "-c", "-O", "part.bin", url]);
    assert!(std::fs::read(server.dir().join("part.bin")).unwrap() == content);
    wait_until("the line is logged", || server.log().contains(" 206 "));
}

#[test]
fn httpie_gets_json() {
    let server = Server::start();
    std::fs::write(server.dir().join("a.txt"), "by HTTPie").unwrap();
    let common = ["--ignore-stdin", "--body", "--check-status"];
    let url = server.url("/upload?expires_in=1h");
    let args = [
        &common[..],
        &["--multipart", "POST", &url, "note=x", "file@a.txt"],
    ]
    .concat();
    let json: Value = serde_json::from_slice(&server.run("http", &args)).unwrap();
    assert_eq!(
        (&json["name"], &json["fields"]["note"][0]),
        (&"a.txt".into(), &"x".into())
    );
    let record = server.url(&format!("/uploads/{}", json["id"].as_str().unwrap()));
    let shown: Value =
        serde_json::from_slice(&server.run("http", &[&common[..], &["GET", &record]].concat()))
            .unwrap();
    assert_eq!(shown["sha256"], sha256(b"by HTTPie"));
    let token = format!(
        "Authorization: Bearer {}",
        json["delete_token"].as_str().unwrap()
    );
    server.run(
        "http",
        &[&common[..], &["DELETE", &record, &token]].concat(),
    );
    assert_eq!(server.files(), [""; 0]);
}

#[test]
fn aria2c_fetches_in_parallel_ranges_both_ways() {
    let server = Server::start();
    let content = noise(9_000_000, 4);
    let json = server.upload(&Form::new().text("t", "x").file("f", "big.bin", &content));
    let id = json["id"].as_str().unwrap();
    let form = server.get(&format!("/download/{id}")).body;
    let fetch = |path: &str, out: &str| {
        let dir = server.dir().display().to_string();
        let url = server.url(path);
        let args = [
            "--no-conf",
            "--quiet",
            "--allow-overwrite=true",
            "--max-connection-per-server=4",
            "--split=4",
            "--min-split-size=1M",
            "--dir",
            &dir,
            "--out",
            out,
            &url,
        ];
        server.run("aria2c", &args);
        std::fs::read(server.dir().join(out)).unwrap()
    };
    let before = server.log().matches(" 206 ").count();
    assert!(fetch(&format!("/files/{id}/big.bin"), "raw.bin") == content);
    assert!(fetch(&format!("/download/{id}"), "whole.form") == form);
    wait_until("several ranges of each", || {
        let ranges = server.log().matches(" 206 ").count() - before;
        let whole = server.log().matches("GET /download/").count();
        ranges >= 4 && whole >= 3
    });
}

#[test]
fn newman_runs_the_collection() {
    let server = Server::with(&["--access", "admin:collection-secret"]);
    std::fs::write(server.dir().join("part1.txt"), "hello wharf\n").unwrap();
    std::fs::write(server.dir().join("part3.json"), "{\"answer\": 42}\n").unwrap();
    // As the server offers it, with its own address in it.
    let collection = server.get("/postman.json");
    assert!(collection.text().contains(&server.url("")));
    std::fs::write(server.dir().join("wharf.json"), &collection.body).unwrap();
    let newman = npm("newman/bin/newman.js");
    let output = Command::new("node")
        .arg(newman)
        .args([
            "run",
            "wharf.json",
            "--env-var",
            "adminSecret=collection-secret",
            "--color",
            "off",
            "--working-dir",
            ".",
        ])
        .args([
            "--reporters",
            "cli,json",
            "--reporter-json-export",
            "run.json",
        ])
        .current_dir(server.dir())
        .env("NO_UPDATE_NOTIFIER", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let run: Value =
        serde_json::from_slice(&std::fs::read(server.dir().join("run.json")).unwrap()).unwrap();
    let stats = &run["run"]["stats"];
    assert!(
        stats["requests"]["total"].as_u64().unwrap() >= 30,
        "{stats}"
    );
    assert!(
        stats["assertions"]["total"].as_u64().unwrap() >= 40,
        "{stats}"
    );
    assert_eq!(stats["assertions"]["failed"], 0);
}

/// Requests made up from the OpenAPI document, valid and invalid, one by one and in sequences, are
/// answered as it says.
#[test]
fn schemathesis_finds_no_error() {
    let server = Server::with(&["--access", "admin:secret-of-the-tester"]);
    server.upload(&Form::new().text("t", "x").file("f", "a.txt", b"a"));
    let python = std::env::var("WHARF_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let config = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/wharf/clients/schemathesis.toml"
    );
    let output = Command::new(python)
        .args(["-m", "schemathesis.cli", "--config-file", config, "run"])
        .arg(server.url("/openapi.json"))
        .args(["--max-examples", "15", "--seed", "1"])
        .args(["--phases", "examples,coverage,fuzzing,stateful"])
        .args([
            "--header",
            "Authorization: Bearer secret-of-the-tester",
            "--suppress-health-check",
            "all",
            "--generation-database",
            ":memory:",
            "--no-color",
        ])
        .current_dir(server.dir())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // It did look: without an operation or a phase it would find no error either.
    let phases = ["Coverage (in", "Fuzzing (in", "Stateful (in"];
    assert!(phases.iter().all(|phase| text.contains(phase)), "{text}");
}

/// The operations that `schemathesis.toml` leaves out.
#[test]
fn only_the_right_token_deletes() {
    let server = Server::start();
    let stored = server.upload(&Form::new().file("f", "a.txt", b"a"));
    let path = format!("/uploads/{}", stored["id"].as_str().unwrap());
    let delete = |token: &str| {
        let token = format!("Bearer {token}");
        let headers = [("Authorization", token.as_str())];
        server.request("DELETE", &path, &headers, b"").status
    };
    assert_eq!(delete("wrong"), 404);
    assert_eq!(server.request("DELETE", &path, &[], b"").status, 401);
    assert_eq!(server.files().len(), 2);
    let token = stored["delete_token"].as_str().unwrap();
    assert_eq!([delete(token), delete(token)], [204, 404]);
    assert_eq!(server.files(), [""; 0]);
}

/// The members of an object that the schema describes are those of `value`: none that is required
/// is missing, and none is there that the document does not know. Types are schemathesis's.
#[track_caller]
fn assert_described(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(reference.trim_start_matches('#'));
        let schema = schema.unwrap_or_else(|| panic!("{at}: {reference}"));
        return assert_described(document, schema, value, at);
    }
    if let Some(items) = value.as_array() {
        for item in items {
            assert_described(document, &schema["items"], item, &format!("{at}[]"));
        }
        return;
    }
    let Some(described) = schema["properties"].as_object() else {
        return;
    };
    let members = value.as_object().unwrap_or_else(|| panic!("{at}: {value}"));
    let known = |name: &&String| described.contains_key(*name);
    let unknown: Vec<&String> = members.keys().filter(|name| !known(name)).collect();
    assert!(unknown.is_empty(), "{at}: {unknown:?}");
    let required = schema["required"].as_array().unwrap();
    let missing = |name: &&Value| !members.contains_key(name.as_str().unwrap());
    let missing: Vec<&Value> = required.iter().filter(missing).collect();
    assert!(missing.is_empty(), "{at}: {missing:?}");
    // A problem has the facts of its cause alone; all others always have all.
    // So have the uploads of a list, but for what is asked for with `full=1`.
    let asked = |schema: &&Value| schema["description"] == "With full=1";
    let asked = described.values().filter(asked).count();
    let always = required.len() + asked == described.len();
    assert!(always || described.contains_key("retry_after"), "{at}");
    for (name, schema) in described {
        if let Some(member) = members.get(name) {
            assert_described(document, schema, member, &format!("{at}.{name}"));
        }
    }
}

#[test]
fn the_document_knows_every_member_of_every_answer() {
    let server = Server::with(&["--access", "admin:root"]);
    let document = server.get("/openapi.json").json();
    let admin = [("Authorization", "Bearer root")];
    let form = Form::new().text("t", "x").file("f", "a.txt", b"a");
    let created = server.upload(&form);
    let path = format!("/uploads/{}", created["id"].as_str().unwrap());
    let get = |path: &str| server.request("GET", path, &admin, b"").json();
    let token = format!("Bearer {}", created["delete_token"].as_str().unwrap());
    let owner = [("Authorization", token.as_str())];
    let changed = server.request("PATCH", &path, &owner, br#"{"expires_in":"1h"}"#);
    let compared = server.request("POST", "/admin/reindex", &admin, b"");
    assert_eq!((changed.status, compared.status), (200, 202));
    crate::support::wait_until("the comparison has ended", || {
        get("/admin/reindex")["state"] == "done"
    });
    let raw = server.request("PUT", "/files/b.txt", &[], b"b").json();
    let json = [("Accept", "application/json")];
    let about = server.request("GET", "/", &json, b"").json();
    for (operation, status, answer) in [
        ("/upload.post", "201", &created),
        ("/files/{name}.put", "201", &raw),
        ("/uploads/{id}.get", "200", &get(&path)),
        ("/uploads/{id}.patch", "200", &changed.json()),
        ("/uploads.get", "200", &get("/uploads?limit=1")),
        ("/uploads.get", "200", &get("/uploads?limit=1&full=1")),
        ("/.get", "200", &about),
        ("/status.get", "200", &get("/status")),
        ("/admin/reindex.get", "200", &get("/admin/reindex")),
        ("/files/{name}.get", "404", &get("/files/nothing")),
        (
            "/upload.post",
            "415",
            &server.request("POST", "/upload", &[], b"x").json(),
        ),
    ] {
        let (path, method) = operation.split_once('.').unwrap();
        let schema = &document["paths"][path][method]["responses"][status]["content"]["application/json"]
            ["schema"];
        assert!(schema.is_object(), "{operation}");
        assert_described(&document, schema, answer, operation);
    }
}
