//! `wharf copy`: a store in another, while the first one serves.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Bucket, Form, Said, Server, Setup, Wharf, end_of, noise, signal, wait_until};

/// A command with credentials for the buckets of the tests.
fn wharf(dir: &Path, bucket: Option<&Bucket>) -> Wharf {
    let wharf = Wharf::at(dir);
    match bucket {
        None => wharf,
        Some(bucket) => wharf
            .env("WHARF_S3_ENDPOINT", &bucket.server.url())
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "us-east-1"),
    }
}

fn copy(dir: &Path, bucket: Option<&Bucket>, from: &str, to: &str, more: &[&str]) -> Said {
    let args = [&["copy", "--from", from, "--to", to], more].concat();
    wharf(dir, bucket).run(&args)
}

/// The files of all uploads below a folder, with their content; records as what they say.
fn tree(dir: &Path) -> BTreeMap<String, (Vec<u8>, Value)> {
    let mut files = BTreeMap::new();
    for folder in std::fs::read_dir(dir).unwrap() {
        let folder = folder.unwrap();
        if folder.file_name() == ".wharf" {
            continue;
        }
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let content = std::fs::read(file.path()).unwrap();
            let name = file.file_name().into_string().unwrap();
            let record = match name.ends_with(".json") && name.len() == 31 {
                true => serde_json::from_slice(&content).unwrap(),
                false => Value::Null,
            };
            let content = if record.is_null() {
                content
            } else {
                Vec::new()
            };
            files.insert(name, (content, record));
        }
    }
    files
}

#[track_caller]
fn same(one: &Path, other: &Path) {
    let (one, other) = (tree(one), tree(other));
    let names = |of: &BTreeMap<String, _>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&one), names(&other));
    for (name, content) in &one {
        assert!(content == &other[name], "{name} differs");
    }
}

/// Uploads of many kinds; the answers to them.
fn fill(server: &Server, count: u64) -> Vec<Value> {
    let mut stored = Vec::new();
    for i in 0..count {
        let form = Form::new()
            .text("note", "kept as it came")
            .file("f", &format!("{i} é.txt"), &noise(3000, i))
            .file("g", "large.bin", &noise(700_000, 1000 + i))
            .file("h", "empty", b"");
        let path = match i % 3 {
            1 => "/upload?expires_in=7d&title=Plans&max_downloads=3",
            _ => "/upload",
        };
        let answer = server.post_to(path, &form, &[]);
        assert_eq!(answer.status, 201, "{}", answer.text());
        stored.push(answer.json());
    }
    stored
}

fn id(json: &Value) -> &str {
    json["id"].as_str().unwrap()
}

fn owner(json: &Value) -> String {
    format!("Bearer {}", json["delete_token"].as_str().unwrap())
}

#[test]
fn a_store_is_copied_as_it_is_and_again_what_has_changed() {
    let server = Server::start();
    let stored = fill(&server, 6);
    // A use that was taken is one in the copy too.
    let limited = format!("/files/{}/large.bin", id(&stored[1]));
    assert_eq!(server.get(&limited).status, 200);
    let (dir, from) = (server.dir(), server.store());
    let (from, to) = (from.to_str().unwrap(), dir.join("copy"));
    let first = copy(dir, None, from, to.to_str().unwrap(), &[]);
    let bytes = 6 * 703_000;
    assert_eq!(
        first.out,
        format!(
            "6 uploads copied (18 files, {bytes} bytes), 0 brought up to date, 0 removed, 0 were the same\n"
        ),
        "{first:?}"
    );
    assert_eq!((first.code, first.err.as_str()), (Some(0), ""));
    wait_until("the use is recorded", || {
        tree(Path::new(from)) == tree(&to) || {
            copy(dir, None, from, to.to_str().unwrap(), &[]);
            false
        }
    });
    let again = copy(dir, None, from, to.to_str().unwrap(), &[]);
    assert_eq!(
        again.out,
        "0 uploads copied (0 files, 0 bytes), 0 brought up to date, 0 removed, 6 were the same\n"
    );
    // One is changed several times, one is deleted, one is new.
    for days in ["1d", "2d", "3d"] {
        let body = format!("{{\"expires_in\":\"{days}\"}}");
        let path = format!("/uploads/{}", id(&stored[0]));
        let owner = owner(&stored[0]);
        let owner = [("Authorization", owner.as_str())];
        let changed = server.request("PATCH", &path, &owner, body.as_bytes());
        assert_eq!(changed.status, 200, "{}", changed.text());
    }
    let path = format!("/uploads/{}", id(&stored[3]));
    let token = owner(&stored[3]);
    let token = [("Authorization", token.as_str())];
    assert_eq!(server.request("DELETE", &path, &token, b"").status, 204);
    let new = server.upload(&Form::new().file("f", "new.txt", b"new"));
    let kept = copy(dir, None, from, to.to_str().unwrap(), &[]);
    assert_eq!(
        kept.out,
        "1 uploads copied (1 files, 3 bytes), 1 brought up to date, 0 removed, 4 were the same; \
         1 only in the second store (--delete removes them)\n"
    );
    let last = copy(dir, None, from, to.to_str().unwrap(), &["--delete"]);
    assert_eq!(
        last.out,
        "0 uploads copied (0 files, 0 bytes), 0 brought up to date, 1 removed, 6 were the same\n"
    );
    same(Path::new(from), &to);
    // It serves at once, by name too; addresses, tokens and what is left stay.
    let copied = Setup::new().store(&to).start();
    assert_eq!(copied.get("/files/new.txt").text(), "new");
    let left = copied.get(&format!("/uploads/{}", id(&stored[1]))).json();
    assert_eq!(
        (left["title"].as_str(), left["size"].as_u64()),
        (Some("Plans"), Some(703_000))
    );
    let token = owner(&new);
    let path = format!("/uploads/{}", id(&new));
    let token = [("Authorization", token.as_str())];
    assert_eq!(copied.request("DELETE", &path, &token, b"").status, 204);
}

