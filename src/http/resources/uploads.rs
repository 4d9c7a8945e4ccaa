//! `/uploads/ID`: uploads as records, their prolonging and deletion.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

use super::{page, record};
use crate::delivery::DeliveryError;
use crate::http::AppState;
use crate::http::rules::accept::{Accept, Shown};
use crate::http::rules::access::{self, Caller, Scope};
use crate::http::rules::extract::PathParams;
use crate::http::rules::origin::Origin;
use crate::http::rules::problem::{Code, Problem};
use crate::http::rules::{cookies, options, prefer};
use crate::ingest::{IngestError, OptionPlace, UnknownOption, UploadOption};
use crate::manage::{ChangePermit, Credentials};
use crate::model::{Manifest, UploadId};

/// The most bytes of the body of a `PATCH`.
const PATCH_LIMIT: usize = 16 * 1024;

/// One upload, as JSON or as its page.
pub async fn show(
    State(app): State<AppState>,
    PathParams(id): PathParams<String>,
    Extension(origin): Extension<Origin>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let manifest = app.delivery.upload(&parse_id(&id)?).await?;
    let mut response = match Accept::of(&headers).upload() {
        Shown::Page => app.page_of(&manifest, &origin, query.as_deref(), &headers),
        shown => {
            let mut response = match shown {
                Shown::Link => record::link(&manifest, &app.base_of(&origin)),
                _ => app.record(&manifest, &origin).await,
            };
            // A deadline can be moved and an upload deleted, so no cache may rely on an old answer.
            let cache = match manifest.max_downloads {
                Some(_) => "no-store",
                None => "private, max-age=0",
            };
            let cache = HeaderValue::from_static(cache);
            response.headers_mut().insert(header::CACHE_CONTROL, cache);
            response
        }
    };
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// Deletes an upload.
pub async fn delete(
    State(app): State<AppState>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let id = parse_id(&id)?;
    let permit = app.permit(&id, &headers, None).await?;
    app.delete(&permit).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The `expires_in` of the body of a `PATCH`.
fn change(body: &[u8]) -> Result<Value, Problem> {
    let mut members: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
        let detail = format!("the body is not {{\"expires_in\": …}}: {error}");
        Problem::new(Code::InvalidJson, detail)
    })?;
    let expires_in = members.remove("expires_in");
    if let Some(unknown) = members.keys().next() {
        let known = [UploadOption::ExpiresIn];
        let unknown = UnknownOption::new(OptionPlace::Member, unknown, &known, &[]);
        return Err(IngestError::from(unknown).into());
    }
    expires_in.ok_or_else(|| {
        let detail = "the body is {}, and says no expires_in";
        Problem::invalid_option("expires_in", detail)
    })
}

/// Sets the deadline of an upload anew, counted from now.
pub async fn prolong(
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
    let body = app.small_body(body, PATCH_LIMIT).await?;
    let text = match &change(&body)? {
        Value::String(text) => text.clone(),
        // 60.0 is a whole number in JSON as well as 60 (JSON Schema, section 4.2.3).
        Value::Number(seconds) => {
            let text = seconds.to_string();
            text.strip_suffix(".0").unwrap_or(&text).to_owned()
        }
        other => {
            let detail = format!("expires_in cannot be {other}");
            return Err(Problem::invalid_option("expires_in", detail));
        }
    };
    let manifest = app
        .set_lifetime(&permit, &text, OptionPlace::Member)
        .await?;
    let mut response = if prefer::minimal(&headers) {
        let mut response = StatusCode::NO_CONTENT.into_response();
        prefer::apply_minimal(response.headers_mut());
        response
    } else {
        app.record(&manifest, &origin).await
    };
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl AppState {
    /// The page of an upload.
    fn page_of(
        &self,
        manifest: &Manifest,
        origin: &Origin,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Response {
        let token = cookies::delete_token(headers);
        let reader = page::PageReader::of(&self.options.base_path, query, headers);
        let link = record::upload_url(&manifest.id, &self.base_of(origin));
        let (form_token, cookie) = page::form_field(self, origin, headers);
        let page = reader.upload(&page::View {
            manifest,
            link: &link,
            owner: token.is_some_and(|token| manifest.delete_token.matches(&token)),
            changed: query == Some(page::CHANGED),
            options: self.ingest.options(),
            form_token: &form_token,
        });
        let mut response = page::answer(page, &reader, query);
        if let Some(cookie) = cookie {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }

    /// The permission to change an upload: for its delete token or key, given as the secret, in
    /// `Wharf-Token` or in `cookie`; or for `admin`.
    pub(super) async fn permit(
        &self,
        id: &UploadId,
        headers: &HeaderMap,
        cookie: Option<String>,
    ) -> Result<ChangePermit, Problem> {
        let caller = self.options.access.caller(headers);
        // A secret of this server is no token. A browser that was asked for one once gives it with
        // everything, the cookie too.
        let secret = match caller {
            Caller::Unknown => access::secret(headers),
            _ => None,
        };
        let tokens = [access::token(headers), cookie, secret];
        let credentials = Credentials {
            tokens: tokens.into_iter().flatten().collect(),
            admin: caller.may(Scope::Admin),
        };
        if credentials.tokens.is_empty() && !credentials.admin {
            return Err(access::token_refusal(&caller, headers));
        }
        Ok(self.manage.authorize(id, &credentials).await?)
    }

    /// Deletes an upload.
    pub(super) async fn delete(&self, permit: &ChangePermit) -> Result<(), Problem> {
        if self.manage.delete(permit).await? {
            self.metrics.deleted();
        }
        Ok(())
    }

    /// Sets the deadline of an upload anew: `text`, which was given in `place`, is how long from now
    /// it is kept.
    pub(super) async fn set_lifetime(
        &self,
        permit: &ChangePermit,
        text: &str,
        place: OptionPlace,
    ) -> Result<Arc<Manifest>, Problem> {
        let lifetime = self.ingest.lifetime(text, place)?;
        Ok(self.manage.prolong(permit, lifetime).await?)
    }
}

pub(super) fn parse_id(id: &str) -> Result<UploadId, Problem> {
    id.parse().map_err(|_| DeliveryError::no_upload(id).into())
}
