//! `/uploads`: uploads as records, their listing, prolonging and deletion.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::accept::Accept;
use super::access::{self, Scope};
use super::extract::Segments;
use super::origin::Origin;
use super::problem::Problem;
use super::upload::serde_urlencoded;
use super::upload_json::UploadJson;
use super::{App, page, upload_json};
use crate::catalog::Cursor;
use crate::model::{Manifest, Reason, Timestamp, TokenHash, UploadId};

/// How many uploads a page of the listing has, and may have.
const PAGE: usize = 100;
pub(super) const MAX_PAGE: usize = 1000;
/// The most bytes of the body of a `PATCH`.
const PATCH_LIMIT: usize = 16 * 1024;

/// One upload, as JSON or as its page.
pub async fn show(
    State(app): State<App>,
    Segments(id): Segments<String>,
    Extension(origin): Extension<Origin>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let manifest = app.delivery.upload(&parse_id(&id)?).await?;
    let mut response = if Accept::of(&headers).prefers_html() {
        let token = page::delete_token(&headers);
        let owner = token.is_some_and(|token| manifest.delete_token.matches(&token));
        let reader = app.reader(query.as_deref(), &headers);
        let link = format!("{}/uploads/{}", app.base_of(&origin), manifest.id);
        let page = reader.upload(&page::View {
            manifest: &manifest,
            link: &link,
            owner,
            changed: query.as_deref() == Some(page::CHANGED),
            options: app.ingest.options(),
        });
        page::answer(page, &reader, query.as_deref())
    } else {
        let json = upload_json::show(&manifest, &app.base_of(&origin));
        let mut response = axum::Json(json).into_response();
        // A deadline can be moved and an upload deleted, so nobody may rely on an old answer.
        let cache = if manifest.max_downloads.is_some() {
            "no-store"
        } else {
            "private, max-age=0"
        };
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        response
    };
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// A page of the listing.
#[derive(Serialize)]
struct Listing<'a> {
    uploads: Vec<UploadJson<'a>>,
    /// Where the next page begins.
    next: Option<String>,
}

/// The uploads, newest first.
pub async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let access = &app.options.access;
    if app.delivery.shared_names() {
        access.require_if_guarded(Scope::Download, &headers)?;
    } else {
        access.require(Scope::Admin, &headers)?;
    }
    let mut limit = PAGE;
    let mut after = None;
    for (key, value) in serde_urlencoded(query.as_deref().unwrap_or_default())? {
        match key.as_str() {
            "limit" => limit = parse_limit(&value)?,
            "after" => after = Some(parse_cursor(&value)?),
            _ => {}
        }
    }
    let page = app.delivery.list(after, limit).await?;
    let base = app.base_of(&origin);
    let uploads = page.uploads.iter();
    let listing = Listing {
        uploads: uploads.map(|it| upload_json::show(it, &base)).collect(),
        next: page
            .next
            .map(|cursor| format!("{}-{}", cursor.created_at.as_millis(), cursor.id)),
    };
    let mut response = axum::Json(listing).into_response();
    no_cache(&mut response);
    Ok(response)
}

