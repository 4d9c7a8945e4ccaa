//! Stores that an older build has written are served.

use std::io::Write as _;
use std::process::Stdio;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::support::{
    Bucket, Form, OlderStore, Redis, S3, Server, Setup, noise, sha256, wait_until,
};

/// The characters that stand for themselves in a path segment (RFC 3986 section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

fn encoded(name: &str) -> String {
    utf8_percent_encode(name, SEGMENT).to_string()
}

#[test]
fn a_folder_with_its_index_is_served() {
    let older = OlderStore::named("disk");
    let folder = tempfile::tempdir().unwrap();
    older.unpack(folder.path());
    let server = Setup::new().store(folder.path()).args(&NAMED).start();
    let path = |id: &str, name: &str| format!("{}/{id}-{name}", &id[..2]);
    serve(&older, &server, path, false);
    let over = |name: &String| name.ends_with("-expired.txt");
    wait_until("what expired is removed", || {
        !server.files().iter().any(over)
    });
}

#[test]
fn a_folder_with_its_redis_is_served() {
    let (older, redis) = (OlderStore::named("shared"), Redis::start());
    let folder = tempfile::tempdir().unwrap();
    older.unpack(folder.path());
    older.restore(&redis);
    let server = Setup::new()
        .store(folder.path())
        .args(&["--redis", &redis.url()])
        .args(&NAMED)
        .start();
    let path = |id: &str, name: &str| format!("{}/{id}-{name}", &id[..2]);
    serve(&older, &server, path, true);
    let over = |name: &String| name.ends_with("-expired.txt");
    wait_until("what expired is removed", || {
        !server.files().iter().any(over)
    });
}

#[test]
fn a_bucket_is_served() {
    let (older, redis, bucket) = (OlderStore::named("bucket"), Redis::start(), Bucket::new());
    older.unpack_into(&bucket);
    let server = Setup::new()
        .bucket(&bucket, &bucket.server.url())
        .args(&["--redis", &redis.url()])
        .args(&NAMED)
        .start();
    let path = |id: &str, name: &str| format!("up/{}/{id}-{}", &id[..2], encoded(name));
    serve(&older, &server, path, true);
    let over = |name: &String| name.ends_with("-expired.txt");
    wait_until("what expired is removed", || {
        !bucket.keys().iter().any(over)
    });
}

const NAMED: [&str; 2] = ["--names", "shared"];

/// Both archives of an upload that it can be taken from are whole, though the older build has kept
/// no CRC: the files are read for the first ZIP file.
fn archive(server: &Server, record: &Value) {
    let files = record["files"].as_array().unwrap();
    assert!(files.iter().all(|file| file["path"].is_string()));
    if files.is_empty() || !record["max_downloads"].is_null() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (format, test) in [("zip", ["unzip", "-tq"]), ("tar", ["tar", "-tf"])] {
        let path = format!("/archive/{}.{format}", record["id"].as_str().unwrap());
        let answer = server.get(&path);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(server.get(&path).body == answer.body);
        let file = dir.path().join(format);
        std::fs::write(&file, &answer.body).unwrap();
        let tested = std::process::Command::new(test[0])
            .arg(test[1])
            .arg(&file)
            .output()
            .unwrap();
        assert!(tested.status.success(), "{tested:?}");
    }
}

/// Whatever clients of the older build could do, they can do here. `path` is where the file of an
/// id and a name was stored.
fn serve(
    older: &OlderStore,
    server: &Server,
    path: impl Fn(&str, &str) -> String,
    tombstones: bool,
) {
    wait_until("it is ready", || {
        let whole = server.get("/uploads?limit=1").status == 200;
        server.get("/readyz").status == 200 && whole
    });
    let uploads = older.uploads();
    for (what, upload) in &uploads {
        let record = server.get(&format!("/uploads/{}", upload.id));
        assert_eq!(u64::from(record.status), upload.status, "{what}");
        if record.status != 200 {
            continue;
        }
        let record = record.json();
        for member in ["created_at", "expires_at", "max_downloads"] {
            assert_eq!(record[member], upload.told[member], "{what}");
        }
        form(server, &upload.id, &upload.told);
        archive(server, &record);
        let limited = !record["max_downloads"].is_null();
        for file in record["files"].as_array().unwrap() {
            let name = file["name"].as_str().unwrap();
            let stored = older.content(&path(&upload.id, name));
            assert_eq!(file["size"], stored.len(), "{what}");
            if !limited {
                let url = format!("/files/{}/{}", upload.id, encoded(name));
                assert_eq!(server.get(&url).body, stored, "{what}");
            }
        }
    }
    let listed = server.get("/uploads").json();
    let listed: Vec<&Value> = listed["uploads"].as_array().unwrap().iter().collect();
    for (what, upload) in &uploads {
        let free = upload.status == 200 && upload.told["max_downloads"].is_null();
        let is_listed = listed.iter().any(|entry| entry["id"] == *upload.id);
        assert!(is_listed || !free, "{what} is not listed");
        assert!(!is_listed || free, "{what} is listed");
    }
    // The newest of its name is one that may be downloaded once.
    assert_eq!(server.get("/files/report.txt").body, b"three");
    for name in ["put.bin", "dot.png", "years.txt", "undigested.txt"] {
        assert_eq!(server.get(&format!("/files/{name}")).status, 200, "{name}");
    }
    for (what, left) in [
        ("three downloads, one used", 2),
        ("a form of two, twice, one form used", 1),
        ("a form of two, twice, one file used", 1),
    ] {
        let path = format!("/download/{}", uploads[what].id);
        for _ in 0..left {
            assert_eq!(server.get(&path).status, 200, "{what}");
        }
        assert_eq!(server.get(&path).status, 404, "{what}");
    }
    for (what, status) in [
        ("several files and text fields", 204),
        ("for years", 204),
        ("one download, the newest of its name", 204),
        ("deleted", if tombstones { 204 } else { 404 }),
    ] {
        let path = format!("/uploads/{}", uploads[what].id);
        let (token, wrong) = (uploads[what].owner(), uploads["nothing"].owner());
        let delete =
            |token: &str| server.request("DELETE", &path, &[("Authorization", token)], b"");
        assert_eq!(delete(&wrong).status, 404, "{what}");
        assert_eq!(delete(&token).status, status, "{what}");
        assert_eq!(server.get(&path).status, 404, "{what}");
    }
    assert_eq!(server.get("/files/report.txt").body, b"three");
}

