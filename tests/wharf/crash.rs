use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::{Form, Setup, noise, sha256, soak, try_request, wait_until};

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Kills the server at random moments under load, again and again: an upload that was answered is
/// there with its digest, one that was not is absent or whole, and no file without a manifest
/// stays.
#[test]
fn kills_lose_nothing_that_was_answered() {
    kills(Setup::new().args(&["--journal", "off"]));
}

/// The same where answers stand on the journal alone.
#[test]
fn kills_lose_nothing_that_the_journal_has() {
    kills(Setup::new().args(&["--journal", "on", "--journal-size", "32MiB"]));
}

fn kills(mut setup: Setup) {
    let rounds = if soak() { 200 } else { 12 };
    let answered: Mutex<Vec<(String, String, String)>> = Mutex::default();
    for round in 0..rounds {
        let server = setup.start();
        let over = AtomicBool::new(false);
        let address = server.address;
        let before = answered.lock().unwrap().len();
        setup = std::thread::scope(|scope| {
            for client in 0..8 {
                let (over, answered) = (&over, &answered);
                scope.spawn(move || {
                    for i in 0.. {
                        if over.load(Ordering::Relaxed) {
                            return;
                        }
                        let content = noise(
                            if i % 5 == 0 { 400_000 } else { 3000 },
                            (round * 1000 + client * 100 + i) as u64,
                        );
                        let form = Form::new()
                            .file("f", "a.bin", &content)
                            .file("g", "b.bin", b"second");
                        let content_type = form.content_type();
                        let headers = [("Content-Type", content_type.as_str())];
                        let sent = try_request(
                            address,
                            ANSWER_TIMEOUT,
                            "POST",
                            "/upload",
                            &headers,
                            &form.body(),
                        );
                        // The kill has cut the connection. A malformed answer fails the test.
                        let Some(response) = sent else { return };
                        if response.status == 201 && response.whole {
                            let json = response.json();
                            let id = json["id"].as_str().unwrap().to_owned();
                            let name = json["files"][0]["name"].as_str().unwrap().to_owned();
                            answered.lock().unwrap().push((id, name, sha256(&content)));
                        }
                    }
                });
            }
            // On a busy machine the first answers may take longer than the whole pause.
            wait_until("something is answered", || {
                answered.lock().unwrap().len() > before
            });
            std::thread::sleep(Duration::from_millis(40 + (round as u64 * 37) % 300));
            let setup = server.kill();
            over.store(true, Ordering::Relaxed);
            setup
        });
    }
    let server = setup.start();
    wait_until("the index is complete", || {
        server.get("/uploads?limit=1").status == 200
    });
    let answered = answered.into_inner().unwrap();
    assert!(!answered.is_empty());
    for (id, name, digest) in &answered {
        let file = server.get(&format!("/files/{id}/{name}"));
        assert_eq!((file.status, sha256(&file.body)), (200, digest.clone()));
    }
    let mut files = server.files();
    let manifests: Vec<String> = files
        .iter()
        .filter_map(|file| file.strip_suffix(".json").map(str::to_owned))
        .collect();
    wait_until("no file is left without its manifest", || {
        files = server.files();
        files
            .iter()
            .all(|file| manifests.iter().any(|id| file.starts_with(id.as_str())))
    });
    assert_eq!(files.len(), manifests.len() * 3, "every upload is whole");
    assert_eq!(server.staged(), 0);
    let check = Setup::new().store(&server.store()).run(&["check"]);
    assert!(
        check.status.success(),
        "{}",
        String::from_utf8_lossy(&check.stdout)
    );
}

#[test]
fn what_a_power_cut_took_is_reported_at_the_next_start() {
    let server = Setup::new().args(&["--durability", "relaxed"]).start();
    let json = server.upload(&Form::new().file("f", "a.bin", &noise(5000, 1)));
    let id = json["id"].as_str().unwrap().to_owned();
    let stored = server.store().join(&id[..2]).join(format!("{id}-a.bin"));
    let setup = server.kill();
    // The rest of a file whose bytes were not yet synced.
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(stored)
        .unwrap();
    file.set_len(0).unwrap();
    let server = setup.start();
    wait_until("it is reported", || {
        server.log().contains("has 0 bytes instead of 5000")
    });
    assert_eq!(server.get("/files/a.bin").status, 500);
    assert_eq!(server.files().len(), 2, "nothing is removed");
}

/// Kills the server in the middle of its cleaning, again and again: uploads that are over go in the
/// end, all of each, and others stay.
#[test]
fn kills_do_not_stop_the_cleaning() {
    let mut setup = Setup::new();
    let mut kept = Vec::new();
    for round in 0..6_u64 {
        let server = setup.start();
        let form = Form::new()
            .file("f", "a.bin", &noise(100, round))
            .file("g", "b.bin", b"x");
        for _ in 0..40 {
            assert_eq!(
                server.post_to("/upload?expires_in=1s", &form, &[]).status,
                201
            );
        }
        kept.push(server.upload(&form)["id"].as_str().unwrap().to_owned());
        // The first ones are due now, and the cleaner is at work.
        let files = server.files().len();
        wait_until("the cleaner works", || server.files().len() < files);
        std::thread::sleep(Duration::from_millis(round * 3));
        setup = server.kill();
    }
    let server = setup.start();
    wait_until("what is over is gone", || {
        server.files().len() == kept.len() * 3
    });
    for id in &kept {
        assert_eq!(server.get(&format!("/files/{id}/b.bin")).text(), "x");
    }
    // The files of an upload go before its entry in the index.
    wait_until("the index has forgotten it", || {
        server.get("/status").json()["uploads"] == kept.len()
    });
    assert_eq!(
        server.get("/status").json()["next_expiry"],
        serde_json::Value::Null
    );
}
