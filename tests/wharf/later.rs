//! Records that a later version has written.

use std::path::Path;

use serde_json::Value;

use crate::support::{Form, Redis, Setup, wait_until};

fn read(manifest: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap()
}

#[test]
fn members_of_a_later_version_stay_in_a_manifest_that_is_replaced() {
    let server = Setup::new().start();
    let form = Form::new().text("t", "x").file("f", "a.txt", b"a");
    let json = server.post_to("/upload?max_downloads=5", &form, &[]).json();
    let id = json["id"].as_str().unwrap();
    let token = format!("Bearer {}", json["delete_token"].as_str().unwrap());
    let manifest = server.store().join(&id[..2]).join(format!("{id}.json"));
    let (status, setup) = server.stop();
    assert!(status.success());

    let mut later = read(&manifest);
    later["title"] = "holidays".into();
    later["parts"][0]["language"] = "de".into();
    later["parts"][1]["thumbnail"] = "a.webp".into();
    later["parts"][1]["blake3"] = 3_904_355_907_u64.into();
    later["more"] = serde_json::json!({"z": [1, null, {"y": 0.5}], "a": true});
    std::fs::write(&manifest, later.to_string()).unwrap();

    let server = setup.start();
    let path = format!("/uploads/{id}");
    let prolonged = server.request(
        "PATCH",
        &path,
        &[("Authorization", &token)],
        br#"{"expires_in":"7d"}"#,
    );
    assert_eq!(prolonged.status, 200, "{}", prolonged.text());
    assert_eq!(server.get(&format!("/download/{id}")).status, 200);
    wait_until("the download is counted", || read(&manifest)["used"] == 1);
    let (status, setup) = server.stop();
    assert!(status.success());
    assert!(setup.run(&["reindex"]).status.success());

    let replaced = read(&manifest);
    for changed in ["generation", "expires_at", "used"] {
        assert_ne!(replaced[changed], later[changed], "{changed}");
        later[changed] = replaced[changed].clone();
    }
    // The text as well: members of later versions are in their order, behind the others.
    assert_eq!(replaced.to_string(), later.to_string());
}

#[test]
fn an_index_in_redis_of_a_later_format_is_refused() {
    let redis = Redis::start();
    let setup = |folder: &Path| {
        let args = ["--redis", &redis.url()];
        Setup::new().store(folder).args(&args)
    };
    let folder = tempfile::tempdir().unwrap();
    let server = setup(folder.path()).start();
    wait_until("it is ready", || server.get("/readyz").status == 200);
    const KEY: &str = "wharf:{lead}:format";
    assert_eq!(redis.cli(&["GET", KEY]).trim(), "1");
    redis.cli(&["FLUSHALL"]);
    wait_until("it is written again", || {
        redis.cli(&["GET", KEY]).trim() == "1"
    });
    redis.cli(&["SET", KEY, "2"]);
    wait_until("it is not ready", || server.get("/readyz").status == 503);
    drop(server);
    let log = setup(folder.path()).try_start().err().unwrap();
    assert!(
        log.contains("Redis holds an index of the format 2, and 1 is the newest"),
        "{log}"
    );
}
