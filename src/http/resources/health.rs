//! What operators and their tools ask.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use serde_json::json;

use crate::http::App;
use crate::http::metrics::Exposition;
use crate::http::rules::problem::Problem;

/// How long an answer waits for the index.
const PATIENCE: Duration = Duration::from_millis(500);

const PLAIN: &str = "text/plain; charset=utf-8";

/// The process lives.
pub async fn alive() -> Response {
    plain(PLAIN, "ok\n".to_owned())
}

/// It can store.
pub async fn ready(State(app): State<App>) -> Result<Response, Problem> {
    match app.unready() {
        None => Ok(plain(PLAIN, "ready\n".to_owned())),
        Some(reason) => Err(Problem::unavailable(reason)),
    }
}

/// The counters.
pub async fn metrics(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    let exposition = Exposition::of(&headers);
    // Without an answer of the index the last known numbers stand; the rest is as fresh as ever.
    let stats = tokio::time::timeout(PATIENCE, app.repository.catalog().stats()).await;
    let stats = stats.ok().and_then(Result::ok);
    let epoch = app.claims.borrow().as_ref().map(|claim| claim.epoch);
    let text = app
        .metrics
        .encode(exposition, stats, epoch)
        .map_err(Problem::internal)?;
    let mut response = plain(exposition.content_type(), text);
    let vary = HeaderValue::from_static("Accept");
    response.headers_mut().insert(header::VARY, vary);
    Ok(response)
}

/// Who this is and what it holds.
pub async fn status(State(app): State<App>) -> Result<Response, Problem> {
    // An index that does not answer is no reason to say nothing, nor to say it late.
    let catalog = app.repository.catalog();
    let asked = async { tokio::join!(catalog.stats(), catalog.next_due()) };
    let (stats, next) = match tokio::time::timeout(PATIENCE, asked).await {
        Ok((stats, next)) => (stats.ok(), next.ok().flatten()),
        Err(_) => (None, None),
    };
    let claim = app.claims.borrow().clone();
    let store = app.repository.store().local();
    let warning = store.and_then(|store| store.warning());
    let status = json!({
        "instance": app.options.instance,
        "version": env!("CARGO_PKG_VERSION"),
        "role": if claim.is_some() { "leader" } else { "follower" },
        "epoch": claim.map_or(0, |claim| claim.epoch),
        "uploads": stats.map(|stats| stats.uploads),
        "next_expiry": next.map(|time| time.to_string()),
        "warning": warning,
    });
    let mut response = axum::Json(status).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn plain(content_type: &'static str, text: String) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
