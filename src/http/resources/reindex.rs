//! `/admin/reindex`: the index compared with the manifests, on a running server.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::document;
use crate::http::AppState;
use crate::http::rules::problem::{Code, Problem};
use crate::operate::{Comparison, ComparisonState, NotBegun};

/// The path of the comparison.
const PLACE: &str = "/admin/reindex";

/// Begins a comparison, or joins the one under way: 202, and where its outcome will be.
pub async fn begin(State(app): State<AppState>) -> Result<Response, Problem> {
    let begun = app.operate.begin_comparison(&app.abort);
    let begun = begun.map_err(|error| match error {
        NotBegun::Draining => Problem::new(Code::ShuttingDown, error.to_string()),
        NotBegun::Random(_) => Problem::internal(error),
    })?;
    let mut response = described(&begun);
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
    described(&app.operate.comparison())
}

fn described(comparison: &Comparison) -> Response {
    let (state, counts) = match comparison.state {
        ComparisonState::None => ("none", None),
        ComparisonState::Running => ("running", None),
        ComparisonState::Failed => ("failed", None),
        ComparisonState::Done {
            uploads,
            forgotten,
            damaged,
        } => ("done", Some([uploads, forgotten, damaged])),
    };
    let count = |place: usize| counts.map(|counts| counts[place]);
    let document = json!({
        "run": comparison.run,
        "state": state,
        "uploads": count(0),
        "forgotten": count(1),
        "damaged": count(2),
    });
    document::json(document, "no-store")
}
