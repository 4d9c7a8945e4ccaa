//! `/admin/reindex`: the index compared with the manifests, on a running server.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::document;
use crate::http::AppState;
use crate::http::rules::problem::{Code, Problem};
use crate::operate::ComparisonState;

/// The path of the comparison.
const PLACE: &str = "/admin/reindex";

/// Begins a comparison, or joins the one under way: 202, and where its outcome will be.
pub async fn begin(State(app): State<AppState>) -> Result<Response, Problem> {
    if !app.operate.begin_comparison(&app.abort) {
        return Err(Problem::new(
            Code::ShuttingDown,
            "the server is shutting down",
        ));
    }
    let mut response = document::json(json!({ "state": "running" }), "no-store");
    *response.status_mut() = StatusCode::ACCEPTED;
    let fields = response.headers_mut();
    let place = format!("{}{PLACE}", app.options.base_path);
    if let Ok(place) = HeaderValue::try_from(place) {
        fields.insert(header::LOCATION, place);
    }
    fields.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    Ok(response)
}

/// The last comparison that was begun at this instance.
pub async fn show(State(app): State<AppState>) -> Response {
    let state = match app.operate.comparison() {
        ComparisonState::None => json!({ "state": "none" }),
        ComparisonState::Running => json!({ "state": "running" }),
        ComparisonState::Failed => json!({ "state": "failed" }),
        ComparisonState::Done {
            uploads,
            forgotten,
            damaged,
        } => json!({
            "state": "done",
            "uploads": uploads,
            "forgotten": forgotten,
            "damaged": damaged,
        }),
    };
    document::json(state, "no-store")
}
