//! `wharf doctor`: its report on real file systems, on Redis, on buckets and on proxies, and that
//! it leaves nothing behind.

use std::path::Path;
use std::process::Command;

use crate::support::{Bucket, Mounted, Redis, Setup, Wharf, as_root, entries, say};

/// Looks, with these arguments; the exit code, and the findings as level and text.
fn look(setup: &Setup, args: &[&str]) -> (Option<i32>, Vec<(String, String, String)>) {
    let mut all = vec!["doctor", "--json"];
    if !args.contains(&"--port") {
        all.extend(["--port", "0"]);
    }
    all.extend_from_slice(args);
    let out = setup.run(&all);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let json: serde_json::Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&out.stderr)));
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let findings = json["findings"].as_array().unwrap().iter();
    let findings = findings.map(|finding| {
        let said = format!("{} {}", word(&finding["text"]), word(&finding["advice"]));
        (word(&finding["check"]), word(&finding["level"]), said)
    });
    (out.status.code(), findings.collect())
}

/// Whether one of the findings is of this check and level, and says this.
fn has(found: &[(String, String, String)], check: &str, level: &str, text: &str) -> bool {
    let mut found = found.iter();
    found.any(|(of, at, said)| of == check && at == level && said.contains(text))
}

#[track_caller]
fn says(found: &[(String, String, String)], check: &str, level: &str, text: &str) {
    assert!(
        has(found, check, level, text),
        "{check} {level} {text}: {found:#?}"
    );
}

