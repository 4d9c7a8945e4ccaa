//! The alerts and the dashboard: right by Prometheus' own tool, and about counters that there are.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Bucket, Form, Redis, Setup, certificate};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus");

/// The names of counters in an expression.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("wharf_") || word.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

/// Every text under the key `expr`.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(text) if key == "expr" => found.push(text.clone()),
                    value => expressions(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

/// Asserts that Prometheus' own tool finds no fault in these counters.
pub fn accepted(metrics: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(metrics.as_bytes()).unwrap();
    drop(stdin);
    let checked = promtool.wait_with_output().unwrap();
    let said = [checked.stdout, checked.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(
        checked.status.success() && said.is_empty(),
        "{said}\n{metrics}"
    );
}

#[test]
fn alerts_and_dashboard_name_counters_that_there_are() {
    let redis = Redis::start();
    let setup = Setup::new().args(&["--redis", &redis.url()]);
    certificate(setup.folder(), "own", "DNS:localhost", "now", 90);
    let server = setup
        .args(&["--tls-cert", "own.pem", "--tls-key", "own.key"])
        .args(&["--listen", "http://127.0.0.1:0"])
        .start();
    server.upload(&Form::new().file("f", "a", b"x"));
    let refused = server.post_to("/upload?no=such", &Form::new(), &[]);
    assert_eq!(refused.status, 400);
    // One with a bucket has counters of its own.
    let bucket = Bucket::new();
    let far = Setup::new().bucket(&bucket, &bucket.server.url()).start();
    far.upload(&Form::new().file("f", "a", b"x"));
    let metrics = [&server, &far].map(|server| server.get("/metrics").text());
    for (text, counted) in [
        (
            &metrics[0],
            "wharf_redis_request_duration_seconds_count{operation=\"eval\"}",
        ),
        (
            &metrics[1],
            "wharf_s3_request_duration_seconds_count{operation=\"put\"}",
        ),
    ] {
        let line = text.lines().find(|line| line.starts_with(counted));
        let count = line.and_then(|line| line.rsplit(' ').next());
        assert!(count.is_some_and(|count| count != "0"), "{counted}: {text}");
        accepted(text);
    }
    let metrics = metrics.concat();
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    let known: BTreeSet<&str> = samples
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let dashboard = std::fs::read_to_string(format!("{FOLDER}/grafana.json")).unwrap();
    let mut used = Vec::new();
    expressions(&serde_json::from_str(&dashboard).unwrap(), &mut used);
    assert!(used.len() > 30);
    let alerts = std::fs::read_to_string(format!("{FOLDER}/alerts.yml")).unwrap();
    used.push(alerts);
    for name in used.iter().flat_map(|text| named(text)) {
        assert!(known.contains(name.as_str()), "{name} in {known:?}");
    }
}

#[test]
fn the_alerts_fire_when_they_should() {
    for args in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let out = Command::new("promtool")
            .args(args)
            .current_dir(FOLDER)
            .output()
            .unwrap();
        assert!(out.status.success(), "{args:?}: {out:?}");
    }
}
