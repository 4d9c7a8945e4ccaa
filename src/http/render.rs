//! Problems as their clients want them: a document, or a page.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};

use super::resources::page::{self, PageReader};
use super::rules::accept::Accept;
use super::rules::problem::Problem;

/// The answer to the request `id`, which ended in `problem`.
pub fn problem(problem: Problem, id: &str, accept: &Accept, reader: &PageReader) -> Response {
    let (status, code) = problem.codes();
    let (content_type, body) = if accept.prefers_html() {
        let page = reader.problem_page(status, code, &problem.detail(id), id);
        ("text/html; charset=utf-8", page)
    } else {
        (
            accept.problem_type(),
            format!("{}\n", problem.document(reader.base, id)),
        )
    };
    let mut response = (status, Body::from(body)).into_response();
    let fields = response.headers_mut();
    for (name, value) in problem.fields() {
        fields.append(name, value);
    }
    if accept.prefers_html() {
        page::secure(fields, reader.base);
    }
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.append(header::VARY, HeaderValue::from_static("Accept"));
    response
}