/// Deletes an upload; one that is not there is deleted already.
pub async fn delete(
    State(app): State<App>,
    Segments(id): Segments<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let id = parse_id(&id)?;
    app.authorize(&id, &headers, None).await?;
    app.delete(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    expires_in: Value,
}

/// Sets the deadline of an upload anew, counted from now.
pub async fn prolong(
    State(app): State<App>,
    Segments(id): Segments<String>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let id = parse_id(&id)?;
    app.authorize(&id, &headers, None)
        .await?
        .ok_or_else(|| gone(&id))?;
    let body = app
        .small_body(body, PATCH_LIMIT)
        .await?
        .map_err(|error| Problem::bad_request(format!("the body cannot be read: {error}")))?;
    let change: Change = serde_json::from_slice(&body).map_err(|error| {
        Problem::bad_request(format!("the body is not {{\"expires_in\": …}}: {error}"))
    })?;
    let text = match &change.expires_in {
        Value::String(text) => text.clone(),
        // 60.0 is a whole number in JSON as well as 60 (JSON Schema, section 4.2.3).
        Value::Number(seconds) => {
            let text = seconds.to_string();
            text.strip_suffix(".0").unwrap_or(&text).to_owned()
        }
        other => {
            return Err(Problem::bad_request(format!(
                "expires_in cannot be {other}"
            )));
        }
    };
    let manifest = app.set_lifetime(&id, &text).await?;
    let mut response =
        axum::Json(upload_json::show(&manifest, &app.base_of(&origin))).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// 404 for an upload that is not there, or not any more.
pub(super) fn gone(id: &UploadId) -> Problem {
    Problem::not_found(format!("there is no upload {id}"))
}

impl App {
    /// The upload, if it is there and the request may change it: by its delete token, given as
    /// the secret or in `cookie`, or as `admin`. Whether an id exists is told to nobody else.
    pub(super) async fn authorize(
        &self,
        id: &UploadId,
        headers: &HeaderMap,
        cookie: Option<String>,
    ) -> Result<Option<Arc<Manifest>>, Problem> {
        // A browser that was asked for a secret once gives it with everything, the cookie too.
        let tokens = [access::secret(headers), cookie];
        let admin = self.options.access.allows(Scope::Admin, headers);
        if tokens.iter().all(Option::is_none) && !admin {
            return Err(access::refusal(headers));
        }
        let manifest = self.repository.get(id).await?;
        let hash = match &manifest {
            Some(manifest) => Some(manifest.delete_token),
            None => self
                .repository
                .tombstone(id)
                .await?
                .and_then(|gone| gone.delete_token),
        };
        let wrong = |hash: TokenHash| !tokens.iter().flatten().any(|token| hash.matches(token));
        if !admin && hash.is_some_and(wrong) {
            return Err(Problem::forbidden("the token is not this upload's"));
        }
        Ok(manifest)
    }

    /// Sets the deadline of an upload anew: `text` is how long from now it is kept.
    pub(super) async fn set_lifetime(
        &self,
        id: &UploadId,
        text: &str,
    ) -> Result<Arc<Manifest>, Problem> {
        let lifetime = self.ingest.lifetime(text)?;
        let now = self.clock.now();
        let expires_at = lifetime.map(|span| now.after(span));
        let updated = self.repository.update(id, |manifest| {
            let alive = !manifest.is_over(now);
            if alive {
                manifest.expires_at = expires_at;
            }
            alive
        });
        let updated = updated
            .await?
            .filter(|updated| !updated.manifest.is_over(now))
            .ok_or_else(|| gone(id))?;
        // The client may repeat it: until the index knows, others go by the old deadline.
        updated.indexed?;
        Ok(updated.manifest)
    }

    pub(super) async fn delete(&self, id: &UploadId) -> Result<(), Problem> {
        // One that is gone as well: what kept the removal from its end is made up for.
        self.repository
            .remove(id, |_| Some(Reason::Deleted))
            .await?;
        Ok(())
    }
}

pub(super) fn parse_id(id: &str) -> Result<UploadId, Problem> {
    id.parse()
        .map_err(|_| Problem::not_found(format!("there is no upload {id:?}")))
}

fn parse_limit(value: &str) -> Result<usize, Problem> {
    match value.parse() {
        Ok(limit) if (1..=MAX_PAGE).contains(&limit) => Ok(limit),
        _ => Err(Problem::bad_request(format!(
            "limit: {value:?} is not a number from 1 to {MAX_PAGE}"
        ))),
    }
}

fn parse_cursor(value: &str) -> Result<Cursor, Problem> {
    let parsed = || {
        let (millis, id) = value.split_once('-')?;
        Some(Cursor {
            created_at: Timestamp::from_millis(millis.parse().ok()?),
            id: id.parse().ok()?,
        })
    };
    parsed().ok_or_else(|| {
        Problem::bad_request(format!("after: {value:?} is not a \"next\" of a listing"))
    })
}

fn no_cache(response: &mut Response) {
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}
