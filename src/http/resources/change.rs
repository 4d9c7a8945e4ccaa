//! `PATCH /uploads/ID`: a new deadline, limit of downloads or title (RFC 7396).

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use super::uploads::{parse_id, tag};
use crate::http::AppState;
use crate::http::rules::extract::PathParams;
use crate::http::rules::origin::Origin;
use crate::http::rules::problem::{Code, Problem};
use crate::http::rules::{conditional, json, options, prefer};
use crate::ingest::{GivenOptions, IngestError, OptionPlace, UnknownOption, UploadOption};
use crate::manage::UploadChange;
use crate::model::media_type::essence;

/// The most bytes of the body of a `PATCH`.
const PATCH_LIMIT: usize = 16 * 1024;
/// The media types of the body, as `Accept-Patch` lists them (RFC 5789 section 3.1).
pub const ACCEPTED: [&str; 2] = ["application/merge-patch+json", "application/json"];
const PLACE: OptionPlace = OptionPlace::Member;

/// Changes an upload, if it is in a version that the request is meant for.
pub async fn change(
    State(app): State<AppState>,
    PathParams(id): PathParams<String>,
    Extension(origin): Extension<Origin>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    options::refuse(query.as_deref(), &headers)?;
    let id = parse_id(&id)?;
    let permit = app.permit(&id, &headers, None).await?;
    require_json(&headers)?;
    let body = app.small_body(body, PATCH_LIMIT).await?;
    let change = app.change_of(&body)?;
    let meant = conditional::meant_versions(&headers);
    let manifest = app.manage.change(&permit, change, meant).await?;
    let mut response = if prefer::minimal(&headers) {
        let mut response = StatusCode::NO_CONTENT.into_response();
        prefer::apply_minimal(response.headers_mut());
        response
    } else {
        app.record(&manifest, &origin).await
    };
    let fields = response.headers_mut();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.extend(tag(&manifest));
    Ok(response)
}

/// Refuses a body that says it is something else than JSON; one that says nothing is read as JSON.
fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let mut given = headers.get_all(header::CONTENT_TYPE).iter();
    let known = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default();
        let media_type = essence(text).to_ascii_lowercase();
        ACCEPTED.contains(&media_type.as_str())
    };
    match given.all(known) {
        true => Ok(()),
        false => {
            let accepted = ACCEPTED.join(", ");
            let detail = format!("a change is sent as {}", ACCEPTED.join(" or "));
            let problem = Problem::new(Code::UnsupportedMediaType, detail).allowed(&ACCEPTED);
            let accepted = HeaderValue::try_from(accepted).ok();
            Err(match accepted {
                Some(accepted) => problem.header(HeaderName::from_static("accept-patch"), accepted),
                None => problem,
            })
        }
    }
}

/// The values of a change as they came, and the options that it takes away.
fn members(body: &[u8]) -> Result<(GivenOptions, Vec<UploadOption>), Problem> {
    let (mut given, mut cleared) = (GivenOptions::default(), Vec::new());
    for (name, value) in &json::members(body, "{\"expires_in\": …}")? {
        let option = PLACE.find(name).ok_or_else(|| {
            let unknown = UnknownOption::new(PLACE, name, &UploadOption::ALL, &[]);
            Problem::from(IngestError::from(unknown))
        })?;
        let invalid = |detail: &str| Problem::invalid_option(name, format!("{name} {detail}"));
        let text = match (option, value) {
            (_, Value::Null) => None,
            (UploadOption::Title, Value::String(text)) => {
                Some(text.clone()).filter(|it| !it.is_empty())
            }
            (UploadOption::ExpiresIn | UploadOption::ExpiresAt, Value::String(text)) => {
                Some(text.clone())
            }
            (UploadOption::ExpiresIn | UploadOption::MaxDownloads, Value::Number(number)) => {
                // 60.0 is a whole number in JSON as well as 60 (JSON Schema, section 4.2.3).
                let text = number.to_string();
                Some(text.strip_suffix(".0").unwrap_or(&text).to_owned())
            }
            (_, other) => return Err(invalid(&format!("cannot be {other}"))),
        };
        match text {
            None => cleared.push(option),
            Some(text) if text.is_empty() => return Err(invalid("is empty; null takes it away")),
            Some(text) => given
                .set(PLACE, option, text.as_bytes())
                .map_err(IngestError::from)?,
        }
    }
    Ok((given, cleared))
}

impl AppState {
    fn change_of(&self, body: &[u8]) -> Result<UploadChange, Problem> {
        let (given, cleared) = members(body)?;
        let parsed = self.ingest.change(&given, &cleared)?;
        let now = self.clock.now();
        let expires_at = parsed.lifetime.map(|lifetime| lifetime.end(now));
        let gone = |option| cleared.contains(&option);
        let titled = given.get(UploadOption::Title).is_some() || gone(UploadOption::Title);
        let limit = parsed.max_downloads;
        let limited = limit.is_some() || gone(UploadOption::MaxDownloads);
        Ok(UploadChange {
            expires_at,
            max_downloads: limited.then_some(limit),
            title: titled.then_some(parsed.title),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_takes_away_and_values_have_their_types() {
        let (given, cleared) =
            members(br#"{"expires_in": 60.0, "max_downloads": 3, "title": ""}"#).unwrap();
        assert_eq!(given.get(UploadOption::ExpiresIn), Some("60"));
        assert_eq!(given.get(UploadOption::MaxDownloads), Some("3"));
        assert_eq!(cleared, [UploadOption::Title]);
        let (_, cleared) = members(br#"{"expires_at": null, "max_downloads": null}"#).unwrap();
        assert_eq!(cleared.len(), 2);
        for (body, code) in [
            (&br#"{"max_downloads": "3"}"#[..], "invalid-option"),
            (br#"{"expires_at": 5}"#, "invalid-option"),
            (br#"{"expires_in": ""}"#, "invalid-option"),
            (br#"{"title": []}"#, "invalid-option"),
            (br#"{"password": null}"#, "unknown-option"),
            (br#"{"expires": 5}"#, "unknown-option"),
            (br#"{"title": "a", "title": "b"}"#, "invalid-json"),
            (b"[]", "invalid-json"),
            (b"", "invalid-json"),
        ] {
            let refused = members(body).unwrap_err();
            assert_eq!(refused.codes().1.name(), code, "{body:?}");
        }
    }
}
