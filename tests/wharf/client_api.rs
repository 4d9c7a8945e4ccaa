//! `wharf::client` as other programs have it: the example, the features, the names.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::{Form, Server};

#[path = "../../examples/share.rs"]
#[allow(
    dead_code,
    clippy::print_stdout,
    reason = "the example has a main of its own, which prints"
)]
mod example;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Set it to have the snapshot written.
const UPDATE: &str = "WHARF_UPDATE_SNAPSHOTS";

#[test]
fn the_example_works() {
    let server = Server::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let read = runtime.block_on(example::share(&server.url(""))).unwrap();
    assert_eq!(read, b"one, two, three\n");
    assert_eq!(server.files(), [""; 0]);
    let lines = std::fs::read_to_string(Path::new(ROOT).join("examples/share.rs")).unwrap();
    assert!(lines.lines().count() < 60, "it is no short one");
}

fn cargo(args: &[&str]) -> String {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    let output = command
        .args(args)
        .args(["--no-default-features", "--features", "client", "--locked"])
        .current_dir(ROOT)
        // A folder of its own: nothing that the tests were built with is built anew for it.
        .env(
            "CARGO_TARGET_DIR",
            Path::new(ROOT).join("target/test-client"),
        )
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {err}");
    assert!(!err.contains("warning:"), "{args:?}: {err}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_client_builds_nothing_of_a_server() {
    let tree = cargo(&["tree", "--edges", "normal", "--prefix", "none"]);
    let names: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(
        names.contains("reqwest") && names.contains("rustls"),
        "{names:?}"
    );
    for server in [
        "axum",
        "redb",
        "redis",
        "object_store",
        "minijinja",
        "prometheus-client",
        "tracing-subscriber",
        "clap",
        "indicatif",
        "tikv-jemallocator",
    ] {
        assert!(!names.contains(server), "a client has {server}");
    }
    cargo(&["check", "--quiet", "--lib", "--example", "share"]);
}

/// The lines of a module that others can write against: items, fields, variants and methods of
/// what its `mod.rs` gives on.
fn api(module: &str) -> String {
    let folder = Path::new(ROOT).join("src").join(module);
    let given = std::fs::read_to_string(folder.join("mod.rs")).unwrap();
    // As one line each: a long list of names is broken into several.
    let given: String = given.replace(",\n    ", ", ").replace("{\n    ", "{");
    let mut lines: Vec<String> = Vec::new();
    let mut types = BTreeSet::new();
    for line in given.lines().filter(|line| line.starts_with("pub use ")) {
        let Some((file, names)) = line.trim_start_matches("pub use ").split_once("::") else {
            continue;
        };
        if file == "crate" {
            lines.push(line.to_owned());
            continue;
        }
        let names = names
            .trim_matches(['{', '}', ';'])
            .split(',')
            .map(|name| name.trim().trim_end_matches("};").to_owned())
            .filter(|name| !name.is_empty());
        let text = std::fs::read_to_string(folder.join(format!("{file}.rs"))).unwrap();
        for name in names {
            lines.extend(items(&text, &name));
            types.insert(name);
        }
    }
    // Methods of one type lie in several files.
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            lines.extend(methods(&std::fs::read_to_string(path).unwrap(), &types));
        }
    }
    lines.sort();
    lines.join("\n") + "\n"
}

/// The item of this name, with its fields or variants.
fn items(text: &str, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut attributes = String::new();
    let mut inside: Option<String> = None;
    // A function whose parameters stand in lines of their own.
    let mut head: Option<String> = None;
    for line in text.lines() {
        let code = line.trim();
        if let Some(begun) = head.take() {
            let begun = begun + code + " ";
            match code.ends_with('{') {
                true => found.push(begun.trim_end_matches(['{', ' ']).to_owned()),
                false => head = Some(begun),
            }
            continue;
        }
        if let Some(item) = &inside {
            if line == "}" {
                inside = None;
            } else if line.starts_with("    ")
                && !line.starts_with("     ")
                && !["//", "#", "}", ")"]
                    .iter()
                    .any(|start| code.starts_with(start))
            {
                let own = !item.contains("struct ") || code.starts_with("pub ");
                found.extend(
                    own.then(|| format!("{name}: {}", code.trim_end_matches([',', '{', ' ']))),
                );
            }
            continue;
        }
        if line.starts_with("#[") {
            attributes += line;
        }
        let words: Vec<&str> = code
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .collect();
        if line.starts_with("pub ") && words.get(2) == Some(&name) {
            if words.get(1) == Some(&"fn") {
                match code.ends_with('{') {
                    true => found.push(code.trim_end_matches(['{', ' ']).to_owned()),
                    false => head = Some(code.to_owned()),
                }
                continue;
            }
            let exhaustive = if attributes.contains("non_exhaustive") {
                " (non_exhaustive)"
            } else {
                ""
            };
            found.push(format!("{}{exhaustive}", code.trim_end_matches(['{', ' '])));
            inside = code.ends_with('{').then(|| code.to_owned());
        }
        if !line.starts_with("#[") && !line.starts_with("//") {
            attributes.clear();
        }
    }
    found
}

/// The public methods in the impl blocks of these types, in one line each.
fn methods(text: &str, types: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    let mut of = None;
    let mut head: Option<String> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("impl ") {
            let name = rest.trim_end_matches([' ', '{']);
            of = types.get(name.split('<').next().unwrap());
        } else if line == "}" {
            of = None;
        }
        let Some(name) = of else { continue };
        let starts = ["    pub fn ", "    pub async fn ", "    pub const fn "];
        if starts.iter().any(|start| line.starts_with(start)) {
            head = Some(String::new());
        }
        if let Some(text) = &mut head {
            *text += line.trim();
            *text += " ";
            if line.trim_end().ends_with('{') {
                let text = text
                    .trim_end()
                    .trim_end_matches(['{', ' '])
                    .replace("( ", "(");
                found.push(format!(
                    "{name}::{}",
                    text.replace(", )", ")").trim_start_matches("pub ")
                ));
                head = None;
            }
        }
    }
    found
}

/// A change of this changes the interface of programs: the CHANGELOG says it then.
#[test]
fn its_names_are_those_of_the_snapshot() {
    for module in ["client", "form"] {
        let path = Path::new(ROOT).join(format!("tests/wharf/{module}_api.txt"));
        let api = api(module);
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, &api).unwrap();
        }
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        let (before, now) = (lines(&before), lines(&api));
        let gone: Vec<_> = before.difference(&now).collect();
        let new: Vec<_> = now.difference(&before).collect();
        assert!(
            gone.is_empty() && new.is_empty(),
            "the API of wharf::{module} has changed ({UPDATE}=1 writes the snapshot anew)\ngone: {gone:#?}\nnew: {new:#?}"
        );
    }
}

/// Each member of a record is a field of the type.
#[test]
fn what_the_server_says_has_a_field() {
    let server = Server::start();
    let form = Form::new().text("a", "b").file("f", "a.txt", b"x");
    let record = server.upload(&form);
    let api = api("client");
    let has = |of: &str, member: &str| {
        let field = if member == "type" {
            "media_type"
        } else {
            member
        };
        assert!(
            api.contains(&format!("{of}: pub {field}: ")),
            "{of} has no {member}"
        );
    };
    for member in record.as_object().unwrap().keys() {
        has("UploadRecord", member);
    }
    for member in record["files"][0].as_object().unwrap().keys() {
        has("StoredFile", member);
    }
}
