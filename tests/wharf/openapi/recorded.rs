//! Answers that were given, compared with those that were recorded as examples. They are recorded
//! anew where `WHARF_RECORD` is set.

use std::path::Path;

use serde_json::{Value, json};

const ADDRESS: &str = "http://localhost:8080";
/// The stand-ins of ids, in the order in which they come.
const IDS: [&str; 4] = [
    "0c8r5v3m9ag7wqk2ht4xz1y6ne",
    "0c8r5v3m2hj6wqk9at4xz1y7pf",
    "0c8r5v3kzt1g5mx0n8rqe4vw2s",
    "0c8r5v3kp7c3hy6sd2bn9fjm4x",
];
pub const TOKEN: &str = "Wl0Zq3XvS8mNf1Yk7TgJ2A";
const REQUEST: &str = "5c1b7d8e9f3a2b40";

/// Takes what is another each time out of an answer of the server at `port`.
pub fn normal(mut answer: Value, port: u16) -> Value {
    let request = answer["request_id"].as_str().map(str::to_owned);
    let mut known = Vec::new();
    let mut text = |text: &str| {
        let mut text = text.replace(&format!("http://127.0.0.1:{port}"), ADDRESS);
        text = text.replace(&format!(":{port}"), ":8080");
        // The first thing that is missed is a matter of time.
        text = text.replace("the storage and the index are not", "the storage is not");
        if let Some(request) = &request {
            text = text.replace(request, REQUEST);
        }
        for id in ids(&text) {
            let place = known.iter().position(|it| *it == id);
            let place = place.unwrap_or_else(|| {
                known.push(id.clone());
                known.len() - 1
            });
            text = text.replace(&id, IDS[place]);
        }
        // An id, and its token behind a dot.
        match text.split_once('.') {
            Some((id, _)) if IDS.contains(&id) => format!("{id}.{TOKEN}"),
            _ => text,
        }
    };
    replace(&mut answer, "", &mut text);
    answer
}

fn replace(value: &mut Value, key: &str, text: &mut impl FnMut(&str) -> String) {
    let constant = match key {
        "delete_token" => json!(TOKEN),
        "created_at" => json!("2026-11-23T01:14:10.123Z"),
        "expires_at" | "next_expiry" => json!("2026-11-30T01:14:10.123Z"),
        "next_cursor" => json!("AQAAAZquRotLMGM4cjV2M20yaGo2d3FrOWF0NHh6MXk3cGY"),
        "instance" => json!("harbour-1"),
        "version" => json!("0.1.0"),
        "retry_after" => json!(7),
        _ => match value {
            Value::String(given) => json!(text(given)),
            Value::Array(values) => {
                values.iter_mut().for_each(|value| replace(value, "", text));
                return;
            }
            Value::Object(members) => {
                for (key, value) in members {
                    replace(value, key, text);
                }
                return;
            }
            _ => return,
        },
    };
    if !value.is_null() {
        *value = constant;
    }
}

/// The ids in a text.
fn ids(text: &str) -> Vec<String> {
    let letter = |c: char| c.is_ascii_digit() || (c.is_ascii_lowercase() && !"ilou".contains(c));
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter(|word| word.len() == 26 && word.chars().all(letter))
        .map(str::to_owned)
        .collect()
}

/// The content of `file` of `static/openapi`.
pub fn known(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("static/openapi");
    serde_json::from_slice(&std::fs::read(path.join(file)).unwrap()).unwrap()
}

/// Compares with what `file` of `static/openapi` has.
#[track_caller]
pub fn compare(file: &str, given: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("static/openapi");
    let path = path.join(file);
    if std::env::var_os("WHARF_RECORD").is_some() {
        let text = serde_json::to_string_pretty(given).unwrap();
        std::fs::write(&path, text + "\n").unwrap();
        return;
    }
    let known = known(file);
    let (known, given) = (known.as_object().unwrap(), given.as_object().unwrap());
    for name in known.keys().chain(given.keys()) {
        assert_eq!(
            known.get(name),
            given.get(name),
            "{name}: static/openapi/{file} is not what the server answers; if that is meant, \
             WHARF_RECORD=1 records it anew"
        );
    }
}
