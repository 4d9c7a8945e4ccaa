//! Where uploads and their files are, and answers that lead there.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::model::{FileName, UploadId};

/// Characters that stand for themselves in a path segment (RFC 3986 section 3.3, and no more than
/// that).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What an answer depends on where browsers are led to something to look at.
pub const BROWSER: HeaderValue = HeaderValue::from_static("Accept, Sec-Fetch-Mode");

/// The path of one file's bytes.
pub fn file(base: &str, id: &UploadId, name: &FileName) -> String {
    let name = utf8_percent_encode(name.as_str(), SEGMENT);
    format!("{base}/files/{id}/{name}")
}

/// The path of one file as a form, or of the whole form.
pub fn form(base: &str, id: &UploadId, name: Option<&FileName>) -> String {
    match name {
        None => format!("{base}/download/{id}"),
        Some(name) => {
            let name = utf8_percent_encode(name.as_str(), SEGMENT);
            format!("{base}/download/{id}/{name}")
        }
    }
}

/// The path of a record.
pub fn record(base: &str, id: &UploadId) -> String {
    format!("{base}/uploads/{id}")
}

/// Leads to `place`, which is what is to be looked at: another resource than the one that was asked
/// for (RFC 9110 section 15.4.4).
pub fn see(place: &str) -> Response {
    let mut response = to(StatusCode::SEE_OTHER, place);
    let fields = response.headers_mut();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    fields.insert(header::VARY, BROWSER);
    response
}

/// Leads to the same resource under its one address, whatever the method (RFC 9110 section 15.4.9).
pub fn moved(place: &str, query: Option<&str>) -> Response {
    match query {
        None => to(StatusCode::PERMANENT_REDIRECT, place),
        Some(query) => to(StatusCode::PERMANENT_REDIRECT, &format!("{place}?{query}")),
    }
}

fn to(status: StatusCode, place: &str) -> Response {
    let mut response = status.into_response();
    if let Ok(place) = HeaderValue::from_str(place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}
