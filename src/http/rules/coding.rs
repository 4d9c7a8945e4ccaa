//! Codings of request bodies. The server decodes none, and refuses coded bodies: their bytes are
//! not those of the files.

use axum::extract::Request;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::problem::{Code, Problem};

/// Refuses a request whose body is coded.
///
/// # Errors
/// 415 for a content coding (RFC 9110 section 8.4), 501 for a transfer coding other than `chunked`
/// (RFC 9112 section 6.1), 400 where that is applied more than once, which the section forbids: a
/// program that decodes it as often as it is named finds another end of the request.
pub fn refuse(request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    if let Some(coding) = other_than("chunked", headers, header::TRANSFER_ENCODING) {
        let detail =
            format!("the body has the transfer coding {coding:?}; chunked is the only one");
        return Err(Problem::new(Code::UnsupportedCoding, detail)
            .status(StatusCode::NOT_IMPLEMENTED)
            .field("transfer-encoding")
            .actual(coding)
            .allowed(&["chunked"]));
    }
    if codings(headers, header::TRANSFER_ENCODING).count() > 1 {
        let detail = "the body has the transfer coding chunked more than once";
        return Err(Problem::new(Code::MalformedRequest, detail)
            .field("transfer-encoding")
            .header(header::CONNECTION, HeaderValue::from_static("close")));
    }
    if let Some(coding) = other_than("identity", headers, header::CONTENT_ENCODING) {
        let detail = format!("the body has the content coding {coding:?}; it has to come uncoded");
        let identity = HeaderValue::from_static("identity");
        return Err(Problem::new(Code::UnsupportedCoding, detail)
            .header(header::ACCEPT_ENCODING, identity)
            .field("content-encoding")
            .actual(coding)
            .allowed(&["identity"]));
    }
    Ok(())
}

/// The first coding of a list that is not `known`.
fn other_than<'a>(known: &str, headers: &'a HeaderMap, name: HeaderName) -> Option<&'a str> {
    codings(headers, name).find(|coding| !coding.eq_ignore_ascii_case(known))
}

/// The codings that a field lists.
fn codings(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter();
    let codings = values.flat_map(|value| value.to_str().unwrap_or("?").split(','));
    codings.map(str::trim).filter(|coding| !coding.is_empty())
}
