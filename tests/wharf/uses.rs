//! `max_downloads` counts for each file, and no stranger comes upon a limited upload.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::{Connection, Fleet, Form, Redis, Server, noise, wait_until};

fn pair() -> Form {
    Form::new()
        .file("f", "left.txt", b"left")
        .file("f", "right.txt", b"right")
        .text("t", "text")
}

/// The downloads left of the upload, and of each file.
fn left(record: &Value) -> Value {
    let files = record["files"].as_array().unwrap();
    let files: Vec<_> = files
        .iter()
        .map(|file| file["downloads_left"].clone())
        .collect();
    json!([record["downloads_left"], files])
}

#[test]
fn each_file_may_be_fetched_so_often_and_a_form_takes_one_of_each() {
    let server = Server::start();
    let stored = server
        .post_to("/upload?max_downloads=2", &pair(), &[])
        .json();
    assert_eq!(left(&stored), json!([2, [2, 2]]));
    let id = stored["id"].as_str().unwrap();
    let [form, one, other, record] = [
        format!("/download/{id}"),
        format!("/files/{id}/left.txt"),
        format!("/download/{id}/right.txt"),
        format!("/uploads/{id}"),
    ];
    let now = || left(&server.get(&record).json());
    assert_eq!(server.get(&form).status, 200);
    assert_eq!(now(), json!([1, [1, 1]]));
    assert_eq!(server.get(&one).body, b"left");
    assert_eq!(now(), json!([1, [0, 1]]));
    for method in ["GET", "HEAD"] {
        assert_eq!(server.request(method, &one, &[], b"").status, 404);
        // All its files, or none.
        assert_eq!(server.request(method, &form, &[], b"").status, 404);
    }
    assert_eq!(now(), json!([1, [0, 1]]));
    // It is known from the manifest alone.
    let manifest = server.store().join(&id[..2]).join(format!("{id}.json"));
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
    assert_eq!(
        (&manifest["schema"], &manifest["used"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(manifest["parts"][1]["used"], 1);
    let server = server.kill().start();
    assert_eq!(server.get(&one).status, 404);
    assert_eq!(server.get(&other).status, 200);
    assert_eq!(server.get(&record).status, 404, "all are used up");
    wait_until("its files are removed", || server.files().is_empty());
}

#[test]
fn no_name_and_no_listing_leads_to_a_limited_upload() {
    let server = Server::with(&["--names", "shared"]);
    let report = |content: &[u8]| Form::new().file("f", "report.txt", content);
    server.upload(&report(b"for all"));
    let stored = server.post_to("/upload?max_downloads=1", &report(b"once"), &[]);
    let id = stored.json()["id"].as_str().unwrap().to_owned();
    let only = Form::new().file("f", "only.txt", b"once");
    let alone = server.post_to("/upload?max_downloads=1", &only, &[]);
    assert_eq!(alone.status, 201);
    for path in ["/files/report.txt", "/download/report.txt"] {
        let answer = server.get(path);
        assert!(answer.text().contains("for all"), "{}", answer.text());
    }
    for path in [
        "/files/only.txt",
        "/download/only.txt",
        "/download?name=only.txt",
    ] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    let listed = server.get("/uploads").json();
    assert_eq!(listed["uploads"].as_array().unwrap().len(), 1);
    assert_eq!(server.get(&format!("/files/{id}/report.txt")).body, b"once");
}

/// Forms and single files at the same time, on three instances: no file is given out more often
/// than it may be, and each as often as that in the end.
#[test]
fn no_file_is_given_out_too_often_by_three_instances() {
    const MAX_USES: usize = 5;
    let redis = Redis::start();
    let fleet = Fleet::start(&redis.url());
    let contents = [noise(200_000, 1), noise(200_000, 2)];
    let form = Form::new()
        .file("f", "a.bin", &contents[0])
        .file("f", "b.bin", &contents[1]);
    let stored = fleet.servers[0].post_to(&format!("/upload?max_downloads={MAX_USES}"), &form, &[]);
    let id = stored.json()["id"].as_str().unwrap().to_owned();
    let paths = [
        format!("/download/{id}"),
        format!("/files/{id}/a.bin"),
        format!("/files/{id}/b.bin"),
    ];
    let whole = [const { AtomicUsize::new(0) }; 3];
    std::thread::scope(|scope| {
        for i in 0..18 {
            let (server, which) = (&fleet.servers[i % 3], i / 6);
            let (path, whole) = (&paths[which], &whole[which]);
            scope.spawn(move || {
                for _ in 0..40 {
                    let mut connection = Connection::open(server.address);
                    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
                    connection.send(request.as_bytes());
                    match connection.response(false) {
                        Some(answer) if answer.status == 200 && answer.whole => {
                            whole.fetch_add(1, Ordering::SeqCst);
                        }
                        Some(answer) if answer.status == 404 => return,
                        Some(answer) if answer.status == 409 => {
                            assert!(answer.header("retry-after").is_some());
                        }
                        // One that lost the race for the last use is broken off.
                        _ => {}
                    }
                }
            });
        }
    });
    let [forms, a, b] = whole.map(AtomicUsize::into_inner);
    assert!(
        forms + a <= MAX_USES && forms + b <= MAX_USES,
        "{forms} {a} {b}"
    );
    for (path, given) in [(&paths[1], forms + a), (&paths[2], forms + b)] {
        let mut given = given;
        wait_until("every use is given out", || {
            given += usize::from(fleet.servers[0].get(path).status == 200);
            given == MAX_USES
        });
        assert_eq!(fleet.servers[1].get(path).status, 404);
    }
}
