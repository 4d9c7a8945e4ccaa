//! The resources for operators and their tools: probes, counters, status.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use serde_json::json;

use super::document;
use crate::http::AppState;
use crate::http::metrics::{Exposition, InstanceNow};
use crate::http::rules::problem::Problem;

const PLAIN: &str = "text/plain; charset=utf-8";

/// Says that the process lives.
pub async fn alive() -> Response {
    plain(PLAIN, "ok\n".to_owned())
}

/// Says whether the server can store.
pub async fn ready(State(app): State<AppState>) -> Result<Response, Problem> {
    match app.operate.unready() {
        None => Ok(plain(PLAIN, "ready\n".to_owned())),
        Some(unready) => Err(unready.into()),
    }
}

/// The counters.
pub async fn metrics(State(app): State<AppState>, headers: HeaderMap) -> Result<Response, Problem> {
    let exposition = Exposition::of(&headers);
    // Without an answer of the index the last known numbers stand; the others are current.
    let holdings = app.operate.holdings().await;
    let since = app.operate.leading_since();
    let since = since.map(|since| since.as_millis() as f64 / 1000.0);
    let metrics = Arc::clone(&app.metrics);
    if let Some(tls) = &app.options.tls {
        metrics.certificates(tls.ends().into_iter());
    }
    if let Some(ways) = app.delivery.ways() {
        metrics.files_read(&ways);
    }
    if let Some(figures) = app.operate.journal() {
        metrics.journal.set(figures);
    }
    // With many descriptors it takes milliseconds to count them.
    let now = InstanceNow {
        ready: app.operate.unready().is_none(),
        leading_since: since,
    };
    let text = tokio::task::spawn_blocking(move || metrics.encode(exposition, holdings, now));
    let text = text.await.map_err(Problem::internal)?;
    let text = text.map_err(Problem::internal)?;
    let mut response = plain(exposition.content_type(), text);
    let vary = HeaderValue::from_static("Accept");
    response.headers_mut().insert(header::VARY, vary);
    Ok(response)
}

/// The instance's name, its role, and how much it holds.
pub async fn status(State(app): State<AppState>) -> Response {
    let status = app.operate.status().await;
    let json = json!({
        "instance": app.options.instance,
        "version": env!("CARGO_PKG_VERSION"),
        "role": if status.epoch.is_some() { "leader" } else { "follower" },
        "epoch": status.epoch.unwrap_or(0),
        "uploads": status.uploads,
        "next_expiry": status.next_expiry.map(|time| time.to_string()),
        "warning": status.warning,
    });
    document::json(json, "no-store")
}

fn plain(content_type: &'static str, text: String) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
