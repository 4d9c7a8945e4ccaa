//! `POST /reindex`: the index compared with the manifests, on a running server.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde_json::json;

use crate::http::AppState;
use crate::http::rules::problem::{Code, Problem};
use crate::model::Failure;

/// Compares, and answers with the counts.
pub async fn reindex(State(app): State<AppState>) -> Result<Response, Problem> {
    let compared = app
        .operate
        .compare(&app.abort)
        .await
        .map_err(Failure::from)?;
    let ending = || Problem::new(Code::ShuttingDown, "the server is shutting down");
    let compared = compared.ok_or_else(ending)?;
    tracing::info!(
        uploads = compared.uploads,
        forgotten = compared.forgotten,
        damaged = compared.damaged,
        "an admin compared the index with the store"
    );
    let json = json!({
        "uploads": compared.uploads,
        "forgotten": compared.forgotten,
        "damaged": compared.damaged,
    });
    let mut response = axum::Json(json).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
