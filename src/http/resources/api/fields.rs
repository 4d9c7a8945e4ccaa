//! The header fields of answers.

use serde_json::{Map, Value, json};

use crate::http::rules::problem::Code;

/// The end of the names of components whose field is there at times.
pub const OPTIONAL: &str = ".at-times";

/// Fields of every answer.
pub const EVERYWHERE: [&str; 2] = ["X-Request-Id", "X-Content-Type-Options"];
/// Fields of every problem.
pub const OF_PROBLEMS: [&str; 2] = ["Cache-Control", "Vary"];

/// The fields, with an example of a value and what it says.
#[rustfmt::skip]
const FIELDS: &[(&str, &str, &str)] = &[
    ("Accept-Encoding", "identity", "What a body may be coded as: not at all"),
    ("Accept-Patch", "application/merge-patch+json, application/json", "The types that a change may have"),
    ("Accept-Ranges", "bytes", "bytes, or none where downloads are counted"),
    ("Cache-Control", "no-store", "How long the answer may be kept"),
    ("Content-Disposition", "attachment; filename=\"part1.txt\"", "How a browser takes the file, and the name it saves it under"),
    ("Content-Language", "en", "The language of the words"),
    ("Content-Length", "15", "The exact length in bytes"),
    ("Content-Location", "/files/0c8r5v3m9ag7wqk2ht4xz1y6ne/part1.txt", "The address of exactly this, which a name may lead to"),
    ("Content-Range", "bytes 0-4/15", "Which bytes these are, of how many (RFC 9110 section 14.4)"),
    ("Content-Security-Policy", "sandbox; default-src 'none'", "What a browser may do with it"),
    ("Cross-Origin-Opener-Policy", "same-origin", "Windows of other sites have no hold on the page"),
    ("Cross-Origin-Resource-Policy", "same-origin", "Whether pages of other sites may embed it"),
    ("ETag", "\"0123456789abcdef\"", "Changes with what is answered; strong (RFC 9110 section 8.8.3)"),
    ("Last-Modified", "Mon, 23 Nov 2026 01:14:10 GMT", "When the upload was committed"),
    ("Link", "</uploads/0c8r5v3m9ag7wqk2ht4xz1y6ne>; rel=\"describedby\"", "What belongs to it (RFC 8288)"),
    ("Location", "/uploads/0c8r5v3m9ag7wqk2ht4xz1y6ne", "Where it is, or where to go on"),
    ("Preference-Applied", "return=minimal", "The preference that was followed (RFC 7240)"),
    ("Referrer-Policy", "same-origin", "Other sites are not told the address of the page"),
    ("Repr-Digest", "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:", "The digest of the file (RFC 9530)"),
    ("Retry-After", "5", "Seconds to wait before the next try; other clients are told other numbers"),
    ("Set-Cookie", "wharf-token=q3Xv; HttpOnly; SameSite=Strict", "Cookies of the pages"),
    ("Vary", "Accept", "The fields of the request that the answer depends on"),
    ("Wharf-Delete-Token", "Wl0Zq3XvS8mNf1Yk7TgJ2A", "The token that changes and deletes the upload; it is told once"),
    ("WWW-Authenticate", "Bearer realm=\"wharf\"", "How to give a secret (RFC 9110 section 11.6.1)"),
    ("X-Content-Type-Options", "nosniff", "The type is the one that is said"),
    ("X-Robots-Tag", "noindex, nofollow", "Search engines are asked to list nothing of it"),
    ("X-Request-Id", "5c1b7d8e9f3a2b40", "The id of the request, which the log has too"),
];

/// The fields as components of the document.
pub fn components() -> Value {
    let mut components = Map::new();
    for (name, example, description) in FIELDS {
        let schema = match *name {
            "Content-Length" => json!({ "type": "integer", "minimum": 0 }),
            "Retry-After" => json!({ "type": "integer", "minimum": 1 }),
            _ => json!({ "type": "string" }),
        };
        let example = match schema["type"].as_str() {
            Some("integer") => json!(example.parse::<u64>().unwrap_or_default()),
            _ => json!(example),
        };
        for (ending, required) in [("", true), (OPTIONAL, false)] {
            let field = json!({
                "description": description, "required": required,
                "schema": schema, "example": example,
            });
            components.insert(format!("{name}{ending}"), field);
        }
    }
    Value::Object(components)
}

/// The fields that each problem of a status has.
pub fn of_status(status: u16) -> &'static [&'static str] {
    match status {
        401 => &["WWW-Authenticate"],
        409 | 429 | 503 => &["Retry-After"],
        416 => &["Content-Range"],
        _ => &[],
    }
}

/// The fields that a problem of a status with one of these codes has at times.
pub fn at_times(status: u16, codes: &[Code]) -> Vec<&'static str> {
    let mut names = Vec::new();
    let waits = codes
        .iter()
        .any(|code| code.members().contains(&"retry_after"));
    if waits && !of_status(status).contains(&"Retry-After") {
        names.push("Retry-After");
    }
    if status == 412 && codes.contains(&Code::PreconditionFailed) {
        names.push("ETag");
    }
    if status == 415 && codes.contains(&Code::UnsupportedMediaType) {
        names.push("Accept-Patch");
    }
    if status == 415 && codes.contains(&Code::UnsupportedCoding) {
        names.push("Accept-Encoding");
    }
    names
}

/// Removes components that nothing in the document refers to.
pub fn keep_used(document: &mut Value) {
    let text = document["paths"].to_string();
    if let Some(components) = document["components"]["headers"].as_object_mut() {
        components.retain(|name, _| text.contains(&format!("components/headers/{name}\"")));
    }
    if let Some(components) = document["components"]["examples"].as_object_mut() {
        components.retain(|name, _| text.contains(&format!("components/examples/{name}\"")));
    }
}
