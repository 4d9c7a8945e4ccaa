//! Where uploads and their files are, and answers that lead there.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use percent_encoding::utf8_percent_encode;

use super::record;
use crate::archive::Format;
use crate::model::{FileName, UploadId};

/// The fields that an answer depends on where browsers are led to something to look at.
pub const BROWSER: HeaderValue = HeaderValue::from_static("Accept, Sec-Fetch-Mode");

/// The path of one file's bytes.
pub fn file(base: &str, id: &UploadId, name: &FileName) -> String {
    record::address(id, name, base)
}

/// The path of one file as a form, or of the whole form.
pub fn form(base: &str, id: &UploadId, name: Option<&FileName>) -> String {
    let form = record::form_url(id, base);
    match name {
        None => form,
        Some(name) => {
            let name = utf8_percent_encode(name.as_str(), record::SEGMENT);
            format!("{form}/{name}")
        }
    }
}

/// The path of an archive of an upload.
pub fn archive(base: &str, id: &UploadId, format: Format) -> String {
    record::archive_url(id, format, base)
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
