//! What `scripts/release` makes of the program under test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Said, WHARF};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[track_caller]
fn run(command: &mut Command) -> Vec<u8> {
    let said = Said::of(command.output().unwrap());
    assert_eq!(said.code, Some(0), "{command:?}: {said:?}");
    said.bytes
}

/// The packages of Cargo.lock by name and version, with their checksums.
fn locked() -> BTreeMap<(String, String), Option<String>> {
    let lock = std::fs::read_to_string(format!("{ROOT}/Cargo.lock")).unwrap();
    let field = |block: &str, name: &str| {
        let begin = format!("{name} = \"");
        let line = block.lines().find_map(|line| line.strip_prefix(&begin));
        line.map(|text| text.trim_end_matches('"').to_owned())
    };
    lock.split("[[package]]")
        .skip(1)
        .map(|block| {
            let key = (field(block, "name"), field(block, "version"));
            let key = (key.0.unwrap(), key.1.unwrap());
            (key, field(block, "checksum"))
        })
        .collect()
}

fn key(of: &Value) -> (String, String) {
    let text = |name: &str| of[name].as_str().unwrap().to_owned();
    (text("name"), text("version"))
}

/// Every package of the list is one of Cargo.lock, with its checksum, and what the program surely
/// has is in it, and nothing that only tests have.
fn compare(listed: &[&Value], checksum: impl Fn(&Value) -> Option<String>) {
    let locked = locked();
    for one in listed {
        let known = locked.get(&key(one));
        let known = known.unwrap_or_else(|| panic!("{one} is not in Cargo.lock"));
        if let Some(sum) = checksum(one) {
            assert_eq!(known.as_ref(), Some(&sum), "{one}");
        }
    }
    let names: BTreeSet<String> = listed.iter().map(|one| key(one).0).collect();
    for name in [
        "hyper",
        "rustls",
        "redb",
        "object_store",
        "redis",
        "tikv-jemalloc-sys",
        "syn",
    ] {
        assert!(names.contains(name), "{name}");
    }
    for name in ["proptest", "multer", "tempfile", "windows-sys"] {
        assert!(!names.contains(name), "{name}");
    }
}

#[test]
fn a_release_has_packages_checksums_and_what_it_is_made_of() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("release");
    let release = |folder: &Path| {
        let mut command = Command::new(format!("{ROOT}/scripts/release"));
        command.args([folder, Path::new(WHARF)]).env("KINDS", "tar");
        command
    };
    run(&mut release(&made));
    let name = format!(
        "wharf-{VERSION}-{}-unknown-linux-gnu",
        std::env::consts::ARCH
    );
    let bill = format!("wharf-{VERSION}.cdx.json");
    run(Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(&made));
    let sums = std::fs::read_to_string(made.join("SHA256SUMS")).unwrap();
    let of = |line: &str| line.split("  ").nth(1).unwrap().to_owned();
    let summed: Vec<String> = sums.lines().map(of).collect();
    assert_eq!(summed, [format!("{name}.tar.gz"), bill.clone()]);
    // The archive is where its installer looks: see Cargo.toml.
    let manifest = std::fs::read_to_string(format!("{ROOT}/Cargo.toml")).unwrap();
    let fill = |text: &str| {
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let values = [("name", "wharf"), ("bin", "wharf"), ("version", VERSION)];
        let mut text = text.replace("{ target }", &target);
        for (key, value) in values {
            text = text.replace(&format!("{{ {key} }}"), value);
        }
        text
    };
    let line = |key: &str| {
        let begin = format!("{key} = \"");
        let line = manifest.lines().find_map(|line| line.strip_prefix(&begin));
        fill(line.unwrap().trim_end_matches('"'))
    };
    assert!(line("pkg-url").ends_with(&format!("/v{VERSION}/{name}.tar.gz")));
    run(Command::new("tar")
        .args(["-xzf", &format!("{name}.tar.gz")])
        .current_dir(&made));
    let program = made.join(line("bin-dir"));
    let version = run(Command::new(&program).arg("--version"));
    assert_eq!(version, format!("wharf {VERSION}\n").into_bytes());
    // The bill of materials.
    let bill: Value = serde_json::from_slice(&std::fs::read(made.join(bill)).unwrap()).unwrap();
    assert_eq!(bill["bomFormat"], "CycloneDX");
    assert_eq!(
        key(&bill["metadata"]["component"]),
        ("wharf".to_owned(), VERSION.to_owned())
    );
    let components: Vec<&Value> = bill["components"].as_array().unwrap().iter().collect();
    compare(&components, |one| {
        Some(one["hashes"][0]["content"].as_str().unwrap().to_owned())
    });
    let refs: BTreeSet<&str> = components
        .iter()
        .chain([&&bill["metadata"]["component"]])
        .map(|one| one["bom-ref"].as_str().unwrap())
        .collect();
    for one in bill["dependencies"].as_array().unwrap() {
        let on = one["dependsOn"].as_array().unwrap().iter();
        for to in on.chain([&one["ref"]]) {
            assert!(refs.contains(to.as_str().unwrap()), "{to}");
        }
    }
    // The list in the program says the same.
    let section = made.join("section");
    run(Command::new("objcopy")
        .arg("--dump-section")
        .arg(format!(".dep-v0={}", section.display()))
        .args([&program, Path::new("/dev/null")]));
    let unpacked = run(Command::new("python3")
        .args(["-c", "import sys, zlib; sys.stdout.buffer.write(zlib.decompress(open(sys.argv[1], 'rb').read()))"])
        .arg(&section));
    let list: Value = serde_json::from_slice(&unpacked).unwrap();
    let listed: Vec<&Value> = list["packages"].as_array().unwrap().iter().collect();
    compare(&listed, |_| None);
    let root: Vec<&&Value> = listed.iter().filter(|one| one["root"] == true).collect();
    assert_eq!((root.len(), key(root[0]).0.as_str()), (1, "wharf"));
    assert_eq!(listed.len(), components.len() + 1);
    // What is there is not mixed with what was.
    let again = Said::of(release(&made).output().unwrap());
    assert!(
        again.code == Some(1) && again.err.contains("is not empty"),
        "{again:?}"
    );
}
