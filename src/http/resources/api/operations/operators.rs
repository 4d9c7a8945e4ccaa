//! The requests of operators and their tools.

use serde_json::json;

use super::{Described, Tag, document, text};
use crate::http::rules::problem::Code;

pub fn all() -> Vec<Described> {
    let metrics = [
        ("text/plain", json!({ "type": "string" })),
        ("application/openmetrics-text", json!({ "type": "string" })),
    ];
    let unready = [
        Code::ShuttingDown,
        Code::IndexUnavailable,
        Code::StorageUnavailable,
    ];
    vec![
        Described::new(
            Tag::Operators,
            ("get", "/healthz"),
            "getHealth",
            "Whether the process lives",
        )
        .head("headHealth")
        .answers(200, "It does", &[text()])
        .always(&["Cache-Control", "Content-Length"])
        .probe(),
        Described::new(
            Tag::Operators,
            ("get", "/readyz"),
            "getReadiness",
            "Whether it can store",
        )
        .head("headReadiness")
        .answers(200, "It can", &[text()])
        .always(&["Cache-Control", "Content-Length"])
        .problems(&[&unready])
        .probe(),
        Described::new(
            Tag::Operators,
            ("get", "/status"),
            "getStatus",
            "The instance, its role, and how much there is",
        )
        .head("headStatus")
        .answers(200, "The status", &[document("Status")])
        .always(&["Cache-Control", "Content-Length"])
        .guarded(),
        Described::new(
            Tag::Operators,
            ("get", "/metrics"),
            "getMetrics",
            "Counters for Prometheus",
        )
        .head("headMetrics")
        .answers(
            200,
            "Text, or OpenMetrics when `Accept` ranks it higher",
            &metrics,
        )
        .always(&["Cache-Control", "Content-Length", "Vary"])
        .guarded(),
        Described::new(
            Tag::Operators,
            ("post", "/admin/reindex"),
            "reindex",
            "Begin to compare the index with the records",
        )
        .answers(
            202,
            "It has begun, and its outcome will be at this address",
            &[document("Comparison")],
        )
        .always(&["Cache-Control", "Content-Length", "Location", "Retry-After"])
        .problems(&[&[Code::ShuttingDown]])
        .administered(),
        Described::new(
            Tag::Operators,
            ("get", "/admin/reindex"),
            "getReindex",
            "How the last comparison stands that was begun at this instance",
        )
        .head("headReindex")
        .answers(200, "How it stands", &[document("Comparison")])
        .always(&["Cache-Control", "Content-Length"])
        .administered(),
    ]
}
