//! The house: what imports what, and how large its rooms are.

mod cycles;

use std::path::{Path, PathBuf};

/// Each floor, from the ground up. A module imports from lower floors, and from itself.
const FLOORS: [&[&str]; 7] = [
    &[
        "model",
        "archive",
        "form",
        "log",
        "operators_files",
        "buffers",
        "hashing",
        "measure",
    ],
    &["coordination"],
    &["store", "catalog", "lease"],
    &["repository"],
    &[
        "ingest",
        "delivery",
        "manage",
        "expiry",
        "reconcile",
        "operate",
    ],
    &["http", "client"],
    &["app", "config", "cli", "shutdown", "supervise"],
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

#[test]
fn nothing_imports_from_above() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 40);
    let mut imports = 0;
    for file in files {
        let relative = file.strip_prefix(&root).unwrap();
        let module = relative
            .iter()
            .next()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        let Some(own) = floor(&module) else {
            assert!(
                module == "lib" || module == "main",
                "{module} is on no floor"
            );
            continue;
        };
        let text = std::fs::read_to_string(&file).unwrap();
        let ground = ["store", "catalog", "lease"];
        let ends = ["http", "client"];
        let below_use_cases = ["coordination", "store", "catalog", "lease", "repository"];
        for (at, _) in text.match_indices("crate::") {
            let rest = &text[at + "crate::".len()..];
            let names: Vec<&str> = match rest.strip_prefix('{') {
                Some(list) => list
                    .split('}')
                    .next()
                    .unwrap()
                    .split(',')
                    .map(|name| name.trim().split("::").next().unwrap())
                    .collect(),
                None => vec![
                    rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                        .next()
                        .unwrap(),
                ],
            };
            for name in names {
                let Some(other) = floor(name) else { continue };
                imports += 1;
                assert!(
                    module != "client"
                        || ["client", "form", "model", "buffers", "hashing"].contains(&name),
                    "{} needs more than a client has: {name}",
                    relative.display()
                );
                assert!(
                    module != "http" || !below_use_cases.contains(&name),
                    "{} imports {name}, which is for the use cases",
                    relative.display()
                );
                assert!(
                    other <= own,
                    "{} imports {name} from above",
                    relative.display()
                );
                let apart = [&ground[..], &ends[..]].iter().any(|neighbours| {
                    neighbours.contains(&module.as_str()) && neighbours.contains(&name)
                });
                assert!(
                    !apart || name == module,
                    "{} imports {name}, its neighbour",
                    relative.display()
                );
            }
        }
        if own < 5 {
            assert!(
                !text.contains("axum::") && !text.contains("StatusCode"),
                "{} knows HTTP",
                relative.display()
            );
        }
        assert!(
            relative == Path::new("model/time.rs") || !text.contains("SystemTime::now"),
            "{} reads the time past the clock, which tests can move",
            relative.display()
        );
        if module == "config" {
            assert!(
                !text.contains("env::var"),
                "{} reads the environment",
                relative.display()
            );
        }
        let lines = text.lines().count();
        assert!(lines <= 450, "{} has {lines} lines", relative.display());
    }
    assert!(imports > 100);
}

/// Store and index are changed by the repository alone, whose changes nothing cuts half-way.
#[test]
fn uploads_are_changed_by_the_repository_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let changes = [
        (
            "store()",
            &[
                "replace",
                "remove",
                "remove_damaged",
                "remove_files",
                "remove_tombstone",
                "add_note",
                "remove_note",
            ][..],
        ),
        (
            "catalog()",
            &[
                "record", "admit", "update", "remove", "reserve", "commit", "release",
            ],
        ),
    ];
    for file in files {
        // As one line: a chain of calls is broken into several.
        let text = std::fs::read_to_string(&file).unwrap();
        let text: String = text.split_whitespace().collect();
        for (whose, calls) in changes {
            for call in calls {
                let call = format!("{whose}.{call}(");
                assert!(
                    !text.contains(&call),
                    "{} calls {call}…): the repository does that",
                    file.display()
                );
            }
        }
    }
}