#[test]
fn a_folder_is_looked_at_and_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup::new();
    let place = dir.path().join("a/b");
    let (code, found) = look(&setup, &["--dir", place.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{found:?}");
    says(&found, "folder", "ok", "is made at the start");
    for check in [
        "settings",
        "clock",
        "listen",
        "access",
        "names",
        "durability",
    ] {
        says(&found, check, "ok", "");
    }
    assert_eq!(entries(dir.path()), [""; 0]);
    // One line each, for people.
    let said = Wharf::at(dir.path()).run(&["doctor", "--port", "0"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let known = ["ok  ", "warning ", "error "];
    let lines = said.out.lines();
    assert!(lines.clone().count() >= found.len());
    for line in lines {
        assert!(known.iter().any(|word| line.starts_with(word)), "{line}");
    }
    assert_eq!(entries(dir.path()), [""; 0]);
}

#[test]
fn what_keeps_a_server_from_its_start_is_an_error() {
    let (code, found) = look(
        &Setup::new(),
        &["--dir", "/proc/nothing", "--min-free", "none"],
    );
    assert_eq!(code, Some(1));
    says(&found, "folder", "error", "/proc/nothing");
    let (code, found) = look(&Setup::new(), &["--bind", "*"]);
    assert_eq!(code, Some(1));
    says(&found, "access", "error", "--access upload+list:");
    let (code, found) = look(&Setup::new(), &["--min-free", "1000000GiB"]);
    assert_eq!(code, Some(1));
    says(&found, "space", "error", "uploads are refused");
    // An address that is in use is no error: it may be wharf's.
    let server = Setup::new().start();
    let port = server.address.port().to_string();
    let store = Setup::new().store(&server.store());
    let (code, found) = look(&store, &["--port", &port]);
    assert_eq!(code, Some(0), "{found:?}");
    says(&found, "listen", "warning", "is taken");
    says(
        &found,
        "folder",
        "warning",
        "a server has the folder for itself",
    );
    server.get("/readyz");
    let (_, found) = look(&Setup::new().open_files(256), &[]);
    says(&found, "descriptors", "warning", "LimitNOFILE");
}

/// A file system of this kind on an image; what is missing for it is printed.
fn mounted(kind: &str, options: &str, dir: &Path) -> Option<Mounted> {
    let image = dir.join(kind);
    std::fs::File::create(&image)
        .unwrap()
        .set_len(512 << 20)
        .unwrap();
    let mut make = as_root(&format!("mkfs.{}", kind.trim_end_matches("-fuse")));
    let made = make.args(match kind {
        "ext4" => ["-q", "-F"].as_slice(),
        _ => &[],
    });
    match made.arg(&image).output() {
        Ok(made) if made.status.success() => {}
        made => {
            say(&format!("skipped: doctor on {kind}: {made:?}"));
            return None;
        }
    }
    match Mounted::new(kind, options, &image) {
        Ok(mounted) => Some(mounted),
        Err(why) => {
            say(&format!("skipped: doctor on {kind}: {}", why.trim()));
            None
        }
    }
}

#[test]
fn file_systems_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let user = rustix::process::geteuid();
    let at = |mounted: &Mounted, args: &[&str]| {
        let store = mounted.path.join("store");
        let found = look(&Setup::new().store(&store), args);
        assert!(!store.exists());
        found
    };
    for (kind, options) in [("vfat", "utf8=1,"), ("exfat-fuse", "")] {
        let Some(fat) = mounted(kind, &format!("{options}uid={user}"), dir.path()) else {
            continue;
        };
        let (code, found) = at(&fat, &[]);
        assert_eq!(code, Some(0), "{found:?}");
        says(&found, "folder", "ok", "is made at the start");
        says(&found, "names", "warning", "no hard links");
        says(&found, "space", "warning", "min_free keeps 64MiB");
        // As a file system that servers share.
        let redis = Redis::start();
        let (_, found) = at(&fat, &["--redis", &redis.url()]);
        let refused = has(&found, "sharing", "error", "RENAME_NOREPLACE");
        assert_eq!(refused, kind == "exfat-fuse", "{found:?}");
    }
    let options = "barrier=0,data=writeback";
    if let Some(careless) = mounted("ext4", options, dir.path()) {
        let (_, found) = at(&careless, &[]);
        says(&found, "names", "ok", "");
        says(&found, "durability", "warning", "lets a power cut take");
    }
    match Mounted::in_memory(1 << 20) {
        Ok(memory) => {
            let (code, found) = at(&memory, &[]);
            assert_eq!(code, Some(1));
            says(&found, "folder", "warning", "in memory");
            says(&found, "space", "error", "");
            assert_eq!(entries(&memory.path), [""; 0]);
        }
        Err(why) => say(&format!("skipped: doctor on tmpfs: {}", why.trim())),
    }
}

#[test]
fn redis_is_asked_what_it_is() {
    let look = |url: &str| look(&Setup::new(), &["--redis", url]);
    let redis = Redis::start();
    let (code, found) = look(&redis.url());
    assert_eq!(code, Some(0), "{found:?}");
    says(&found, "redis", "ok", "noeviction");
    says(&found, "redis", "ok", "Redis answers in");
    says(&found, "sharing", "ok", "");
    redis.cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    redis.cli(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let (code, found) = look(&redis.url());
    assert_eq!(code, Some(1));
    says(&found, "redis", "error", "allkeys-lru");
    says(&found, "redis", "warning", "min-replicas-to-write");
    redis.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    redis.cli(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    says(&look(&redis.url()).1, "redis", "error", "maxmemory");
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    redis.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    says(&look(&redis.url()).1, "redis", "error", "is a replica");
    let (code, found) = look("redis://127.0.0.1:1");
    assert_eq!(code, Some(1));
    says(&found, "redis", "error", "127.0.0.1:1");
    // Nothing is in it afterwards.
    redis.cli(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(redis.cli(&["DBSIZE"]).trim(), "0");
}

#[test]
fn a_bucket_is_tried_and_its_rules_are_read() {
    let bucket = Bucket::new();
    let look = || {
        let setup = Setup::new().bucket(&bucket, &bucket.server.url());
        look(&setup, &[])
    };
    let put = |query: &str, xml: &str| {
        let path = format!("/{}?{query}", bucket.name);
        let (status, said) = bucket.server.request("PUT", &path, xml.as_bytes());
        assert_eq!(status, 200, "{said}");
    };
    let (code, found) = look();
    assert_eq!(code, Some(0), "{found:?}");
    says(&found, "bucket", "ok", "If-None-Match");
    says(&found, "lifecycle", "warning", "no rule aborts");
    let rule = |inside: &str| {
        format!(
            "<LifecycleConfiguration><Rule><ID>r</ID><Filter><Prefix></Prefix></Filter>\
             <Status>Enabled</Status>{inside}</Rule></LifecycleConfiguration>"
        )
    };
    let abort = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>";
    put("lifecycle", &rule(abort));
    put(
        "versioning",
        "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    );
    let (code, found) = look();
    assert_eq!(code, Some(0), "{found:?}");
    says(&found, "lifecycle", "ok", "aborts multipart");
    says(&found, "lifecycle", "warning", "keeps versions");
    put(
        "lifecycle",
        &rule("<Expiration><Days>3</Days></Expiration>"),
    );
    let (code, found) = look();
    assert_eq!(code, Some(1));
    says(&found, "lifecycle", "error", "removes current objects");
    assert_eq!(bucket.keys(), [""; 0]);
    let missing = Bucket {
        server: bucket.server,
        name: "no-such-bucket".to_owned(),
    };
    let setup = Setup::new().bucket(&missing, &missing.server.url());
    let (code, found) = self::look(&setup, &[]);
    assert_eq!(code, Some(1));
    says(&found, "bucket", "error", "NoSuchBucket");
}

#[test]
fn a_settings_file_that_is_wrong_is_named() {
    let setup = Setup::new();
    std::fs::write(setup.folder().join("wharf.toml"), "max_fils = 3\n").unwrap();
    let out = setup.run(&["doctor", "--config", "wharf.toml"]);
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        said.contains("max_fils") && said.contains("max_files"),
        "{said}"
    );
    let (code, found) = look(&setup, &["--redis", "http://x"]);
    assert_eq!(code, Some(1));
    says(&found, "settings", "error", "redis");
    // As another user, who may not write in the folder.
    let dir = tempfile::tempdir().unwrap();
    let (user, wharf) = ("--reuid=54321", env!("CARGO_BIN_EXE_wharf"));
    let out = Command::new("setpriv")
        .args([
            user,
            "--clear-groups",
            wharf,
            "doctor",
            "--port",
            "0",
            "--dir",
        ])
        .arg(dir.path())
        .output()
        .unwrap();
    if rustix::process::geteuid().is_root() {
        assert_eq!(out.status.code(), Some(1));
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(said.contains("this is user 54321"), "{said}");
    }
}
