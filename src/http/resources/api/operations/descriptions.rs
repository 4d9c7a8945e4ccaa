//! The interface described: the documents, and what errors mean.

use serde_json::json;

use super::{Described, Tag, document, html};
use crate::http::rules::problem::Code;

pub fn all() -> Vec<Described> {
    let object = || [("application/json", json!({ "type": "object" }))];
    let explained = |described: Described, says: &str, schema: &str| {
        described
            .answers(200, says, &[document(schema), html()])
            .always(&[
                "Cache-Control",
                "Content-Length",
                "Content-Language",
                "Vary",
            ])
            .at_times(&[
                "Content-Security-Policy",
                "Referrer-Policy",
                "Cross-Origin-Opener-Policy",
                "Set-Cookie",
            ])
            .query(
                "lang",
                json!({ "type": "string" }),
                "The language, such as de; else that of `Accept-Language`",
            )
            .open()
    };
    vec![
        Described::new(
            Tag::Descriptions,
            ("get", "/openapi.json"),
            "getOpenapi",
            "This document",
        )
        .head("headOpenapi")
        .answers(200, "OpenAPI 3.1", &object())
        .always(&["Cache-Control", "Content-Length"])
        .open(),
        Described::new(
            Tag::Descriptions,
            ("get", "/postman.json"),
            "getPostmanCollection",
            "A collection for Postman",
        )
        .head("headPostmanCollection")
        .answers(200, "Collection 2.1", &object())
        .always(&["Cache-Control", "Content-Length"])
        .open(),
        explained(
            Described::new(
                Tag::Descriptions,
                ("get", "/problems"),
                "listProblems",
                "The codes that errors have, and what they mean",
            )
            .head("headProblems"),
            "All of them",
            "Problems",
        ),
        explained(
            Described::new(
                Tag::Descriptions,
                ("get", "/problems/{code}"),
                "getProblem",
                "What the code of an error means: its type leads here",
            )
            .head("headProblem")
            .problems(&[&[Code::NoSuchRoute]]),
            "The code explained",
            "Explanation",
        ),
    ]
}
