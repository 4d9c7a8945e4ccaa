//! `GET /download…` and `GET /files…`: forms and raw files.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, Method};

use crate::delivery::{Lookup, Representation, Selected};
use crate::http::AppState;
use crate::http::rules::extract::PathParams;
use crate::http::rules::problem::{Code, Problem};
use crate::http::rules::query::parse_query;

/// The most names one form is asked for by.
pub(super) const MAX_NAMES: usize = 100;

/// An id's form, or the newest file of a name as a form.
pub async fn named(
    State(app): State<AppState>,
    PathParams(name): PathParams<String>,
    lookup: Lookup,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let selected = app.delivery.named(&name, lookup).await?;
    let form = app.delivery.form(&selected);
    app.respond(&method, &headers, &form, false).await
}

/// One file of an upload as a form.
pub async fn file(
    State(app): State<AppState>,
    PathParams((id, name)): PathParams<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let selected = app.delivery.file(&id, &name).await?;
    let form = app.delivery.form(&selected);
    app.respond(&method, &headers, &form, false).await
}

/// Several names or ids as one form, in the order asked.
pub async fn several(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
    lookup: Lookup,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let pairs = parse_query(query.as_deref().unwrap_or_default())?;
    let names: Vec<&str> = pairs
        .iter()
        .filter(|(key, _)| key == "name")
        .map(|(_, name)| name.as_str())
        .collect();
    if names.is_empty() || names.len() > MAX_NAMES {
        let detail = format!(
            "{} names are asked for; 1 to {MAX_NAMES} can be: /download?name=A&name=B",
            names.len()
        );
        return Err(Problem::invalid_parameter("name", detail).most(MAX_NAMES as u64));
    }
    let form = app.delivery.several(&names, lookup).await?;
    app.respond(&method, &headers, &form, false).await
}

/// One file of an upload as it is.
pub async fn raw(
    State(app): State<AppState>,
    PathParams((id, name)): PathParams<(String, String)>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let selected = app.delivery.file(&id, &name).await?;
    app.respond_raw(&method, &headers, &selected, query.as_deref())
        .await
}

/// The newest file of a name as it is.
pub async fn raw_named(
    State(app): State<AppState>,
    PathParams(name): PathParams<String>,
    RawQuery(query): RawQuery,
    lookup: Lookup,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let selected = app.delivery.newest(&name, lookup).await?;
    app.respond_raw(&method, &headers, &selected, query.as_deref())
        .await
}

impl AppState {
    async fn respond_raw(
        &self,
        method: &Method,
        headers: &HeaderMap,
        selected: &Selected,
        query: Option<&str>,
    ) -> Result<Response, Problem> {
        let raw = Representation::raw(selected);
        let raw = raw.ok_or_else(|| Problem::new(Code::FileNotFound, "there is no such file"))?;
        let pairs = parse_query(query.unwrap_or_default())?;
        let inline = pairs
            .iter()
            .any(|(key, value)| key == "inline" && value == "1");
        self.respond(method, headers, &raw, inline).await
    }
}
