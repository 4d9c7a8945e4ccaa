//! The alerts and the dashboard: right by Prometheus' own tool, and about counters that there are.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::support::{Form, Redis, Setup, certificate};

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
    let metrics = server.get("/metrics").text();
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
