//! `POST /reindex`: the index compared with the manifests, on a running server.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::document;
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
    Ok(document::json(json, "no-store"))
}
