//! Documents in JSON as answers.

use std::fmt::Display;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

/// A document, with a line feed behind it for terminals. `cache` says what caches may do with it.
pub fn json(document: impl Display, cache: &'static str) -> Response {
    let mut response = format!("{document}\n").into_response();
    let fields = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    fields.insert(header::CONTENT_TYPE, json);
    let cache = HeaderValue::from_static(cache);
    fields.insert(header::CACHE_CONTROL, cache);
    response
}
