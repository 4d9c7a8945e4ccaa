//! Stores that another build has written, kept as fixtures: see `tests/fixtures`.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Bucket, Redis, S3, say};

/// A store, and the answers that clients of the build that has written it got.
pub struct OlderStore {
    fixture: Value,
}

/// An upload in it.
pub struct OlderUpload {
    pub id: String,
    pub token: String,
    /// 200, or 404 for one that is over.
    pub status: u64,
    /// The answers: see the README beside the fixtures.
    pub told: Value,
}

impl OlderUpload {
    /// Its delete token as a header's value.
    pub fn owner(&self) -> String {
        format!("Bearer {}", self.token)
    }
}

impl OlderStore {
    /// The fixture of that name by the build 7d560c9.
    pub fn named(name: &str) -> Self {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/7d560c9");
        let json = std::fs::read(format!("{root}/{name}.json")).unwrap();
        let fixture = serde_json::from_slice(&json).unwrap();
        OlderStore { fixture }
    }

    /// The program of the build 7d560c9, where there is one.
    pub fn build() -> Option<PathBuf> {
        let program = std::env::var_os("WHARF_TEST_OLDER").map(PathBuf::from);
        if program.is_none() {
            say(
                "skipped: the build of 7d560c9 beside this one: ./test soak makes it, where the history is, WHARF_TEST_OLDER names it",
            );
        }
        program
    }

    /// The uploads by what each is for.
    pub fn uploads(&self) -> BTreeMap<String, OlderUpload> {
        let known = self.fixture["known"].as_object().unwrap();
        let upload = |told: &Value| OlderUpload {
            id: told["id"].as_str().unwrap().to_owned(),
            token: told["delete_token"].as_str().unwrap().to_owned(),
            status: told["status"].as_u64().unwrap(),
            told: told.clone(),
        };
        let uploads = known.iter();
        uploads
            .map(|(what, told)| (what.clone(), upload(told)))
            .collect()
    }

    /// The bytes that were stored under a path or key.
    pub fn content(&self, path: &str) -> Vec<u8> {
        let stored = self.fixture.get("files");
        content(&stored.unwrap_or(&self.fixture["objects"])[path])
    }

    /// The manifests and tombstones.
    pub fn records(&self) -> Vec<String> {
        let stored = self.fixture.get("files");
        let stored = stored.unwrap_or(&self.fixture["objects"]);
        let records = stored.as_object().unwrap().iter();
        records
            .filter(|(path, _)| path.ends_with(".json") && !path.contains(".wharf/"))
            .map(|(_, stored)| stored.as_str().unwrap().to_owned())
            .collect()
    }

    /// Puts the files into a folder.
    pub fn unpack(&self, folder: &Path) {
        for (path, stored) in self.fixture["files"].as_object().unwrap() {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content(stored)).unwrap();
        }
    }

    /// Puts the objects into a bucket.
    pub fn unpack_into(&self, bucket: &Bucket) {
        for (key, stored) in self.fixture["objects"].as_object().unwrap() {
            bucket.put(key, &content(stored));
        }
    }

    /// Gives a Redis the keys.
    pub fn restore(&self, redis: &Redis) {
        for command in self.fixture["redis"].as_array().unwrap() {
            let words = command.as_array().unwrap().iter();
            let words: Vec<&str> = words.map(|word| word.as_str().unwrap()).collect();
            let said = redis.cli(&words);
            assert!(!said.contains("ERR"), "{words:?}: {said}");
        }
    }
}

fn content(stored: &Value) -> Vec<u8> {
    if let Some(text) = stored.as_str() {
        return text.as_bytes().to_vec();
    }
    let decode = |text: &Value| STANDARD.decode(text.as_str().unwrap()).unwrap();
    match stored.get("base64") {
        Some(bytes) => decode(bytes),
        None => inflate(&decode(&stored["zlib"])),
    }
}

fn inflate(packed: &[u8]) -> Vec<u8> {
    const PROGRAM: &str =
        "import sys, zlib; sys.stdout.buffer.write(zlib.decompress(sys.stdin.buffer.read()))";
    let mut python = S3::python()
        .args(["-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(packed).unwrap();
    let mut content = Vec::new();
    let mut stdout = python.stdout.take().unwrap();
    stdout.read_to_end(&mut content).unwrap();
    assert!(python.wait().unwrap().success());
    content
}
