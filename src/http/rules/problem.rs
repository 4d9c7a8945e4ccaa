//! Errors as a client sees them (RFC 9457). The only place that knows which error has which
//! status code.

mod causes;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// How long a client waits before it tries again, in seconds.
const RETRY_AFTER: u64 = 5;

/// An error on its way to a client. The outermost layer writes it, knowing the request's id and
/// what the client accepts.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The reason for the operator, which the client is not shown.
    inside: Option<String>,
}

impl Problem {
    fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Problem {
            status,
            code,
            title,
            detail: detail.into(),
            headers: Vec::new(),
            inside: None,
        }
    }

    fn with(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// 400, for a request that cannot be understood.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "The request cannot be understood",
            detail,
        )
    }

    /// 401, where there is no secret.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        let challenge = HeaderValue::from_static(
            "Basic realm=\"wharf\", charset=\"UTF-8\", Bearer realm=\"wharf\"",
        );
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "A secret is needed",
            detail,
        )
        .with(header::WWW_AUTHENTICATE, challenge)
    }

    /// 403, where the secret is for other scopes.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "This is not allowed",
            detail,
        )
    }

    /// 403, for a request that another site had a browser send.
    pub fn cross_site(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "cross-site",
            "Requests from other sites are refused",
            detail,
        )
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is nothing here",
            detail,
        )
    }

    /// 405; the router adds `Allow`.
    pub fn method_not_allowed(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "This method is not allowed here",
            detail,
        )
    }

    /// 412.
    pub fn precondition_failed() -> Self {
        let detail = "what is stored is not what the request's preconditions name";
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition-failed",
            "A precondition failed",
            detail,
        )
    }

    /// 413, where the head alone shows it.
    pub fn too_large(setting: &str, value: &str) -> Self {
        let detail = format!("more than {setting} ({value})");
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The upload is too large",
            detail,
        )
    }

    /// 415, for a body with a content coding.
    pub fn unsupported_content_coding(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-coding",
            "The body is coded",
            detail,
        )
        .with(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        )
    }

    /// 501, for a body with a transfer coding beside `chunked`.
    pub fn unsupported_transfer_coding(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "unsupported-coding",
            "The body is coded",
            detail,
        )
    }

    /// 421, for a host that is not served here.
    pub fn wrong_host(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "wrong-host",
            "This host is not served here",
            detail,
        )
    }

    /// 416, with the length there is.
    pub fn range_not_satisfiable(len: u64) -> Self {
        let range = HeaderValue::from_str(&format!("bytes */{len}"));
        let problem = Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "range-not-satisfiable",
            "The range lies outside",
            format!("there are {len} bytes"),
        );
        match range {
            Ok(range) => problem.with(header::CONTENT_RANGE, range),
            Err(_) => problem,
        }
    }

    /// 500; the client is given the request's id alone.
    pub fn internal(inside: impl ToString) -> Self {
        let mut problem = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something failed here",
            "",
        );
        problem.inside = Some(inside.to_string());
        problem
    }

    /// 503, to be tried again.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "Not now",
            detail,
        )
        .with(header::RETRY_AFTER, RETRY_AFTER)
    }

    /// 429, where a client has as much as one may have.
    pub fn too_many(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many",
            "Too many at once",
            detail,
        )
        .with(header::RETRY_AFTER, RETRY_AFTER)
    }

    fn no_space(inside: String) -> Self {
        let detail = "there is no room for the upload";
        let mut problem = Self::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "no-space",
            "The storage is full",
            detail,
        );
        problem.inside = Some(inside);
        problem
    }

    /// The reason for the operator, for errors that are not the client's.
    pub fn inside(&self) -> Option<&str> {
        self.inside.as_deref()
    }

    /// Its status code, and its code in words.
    pub fn codes(&self) -> (StatusCode, &'static str) {
        (self.status, self.code)
    }

    /// The detail for the client of the request `id`.
    pub fn detail(&self, id: &str) -> String {
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            format!("request {id}")
        } else {
            self.detail.clone()
        }
    }

    /// The problem as a document (RFC 9457), for the client of the request `id`.
    pub fn document(&self, id: &str) -> Value {
        let detail = self.detail(id);
        json!({
            "type": format!("urn:wharf:problem:{}", self.code),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": detail,
            "code": self.code,
            "request_id": id,
            "error": detail,
        })
    }

    /// The fields that its answer has beside those of every answer.
    pub fn fields(self) -> Vec<(HeaderName, HeaderValue)> {
        self.headers
    }
}

impl IntoResponse for Problem {
    /// An empty response that carries the problem to the layer that writes it.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
