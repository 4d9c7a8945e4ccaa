//! `POST /upload` and `PUT /files/NAME`.

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::request_body::Frames;
use super::{page, upload_json};
use crate::form::Boundary;
use crate::http::App;
use crate::http::admission::{Admitted, Refused};
use crate::http::metrics::UnderWay;
use crate::http::received::Received;
use crate::http::rules::accept::Accept;
use crate::http::rules::cross_site;
use crate::http::rules::extract::Segments;
use crate::http::rules::origin::Origin;
use crate::http::rules::problem::Problem;
use crate::ingest::{Given, RawFile, Receipt, Request};
use crate::model::units::format_size;
use crate::model::{Digest, expected_sha256};

/// Stores a form.
pub async fn form(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Extension(origin): Extension<Origin>,
    Extension(received): Extension<Received>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let receipt = app
        .store_form(query.as_deref(), &headers, received, body)
        .await?;
    Ok(app.created(&origin, &headers, &receipt))
}

/// Stores a raw body as an upload of one file.
pub async fn raw(
    State(app): State<App>,
    Segments(name): Segments<String>,
    RawQuery(query): RawQuery,
    Extension(origin): Extension<Origin>,
    Extension(received): Extension<Received>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if headers.contains_key(header::CONTENT_RANGE) {
        // RFC 9110 section 14.5: storing a part as if it were the whole would be wrong.
        return Err(Problem::bad_request(
            "a PUT of a part (Content-Range) is not understood here",
        ));
    }
    let file = RawFile {
        name: name.into_bytes().into(),
        media_type: headers
            .get(header::CONTENT_TYPE)
            .map(|value| value.as_bytes().to_vec().into()),
        repr_digest: digest(&headers, "repr-digest")?,
    };
    let request = upload_request(query.as_deref(), &headers)?;
    let options = app.ingest.options();
    refuse_long(&headers, "max_request_size", options.max_request_size)?;
    refuse_long(&headers, "max_file_size", options.max_file_size)?;
    let slot = Slot::take(&app, &received).await?;
    let frames = app.frames(body, received, &slot);
    let receipt = app.ingest.raw(file, frames, request).await?;
    app.metrics.stored(receipt.manifest.files().count());
    Ok(app.created(&origin, &headers, &receipt))
}

/// One of the uploads that may run at once.
struct Slot {
    admitted: Admitted,
    _under_way: UnderWay,
}

impl Slot {
    async fn take(app: &App, received: &Received) -> Result<Self, Problem> {
        if let Some(reason) = app.unready() {
            // A full disk says so itself, with a status of its own.
            if app.repository.store().ready().is_ok() {
                return Err(Problem::unavailable(reason));
            }
        }
        let admitted = app
            .admission
            .admit(received.client(), received.clone())
            .await;
        let most = app.options.limits.uploads;
        let admitted = admitted.map_err(|refused| match refused {
            Refused::Full => Problem::unavailable(format!("max_uploads ({most}) are under way")),
            Refused::Half => Problem::unavailable(format!(
                "one address may have half of max_uploads ({most}) while most are under way"
            )),
            Refused::Client(most) => Problem::too_many(format!(
                "max_uploads_per_client ({most}) are under way from this address"
            )),
        })?;
        Ok(Slot {
            admitted,
            _under_way: app.metrics.under_way(),
        })
    }
}

impl App {
    /// Stores the body of a request as a form.
    pub(super) async fn store_form(
        &self,
        query: Option<&str>,
        headers: &HeaderMap,
        received: Received,
        body: Body,
    ) -> Result<Receipt, Problem> {
        let boundary = boundary(headers)?;
        let request = upload_request(query, headers)?;
        let options = self.ingest.options();
        refuse_long(headers, "max_request_size", options.max_request_size)?;
        let slot = Slot::take(self, &received).await?;
        let frames = self.frames(body, received, &slot);
        let receipt = self.ingest.form(boundary, frames, request).await?;
        self.metrics.stored(receipt.manifest.files().count());
        Ok(receipt)
    }

    fn frames(&self, body: Body, received: Received, slot: &Slot) -> Frames {
        Frames::new(
            body,
            received,
            self.options.idle_timeout,
            self.abort.clone(),
            slot.admitted.pace(),
        )
    }

    /// 201 with the upload as JSON, or 303 to its page for a plain form.
    fn created(&self, origin: &Origin, headers: &HeaderMap, receipt: &Receipt) -> Response {
        let manifest = &receipt.manifest;
        let location = format!("{}/uploads/{}", self.options.base_path, manifest.id);
        let mut response = if Accept::of(headers).prefers_html() {
            let own = self.origin_of(origin);
            let scheme = own.split(':').next().unwrap_or_default();
            let cookie = page::token_cookie(&location, &receipt.delete_token, scheme);
            (StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie)]).into_response()
        } else {
            let base = self.base_of(origin);
            let json = upload_json::created(manifest, &base, &receipt.delete_token);
            (StatusCode::CREATED, axum::Json(json)).into_response()
        };
        let fields = response.headers_mut();
        if let Ok(location) = HeaderValue::from_str(&location) {
            fields.insert(header::LOCATION, location);
        }
        fields.insert(header::VARY, HeaderValue::from_static("Accept"));
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// What absolute URLs begin with.
    pub(super) fn base_of(&self, origin: &Origin) -> String {
        self.origin_of(origin) + &self.options.base_path
    }
}

/// The boundary of the body.
fn boundary(headers: &HeaderMap) -> Result<Boundary, Problem> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let value = values.next().map_or(&b""[..], HeaderValue::as_bytes);
    if values.next().is_some() {
        return Err(Problem::bad_request("two Content-Type headers"));
    }
    Ok(Boundary::from_content_type(value)?)
}

/// What the head says of the upload.
fn upload_request(query: Option<&str>, headers: &HeaderMap) -> Result<Request, Problem> {
    let mut given = Given::default();
    let pairs: Vec<(String, String)> = serde_urlencoded(query.unwrap_or_default())?;
    for (name, value) in &pairs {
        given.set(name, value)?;
    }
    let content_digest = digest(headers, "content-digest")?;
    Ok(Request {
        given,
        content_digest,
        proof: cross_site::proof(headers).map(str::to_owned),
        length: announced_length(headers),
    })
}

/// The pairs of a query.
pub fn serde_urlencoded(query: &str) -> Result<Vec<(String, String)>, Problem> {
    if query.is_empty() {
        return Ok(Vec::new());
    }
    let uri = format!("/?{query}").parse::<http::Uri>();
    let uri = uri.map_err(|_| Problem::bad_request("the query cannot be read"))?;
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri);
    let pairs = pairs
        .map_err(|error| Problem::bad_request(format!("the query cannot be read: {error}")))?;
    Ok(pairs.0)
}

fn digest(headers: &HeaderMap, name: &str) -> Result<Option<Digest>, Problem> {
    let mut found = None;
    for value in headers.get_all(name) {
        let read = expected_sha256(value.as_bytes());
        let read = read.map_err(|error| Problem::bad_request(format!("{name}: {error}")))?;
        found = read.or(found);
    }
    Ok(found)
}

/// The length of the body, where the head says it.
fn announced_length(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// Refuses a body whose announced length is over a limit, before it is read.
fn refuse_long(headers: &HeaderMap, setting: &str, max: Option<u64>) -> Result<(), Problem> {
    match (announced_length(headers), max) {
        (Some(length), Some(max)) if length > max => {
            Err(Problem::too_large(setting, &format_size(max)))
        }
        _ => Ok(()),
    }
}