#[test]
fn to_a_bucket_and_back_while_uploads_come_and_go() {
    let server = Server::start();
    let stored = fill(&server, 12);
    let bucket = Bucket::new();
    let place = format!("s3://{}/up", bucket.name);
    let from = server.store().to_str().unwrap().to_owned();
    let dir = tempfile::tempdir().unwrap();
    let (at, some) = (dir.path(), Some(&bucket));
    std::thread::scope(|scope| {
        let coming = scope.spawn(|| {
            for json in &stored[..4] {
                server.upload(&Form::new().file("f", "late.bin", &noise(50_000, 7)));
                let token = owner(json);
                let path = format!("/uploads/{}", id(json));
                let token = [("Authorization", token.as_str())];
                assert_eq!(server.request("DELETE", &path, &token, b"").status, 204);
            }
        });
        let said = copy(at, some, &from, &place, &[]);
        assert_eq!(said.code, Some(0), "{said:?}");
        coming.join().unwrap();
    });
    let (ended, _setup) = server.stop();
    assert!(ended.success());
    let said = copy(at, some, &from, &place, &["--delete"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let unfinished = bucket.unfinished();
    assert_eq!(unfinished, [""; 0]);
    let back = at.join("back");
    let said = copy(at, some, &place, back.to_str().unwrap(), &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.starts_with("12 uploads copied"), "{said:?}");
    same(Path::new(&from), &back);
    // In the bucket every file has its digest, and the index of the copy is whole.
    let checked = wharf(at, some).run(&["check", "--store", &place]);
    assert!(checked.out.contains("; 0 damaged"), "{checked:?}");
    let moved = Setup::new().bucket(&bucket, &bucket.server.url()).start();
    wait_until("names are found in the bucket", || {
        moved.get("/files/late.bin").status == 200
    });
    // What the bucket says is gone goes from a copy too, without --delete.
    let token = owner(&stored[5]);
    let path = format!("/uploads/{}", id(&stored[5]));
    let token = [("Authorization", token.as_str())];
    assert_eq!(moved.request("DELETE", &path, &token, b"").status, 204);
    let said = copy(at, some, &place, back.to_str().unwrap(), &[]);
    assert!(
        said.out.contains(", 1 removed, 11 were the same"),
        "{said:?}"
    );
    let said = copy(at, some, back.to_str().unwrap(), &place, &[]);
    assert!(said.out.contains(", 11 were the same"), "{said:?}");
    let said = copy(at, some, &from, &place, &[]);
    assert!(
        said.out.contains("; 1 deleted in the second store"),
        "{said:?}"
    );
    // A prefix that is named by mistake is no empty store: nothing is removed for it.
    let kept = tree(&back);
    let mistaken = format!("s3://{}/upp", bucket.name);
    let said = copy(at, some, &mistaken, back.to_str().unwrap(), &["--delete"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err.contains("--from: there is no store in"),
        "{said:?}"
    );
    assert!(kept.len() > 11 && tree(&back) == kept);
}

/// Killed again and again: each time what is there is whole, and in the end everything is.
#[test]
fn a_copy_that_is_killed_harms_nothing_and_goes_on() {
    let server = Server::start();
    fill(&server, 30);
    let bucket = Bucket::new();
    let dir = tempfile::tempdir().unwrap();
    let from = server.store().to_str().unwrap().to_owned();
    let folder = dir.path().join("copy");
    let (to, place) = (
        folder.to_str().unwrap().to_owned(),
        format!("s3://{}/killed", bucket.name),
    );
    let some = Some(&bucket);
    let done_there = || bucket.keys().iter().filter(|key| is_record(key)).count();
    let done_here = || match folder.exists() {
        true => tree(&folder).keys().filter(|name| is_record(name)).count(),
        false => 0,
    };
    for (to, done) in [
        (&to, &done_here as &dyn Fn() -> usize),
        (&place, &done_there),
    ] {
        for ends in [Signal::KILL, Signal::KILL, Signal::INT] {
            let before = done();
            let mut child = wharf(dir.path(), some).spawn(&["copy", "--from", &from, "--to", to]);
            wait_until("something more is copied", || {
                done() > before || child.try_wait().unwrap().is_some()
            });
            // It may have ended by itself, which a later round does sooner.
            signal(&child, ends);
            let said = end_of(child);
            let code = match ends {
                Signal::INT => [Some(130), Some(0)],
                _ => [None, Some(0)],
            };
            assert!(code.contains(&said.code), "{said:?}");
            let store = if to == &place { "--store" } else { "--dir" };
            let checked = wharf(dir.path(), some).run(&["check", store, to]);
            assert!(checked.out.contains("; 0 damaged"), "{checked:?}");
        }
        let said = copy(dir.path(), some, &from, to, &[]);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert_eq!(done(), 30);
    }
    same(server.store().as_path(), &folder);
    assert_eq!(bucket.keys().len(), 120, "no file without its record");
}

fn is_record(name: &str) -> bool {
    name.ends_with(".json")
}

#[test]
fn what_is_damaged_is_named_and_left_out() {
    let server = Server::start();
    let stored = fill(&server, 4);
    let at = |json: &Value, end: &str| {
        let id = id(json);
        server.store().join(&id[..2]).join(format!("{id}{end}"))
    };
    let flipped = at(&stored[0], "-large.bin");
    let mut content = std::fs::read(&flipped).unwrap();
    content[400_000] ^= 1;
    std::fs::write(&flipped, content).unwrap();
    std::fs::remove_file(at(&stored[1], "-empty")).unwrap();
    std::fs::write(at(&stored[2], ".json"), "{").unwrap();
    let (dir, from) = (server.dir(), server.store());
    let to = dir.join("copy");
    let said = copy(dir, None, from.to_str().unwrap(), to.to_str().unwrap(), &[]);
    assert_eq!(said.code, Some(3), "{said:?}");
    for (json, why) in [
        (
            &stored[0],
            "large.bin has another sha-256 than it was stored with",
        ),
        (&stored[1], "is missing"),
        (&stored[2], "is no manifest"),
    ] {
        let line = said.out.lines().find(|line| line.starts_with(id(json)));
        assert!(
            line.is_some_and(|line| line.contains(why)),
            "{why}: {said:?}"
        );
        let id = id(json);
        assert!(tree(&to).keys().all(|name| !name.starts_with(id)), "{id}");
    }
    assert!(said.out.contains("1 uploads copied") && said.out.contains("; 3 not copied\n"));
    assert_eq!(tree(&to).len(), 4);
}

#[test]
fn a_place_that_cannot_be_used_is_refused() {
    let server = Server::start();
    fill(&server, 1);
    let (dir, from) = (server.dir(), server.store());
    let from = from.to_str().unwrap();
    let (other, elsewhere) = (Server::start(), dir.join("new"));
    for (from, to, code, why) in [
        (from, from, 1, "are the same store"),
        (from, other.store().to_str().unwrap(), 1, "serves"),
        ("nowhere", elsewhere.to_str().unwrap(), 1, "nowhere"),
        (from, "gs://bucket", 1, "--to"),
        (from, "", 1, "--to: a folder or s3://"),
    ] {
        let said = copy(dir, None, from, to, &[]);
        assert_eq!(said.code, Some(code), "{from} to {to}: {said:?}");
        assert!(said.err.contains(why), "{why}: {said:?}");
    }
    let missing = Wharf::at(dir).run(&["copy", "--from", from]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
    // A Redis of the server that serves now is not asked.
    let redis = Wharf::at(dir).env("WHARF_REDIS", "redis://127.0.0.1:1");
    let to = elsewhere.to_str().unwrap();
    let said = redis.run(&["copy", "--from", from, "--to", to]);
    assert_eq!(said.code, Some(0), "{said:?}");
}
