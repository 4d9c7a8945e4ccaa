//! What errors mean.

use serde_json::json;

use super::{Described, reference};

pub fn all() -> Vec<Described> {
    let explained = |schema: &str| {
        [
            ("application/json", reference(schema)),
            ("text/html", json!({ "type": "string" })),
        ]
    };
    vec![
        Described::new(
            "get",
            "/problems",
            "listProblems",
            "The codes that errors have, and what they mean",
        )
        .answers(200, "All of them", &explained("Problems"))
        .problems(&[]),
        Described::new(
            "get",
            "/problems/{code}",
            "getProblem",
            "What the code of an error means: its type leads here",
        )
        .answers(200, "It", &explained("Explanation"))
        .problems(&[404]),
    ]
}
