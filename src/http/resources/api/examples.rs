//! Examples: answers that a server has given, as `tests/wharf/openapi.rs` records and compares them,
//! with ids, times and secrets that are always the same.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// By operation and status; `request` is the body that led to them.
static ANSWERS: LazyLock<Value> = LazyLock::new(|| read(static_file!("openapi/answers.json")));
/// By code.
static PROBLEMS: LazyLock<Value> = LazyLock::new(|| read(static_file!("openapi/problems.json")));

fn read(json: &str) -> Value {
    serde_json::from_str(json).expect("it is JSON, as its test says")
}

/// The answer of the operation `id` as this type; a text is no document, and the other way round.
pub fn answer(id: &str, status: u16, media_type: &str) -> Option<Value> {
    let example = &ANSWERS[id][status.to_string()];
    let fits = match media_type {
        "application/json" => !example.is_string(),
        "text/plain" | "multipart/form-data" => example.is_string(),
        _ => false,
    };
    (fits && !example.is_null()).then(|| example.clone())
}

/// The body of a request to the operation `id`.
pub fn request(id: &str) -> Option<Value> {
    let example = &ANSWERS[id]["request"];
    (!example.is_null()).then(|| example.clone())
}

/// The problems as components of the document.
pub fn components() -> Value {
    let problems = PROBLEMS.as_object().into_iter().flatten();
    let examples = problems.map(|(code, problem)| {
        let example = json!({ "summary": problem["title"], "value": problem });
        (code.clone(), example)
    });
    Value::Object(examples.collect::<Map<_, _>>())
}
