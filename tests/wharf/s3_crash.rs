//! Kills in the middle of work on a bucket.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Bucket, Form, Setup, noise, sha256, soak, try_request, wait_until};

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// An upload that was answered.
pub struct Answered {
    pub id: String,
    pub name: String,
    pub sha256: String,
    pub expires: bool,
}

/// Posts forms until `over`, and notes what was answered; every third one expires after 2 s.
pub fn post_forms(
    address: SocketAddr,
    seed: u64,
    over: &AtomicBool,
    answered: &Mutex<Vec<Answered>>,
) {
    for i in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let size = match i % 7 {
            3 => 9_000_000,
            5 => 300_000,
            _ => 3000,
        };
        let content = noise(size, seed * 1000 + i);
        let name = format!("{seed}-{i}.bin");
        let form = Form::new()
            .file("f", &name, &content)
            .file("g", "second.txt", b"second");
        let content_type = form.content_type();
        let expires = i % 3 == 1;
        let path = if expires {
            "/upload?expires_in=2s"
        } else {
            "/upload"
        };
        let headers = [("Content-Type", content_type.as_str())];
        let body = form.body();
        match try_request(address, ANSWER_TIMEOUT, "POST", path, &headers, &body) {
            Some(response) if response.status == 201 && response.whole => {
                let id = response.json()["id"].as_str().unwrap().to_owned();
                answered.lock().unwrap().push(Answered {
                    id,
                    name,
                    sha256: sha256(&content),
                    expires,
                });
            }
            // A refusal, or a kill that has cut the connection.
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Ends what goes on until this flag is set, also when a test fails.
pub struct Until<'a>(pub &'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The objects in a bucket that belong to no upload; every upload has to be whole.
pub fn leftovers(bucket: &Bucket) -> Vec<String> {
    let keys = bucket.keys();
    let mut expected = HashSet::new();
    for key in keys.iter().filter(|key| key.ends_with(".json")) {
        let (status, json) = bucket.get(key);
        assert_eq!(status, 200, "{key}");
        let manifest: serde_json::Value = serde_json::from_str(&json).unwrap();
        expected.insert(key.clone());
        let parts = manifest["parts"].as_array().into_iter().flatten();
        for name in parts.filter_map(|part| part["name"].as_str()) {
            let file = key.replace(".json", &format!("-{name}"));
            assert!(keys.contains(&file), "{file} is missing");
            expected.insert(file);
        }
    }
    let unfinished = bucket.unfinished().into_iter();
    let strange = keys.into_iter().filter(|key| !expected.contains(key));
    strange.chain(unfinished).collect()
}

/// Waits for the cleaner, which takes its time where nothing presses.
pub fn wait_for_the_cleaner(bucket: &Bucket) {
    let end = Instant::now() + Duration::from_secs(240);
    loop {
        let left = leftovers(bucket);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "in vain: {left:?} are left");
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn kills_lose_nothing_that_was_answered() {
    let rounds = if soak() { 100 } else { 8 };
    let bucket = Bucket::new();
    let mut setup = Setup::new()
        .bucket(&bucket, &bucket.server.url())
        .args(&["--stale-after", "5s"]);
    let answered: Mutex<Vec<Answered>> = Mutex::default();
    for round in 0..rounds {
        let server = setup.start();
        let over = AtomicBool::new(false);
        let address = server.address;
        setup = std::thread::scope(|scope| {
            for client in 0..4 {
                let (over, answered) = (&over, &answered);
                scope.spawn(move || post_forms(address, round * 10 + client, over, answered));
            }
            let _posting = Until(&over);
            let before = answered.lock().unwrap().len();
            wait_until("forms are stored", || {
                answered.lock().unwrap().len() >= before + 3
            });
            std::thread::sleep(Duration::from_millis((round * 97) % 400));
            server.kill()
        });
    }
    let server = setup.start();
    let answered = answered.into_inner().unwrap();
    assert!(!answered.is_empty());
    for upload in answered.iter().filter(|upload| !upload.expires) {
        let file = server.get(&format!("/files/{}/{}", upload.id, upload.name));
        assert_eq!(
            (file.status, sha256(&file.body)),
            (200, upload.sha256.clone())
        );
    }
    wait_until("the index is complete", || {
        server.get("/uploads?limit=1").status == 200
    });
    wait_for_the_cleaner(&bucket);
    for upload in answered.iter().filter(|upload| upload.expires) {
        wait_until("what is over is gone", || {
            server.get(&format!("/uploads/{}", upload.id)).status == 404
        });
    }
    wait_for_the_cleaner(&bucket);
}
