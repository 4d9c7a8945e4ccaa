//! The pairs of a query, and of a form without files.

use axum::extract::Query;
use http::Uri;

use super::problem::{Code, Problem};

/// The pairs of `query`, decoded, in their order.
///
/// # Errors
/// 400: it cannot stand in a URI, or is not UTF-8.
pub fn parse_query(query: &str) -> Result<Vec<(String, String)>, Problem> {
    if query.is_empty() {
        return Ok(Vec::new());
    }
    let uri = format!("/?{query}").parse::<Uri>();
    let unread = |detail: String| Problem::new(Code::MalformedRequest, detail);
    let uri = uri.map_err(|_| unread("the query cannot be read".to_owned()))?;
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(&uri);
    let pairs = pairs.map_err(|error| unread(format!("the query cannot be read: {error}")))?;
    Ok(pairs.0)
}
