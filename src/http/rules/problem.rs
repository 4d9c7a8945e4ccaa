//! Errors as a client sees them (RFC 9457). The only place that knows which error has which code
//! and which status code.

mod causes;
mod code;

use std::hash::{BuildHasher as _, RandomState};

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

pub use code::Code;

use crate::model::Limit;

/// An error on its way to a client. The outermost layer writes it, knowing the request's id and
/// what the client accepts. Its facts are members of the document, put there by the methods named
/// as these are; the detail says the same to people.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    status: StatusCode,
    detail: String,
    members: Vec<(&'static str, Value)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The reason for the operator, which the client is not shown.
    inside: Option<String>,
}

impl Problem {
    /// A problem with the status code of its `code`, and with its `Retry-After`. The `detail` is
    /// read by strangers: it says nothing of addresses, paths and names of the inside.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let problem = Problem {
            code,
            status: code.status(),
            detail: detail.into(),
            members: Vec::new(),
            headers: Vec::new(),
            inside: None,
        };
        match code.retry() {
            Some(seconds) => problem.retry_after(seconds),
            None => problem,
        }
    }

    /// 500; the client is given the request's id alone.
    pub fn internal(inside: impl ToString) -> Self {
        Self::new(Code::Internal, "").inside_is(inside.to_string())
    }

    /// 416, with the length there is.
    pub fn range_not_satisfiable(len: u64) -> Self {
        let problem = Self::new(Code::RangeNotSatisfiable, format!("there are {len} bytes"))
            .member("limit", len);
        match HeaderValue::from_str(&format!("bytes */{len}")) {
            Ok(range) => problem.header(header::CONTENT_RANGE, range),
            Err(_) => problem,
        }
    }

    /// 413: `limit` was passed.
    pub fn limit_exceeded(limit: Limit) -> Self {
        Self::new(Code::LimitExceeded, format!("more than {limit}")).limit(limit)
    }

    /// 400: the parameter of the query or the header field `field` cannot be understood.
    pub fn invalid_parameter(field: &str, detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidParameter, detail).field(field)
    }

    /// 400: the option `option` cannot be understood.
    pub fn invalid_option(option: &str, detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidOption, detail).option(option)
    }

    /// Another status code than the usual one.
    pub fn status(mut self, status: StatusCode) -> Self {
        debug_assert!(self.code.statuses().contains(&status.as_u16()));
        self.status = status;
        self
    }

    /// A field of its answer.
    pub fn header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The reason for the operator, which the log has under the request's id.
    pub fn inside_is(mut self, inside: String) -> Self {
        self.inside = Some(inside);
        self
    }

    fn member(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        debug_assert!(self.code.members().contains(&name), "{name}");
        self.members.retain(|(known, _)| *known != name);
        self.members.push((name, value.into()));
        self
    }

    /// The option at fault.
    pub fn option(self, option: &str) -> Self {
        self.member("option", option)
    }

    /// The values that are allowed instead.
    pub fn allowed(self, allowed: &[&str]) -> Self {
        self.member("allowed", allowed)
    }

    /// The setting that decides it.
    pub fn setting(self, setting: &str) -> Self {
        self.member("setting", setting)
    }

    /// The setting that decides it and its value: bytes, seconds or a count.
    pub fn limit(self, limit: Limit) -> Self {
        self.setting(limit.setting)
            .member("limit", limit.bound.number())
    }

    /// The most there may be, which no setting decides.
    pub fn most(self, most: u64) -> Self {
        self.member("limit", most)
    }

    /// The part of the form, from 1; 0, which is none, is left out.
    pub fn part(self, part: usize) -> Self {
        match part {
            0 => self,
            part => self.member("part", part),
        }
    }

    /// The byte of the body, from 0.
    pub fn byte(self, byte: u64) -> Self {
        self.member("byte", byte)
    }

    /// The field at fault: of the form, of the head, or of the query.
    pub fn field(self, field: &str) -> Self {
        self.member("field", field)
    }

    /// The name that was asked for.
    pub fn name(self, name: &str) -> Self {
        self.member("name", name)
    }

    /// The value that was announced, or is needed.
    pub fn expected(self, expected: impl Into<Value>) -> Self {
        self.member("expected", expected)
    }

    /// The value that came.
    pub fn actual(self, actual: impl Into<Value>) -> Self {
        self.member("actual", actual)
    }

    /// The scope that the request needs.
    pub fn scope(self, scope: &str) -> Self {
        self.member("scope", scope)
    }

    /// Has the client wait for `seconds` or up to twice as long, before it tries again: those that
    /// were refused together do not come back together.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        // Its keys are random, and others with each.
        let random = RandomState::new().hash_one(());
        let seconds = seconds + random % (seconds + 1);
        self.headers
            .retain(|(name, _)| *name != header::RETRY_AFTER);
        self.header(header::RETRY_AFTER, seconds)
            .member("retry_after", seconds)
    }

    /// Adds what the router has found out: which methods there are.
    pub fn allowing(self, methods: &HeaderValue) -> Self {
        if self.code != Code::MethodNotAllowed {
            return self;
        }
        let methods = methods.to_str().unwrap_or_default().split(',');
        let methods: Vec<&str> = methods.map(str::trim).collect();
        self.allowed(&methods)
    }

    /// The reason for the operator, for errors that are not the client's.
    pub fn inside(&self) -> Option<&str> {
        self.inside.as_deref()
    }

    /// Its status code, and its code.
    pub fn codes(&self) -> (StatusCode, Code) {
        (self.status, self.code)
    }

    /// The detail for the client of the request `id`.
    pub fn detail(&self, id: &str) -> String {
        match self.code {
            Code::Internal => format!("request {id}"),
            _ => self.detail.clone(),
        }
    }

    /// The problem as a document (RFC 9457), for the client of the request `id`. Its type is the
    /// page of the code below `base`: a relative reference with the full path, as section 3.1.1
    /// wants those to be. An absolute one would be made of the `Host` that the client sent, and two
    /// clients, or two instances, would have two types for one problem.
    pub fn document(&self, base: &str, id: &str) -> Value {
        let detail = self.detail(id);
        let mut document = Map::new();
        let mut add = |name: &str, value: Value| document.insert(name.to_owned(), value);
        add("type", json!(type_of(base, self.code)));
        add("title", json!(self.code.title()));
        add("status", json!(self.status.as_u16()));
        add("detail", json!(detail));
        add("code", json!(self.code.name()));
        for (name, value) in &self.members {
            add(name, value.clone());
        }
        add("request_id", json!(id));
        add("error", json!(detail));
        Value::Object(document)
    }

    /// Whether a browser asks for a password upon it, with a window of its own.
    pub fn asks_for_password(&self) -> bool {
        let basic = |value: &HeaderValue| value.as_bytes().starts_with(b"Basic ");
        let mut fields = self.headers.iter();
        fields.any(|(name, value)| *name == header::WWW_AUTHENTICATE && basic(value))
    }

    /// The fields that its answer has beside those of every answer.
    pub fn fields(self) -> Vec<(HeaderName, HeaderValue)> {
        self.headers
    }
}

/// The type of a problem with this `code`: the address of its page below `base`.
pub fn type_of(base: &str, code: Code) -> String {
    format!("{base}/problems/{}", code.name())
}

impl IntoResponse for Problem {
    /// An empty response that carries the problem to the layer that writes it.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