/// The form is the same to the byte: a download that an older instance began goes on here.
fn form(server: &Server, id: &str, told: &Value) {
    let (method, told) = match told["form"]["sha256"].as_str() {
        Some(_) => ("GET", &told["form"]),
        None => ("HEAD", &told["form"]),
    };
    let answer = server.request(method, &format!("/download/{id}"), &[], b"");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("etag"), told["etag"].as_str());
    let length: u64 = answer.header("content-length").unwrap().parse().unwrap();
    assert_eq!(told["length"], length);
    if method == "GET" {
        assert_eq!(told["sha256"], sha256(&answer.body));
    }
}

/// Every record in these stores, and all that this version writes, is what the schema says.
#[test]
fn manifests_of_every_kind_are_valid() {
    let mut records = Vec::new();
    for name in ["disk", "shared", "bucket"] {
        records.extend(OlderStore::named(name).records());
    }
    let redis = Redis::start();
    let server = Setup::new().args(&["--redis", &redis.url()]).start();
    for (options, form) in forms() {
        let stored = server.post_to(&format!("/upload{options}"), &form, &[]);
        let json = stored.json();
        let files = json["files"].as_array().unwrap();
        let last = files.last().unwrap()["name"].as_str().unwrap();
        let last = encoded(last);
        let path = format!("/files/{}/{last}", json["id"].as_str().unwrap());
        assert_eq!(server.get(&path).status, 200);
    }
    let odd = Form::new()
        .part("Content-Disposition: form-data; name=\"t\"\r\nContent-Type: a/b", b"\xff")
        .part("Content-Disposition: form-data; name=\"f\"; filename=\"=?utf-8?Q?a?=\"; filename*=UTF-8''a\r\nContent-Type: none", b"");
    let gone = server.upload(&odd);
    let titled = server.post_to("/upload?title=Odd%20parts", &odd, &[]);
    assert_eq!(titled.status, 201);
    let token = format!("Bearer {}", gone["delete_token"].as_str().unwrap());
    let path = format!("/uploads/{}", gone["id"].as_str().unwrap());
    let deleted = server.request("DELETE", &path, &[("Authorization", &token)], b"");
    assert_eq!(deleted.status, 204);
    let written: Vec<String> = server
        .files()
        .into_iter()
        .filter(|name| name.ends_with(".json"))
        .map(|name| std::fs::read_to_string(server.store().join(&name[..2]).join(name)).unwrap())
        .collect();
    for (what, kind) in [("the second", "\"schema\":2"), ("a tombstone", "\"gone\":")] {
        assert!(written.iter().any(|json| json.contains(kind)), "{what}");
    }
    records.extend(written);
    validate(&records);
}

/// Compares records with the JSON Schema in docs.
fn validate(records: &[String]) {
    const PROGRAM: &str = "
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
validator = jsonschema.Draft202012Validator(schema)
validator.check_schema(schema)
for line in sys.stdin:
    validator.validate(json.loads(line))
";
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/manifest.schema.json");
    let mut python = S3::python()
        .args(["-c", PROGRAM, schema])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = python.stdin.take().unwrap();
    stdin.write_all(records.join("\n").as_bytes()).unwrap();
    drop(stdin);
    assert!(python.wait().unwrap().success());
}

/// A file with a type.
pub fn with_type(form: Form, name: &str, content: &[u8]) -> Form {
    let disposition = format!("Content-Disposition: form-data; name=\"f\"; filename=\"{name}\"");
    let head = format!("{disposition}\r\nContent-Type: text/x-test");
    form.part(&head, content)
}

/// Files with a type: of one that came without, an older build gives back the type it has guessed.
pub fn forms() -> [(&'static str, Form); 4] {
    let (new, file) = (Form::new, with_type);
    [
        ("", file(new(), "plain.txt", b"plain").text("t", "text")),
        (
            "?expires_in=1h",
            file(new(), "later.bin", &noise(300_000, 5)),
        ),
        ("", file(file(new(), "a.txt", b""), "A.TXT", b"second")),
        (
            "?max_downloads=2",
            file(file(new(), "twice.txt", b"twice"), "too.txt", b"2"),
        ),
    ]
}
