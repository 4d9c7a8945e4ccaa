//! What operators ask of a running server.

use serde_json::json;

use super::{Described, reference};

/// The operations of operators.
pub(super) fn all() -> Vec<Described> {
    let text = || [("text/plain", json!({ "type": "string" }))];
    let metrics = [
        ("text/plain", json!({ "type": "string" })),
        ("application/openmetrics-text", json!({ "type": "string" })),
    ];
    vec![
        Described::new("get", "/healthz", "alive", "Whether the process lives")
            .answers(200, "It does", &text())
            .problems(&[]),
        Described::new("get", "/readyz", "ready", "Whether it can store")
            .answers(200, "It can", &text())
            .problems(&[]),
        Described::new("get", "/status", "status", "Who this is, and what it holds")
            .answers(
                200,
                "This instance",
                &[("application/json", reference("Status"))],
            )
            .problems(&[401, 403])
            .guarded(),
        Described::new("get", "/metrics", "metrics", "Counters for Prometheus")
            .answers(
                200,
                "Text, or OpenMetrics when `Accept` ranks it higher",
                &metrics,
            )
            .problems(&[401, 403])
            .guarded(),
        Described::new(
            "post",
            "/admin/reindex",
            "reindex",
            "Begin to compare the index with the records",
        )
        .answers(
            202,
            "It has begun; Location says where its outcome will be",
            &[("application/json", reference("Comparison"))],
        )
        .problems(&[401, 403])
        .secured(),
        Described::new(
            "get",
            "/admin/reindex",
            "getReindex",
            "How the last comparison stands that was begun at this instance",
        )
        .answers(200, "It", &[("application/json", reference("Comparison"))])
        .problems(&[401, 403])
        .secured(),
        Described::new("get", "/openapi.json", "openapi", "This document")
            .answers(
                200,
                "OpenAPI 3.1",
                &[("application/json", json!({ "type": "object" }))],
            )
            .problems(&[]),
        Described::new(
            "get",
            "/postman.json",
            "postman",
            "A collection for Postman",
        )
        .answers(
            200,
            "Collection 2.1",
            &[("application/json", json!({ "type": "object" }))],
        )
        .problems(&[]),
    ]
}
