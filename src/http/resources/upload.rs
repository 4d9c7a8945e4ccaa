//! `POST /upload`, `PUT /files/NAME` and `POST /files?name=NAME`.

use std::convert::Infallible;

use axum::Extension;
use axum::body::Body;
use axum::extract::{FromRequestParts, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::record;
use super::timed_body::TimedBody;
use crate::delivery::{DeliveryError, Lookup, Representation};
use crate::form::Boundary;
use crate::http::AppState;
use crate::http::admission::Admitted;
use crate::http::body_meter::BodyMeter;
use crate::http::metrics::CountedNow;
use crate::http::rules::accept::{Accept, Shown};
use crate::http::rules::access::{Action, Caller};
use crate::http::rules::extract::PathParams;
use crate::http::rules::origin::Origin;
use crate::http::rules::problem::{Code, Problem};
use crate::http::rules::{conditional, cookies, cross_site, options, prefer};
use crate::ingest::{GivenOptions, RawUpload, Receipt, UploadRequest};
use crate::model::media_type::essence;
use crate::model::{Digest, Limit, UploadId, expected_sha256};

/// Where a client finds the delete token that does not read the body.
const DELETE_TOKEN: HeaderName = HeaderName::from_static("wharf-delete-token");
/// The most bytes of the folders of a file.
const LONGEST_PATH: usize = 1024;

/// Stores a form.
pub async fn form(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
    Extension(origin): Extension<Origin>,
    Extension(received): Extension<BodyMeter>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let receipt = app
        .store_form(query.as_deref(), &headers, received, body)
        .await?;
    Ok(app.created(&origin, &headers, &receipt).await)
}

/// Stores a raw body as an upload of one file.
pub async fn raw(
    State(app): State<AppState>,
    PathParams(name): PathParams<String>,
    RawQuery(query): RawQuery,
    sender: Sender,
    Extension(received): Extension<BodyMeter>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (given, [path]) = options::of_upload_with(query.as_deref(), &headers, ["path"])?;
    app.check_name(&name, &sender, &headers).await?;
    let original = in_folders(path.as_deref(), &name)?;
    let receipt = app
        .store_file(original, given, &headers, received, body)
        .await?;
    Ok(located(
        app.created(&sender.origin, &headers, &receipt).await,
    ))
}

/// The same for a client that has to `POST`: the name is in the query.
pub async fn raw_by_query(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
    Extension(origin): Extension<Origin>,
    Extension(received): Extension<BodyMeter>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (given, [name, path]) =
        options::of_upload_with(query.as_deref(), &headers, ["name", "path"])?;
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        let detail = "the query does not name the file: POST /files?name=NAME";
        return Err(Problem::invalid_parameter("name", detail));
    };
    if is_form(&headers) {
        let detail =
            "the body is a form, and POST /files stores it as one file: forms go to POST /upload";
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    let original = in_folders(path.as_deref(), &name)?;
    let receipt = app
        .store_file(original, given, &headers, received, body)
        .await?;
    Ok(located(app.created(&origin, &headers, &receipt).await))
}

/// The name of a file in the folders `path`, as a browser gives that of a file in a folder.
fn in_folders(path: Option<&str>, name: &str) -> Result<String, Problem> {
    let path = path.unwrap_or_default().trim_matches('/');
    if path.is_empty() {
        return Ok(name.to_owned());
    }
    let odd = |folder: &str| matches!(folder, "" | "." | "..");
    if path.len() > LONGEST_PATH || path.split('/').any(odd) || path.contains(['\\', '\0']) {
        let detail = format!(
            "path is no folders of at most {LONGEST_PATH} bytes, such as a/b, without . and .."
        );
        return Err(Problem::invalid_parameter("path", detail));
    }
    Ok(format!("{path}/{name}"))
}

/// Says that the record in an answer is the one that its `Location` names (RFC 9110 section 8.7).
fn located(mut response: Response) -> Response {
    if response.status() == StatusCode::CREATED
        && let Some(location) = response.headers().get(header::LOCATION).cloned()
    {
        let fields = response.headers_mut();
        fields.insert(header::CONTENT_LOCATION, location);
    }
    response
}

/// Whether the body says that it is a form with files.
fn is_form(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE);
    let media_type = media_type.and_then(|value| value.to_str().ok());
    media_type.is_some_and(|it| essence(it).eq_ignore_ascii_case("multipart/form-data"))
}

/// The sender of a `PUT`, who may be allowed to read, or not.
pub struct Sender {
    origin: Origin,
    caller: Caller,
}

impl FromRequestParts<AppState> for Sender {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Infallible> {
        let origin = parts.extensions.get::<Origin>();
        let caller = parts.extensions.get::<Caller>().cloned();
        Ok(Sender {
            origin: origin.expect("every request has its origin").clone(),
            caller: caller.unwrap_or_default(),
        })
    }
}

impl AppState {
    /// Refuses a `PUT` whose preconditions do not hold for what its address gives now: the newest
    /// file of that name, or nothing, as always where names lead nowhere. It is looked up before
    /// the body is read; a file that is stored meanwhile is not seen.
    async fn check_name(
        &self,
        name: &str,
        sender: &Sender,
        headers: &HeaderMap,
    ) -> Result<(), Problem> {
        if !conditional::names_tags(headers) {
            return Ok(());
        }
        let Sender { origin, caller } = sender;
        // The answer tells which names there are.
        self.require(Action::Download, origin, caller, headers)?;
        let lookup = match self.options.policy.resolves_names(origin.local) {
            true => Lookup::Names,
            false => Lookup::Ids,
        };
        let newest = match self.delivery.newest(name, lookup).await {
            Ok(newest) => Representation::raw(&newest),
            Err(DeliveryError::NotFound(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let etag = newest.as_ref().map(|newest| newest.etag.as_str());
        if conditional::may_replace(headers, etag) {
            return Ok(());
        }
        let detail = match etag {
            Some(_) => {
                "the name leads to a file already, and the request is to store only where it does not, or leads to another"
            }
            None => {
                "the name leads to no file, and the request is to store only where it leads to one"
            }
        };
        Err(Problem::new(Code::PreconditionFailed, detail))
    }
}

/// One of the uploads that may run at once.
struct UploadSlot {
    admitted: Admitted,
    _in_progress: CountedNow,
}

impl UploadSlot {
    async fn take(app: &AppState, received: &BodyMeter) -> Result<Self, Problem> {
        if let Some(unready) = app.operate.refuses_uploads() {
            return Err(unready.into());
        }
        let admitted = app
            .admission
            .admit(received.client(), received.clone())
            .await;
        let most = app.options.limits.uploads;
        let admitted = admitted.map_err(|refused| Problem::not_admitted(refused, most))?;
        Ok(UploadSlot {
            admitted,
            _in_progress: app.metrics.in_progress(),
        })
    }
}

impl AppState {
    /// Stores the body of a request as a form.
    pub(super) async fn store_form(
        &self,
        query: Option<&str>,
        headers: &HeaderMap,
        received: BodyMeter,
        body: Body,
    ) -> Result<Receipt, Problem> {
        let boundary = boundary(headers)?;
        let request = upload_request(options::of_upload(query, headers)?, headers)?;
        let options = self.ingest.options();
        refuse_long(headers, "max_request_size", options.max_request_size)?;
        let slot = UploadSlot::take(self, &received).await?;
        let timed = self.timed(body, received.clone(), &slot);
        let receipt = self.ingest.form(boundary, timed, request).await?;
        self.count_stored(&receipt, &received);
        Ok(receipt)
    }

    /// Counts an upload, and has the log name it.
    fn count_stored(&self, receipt: &Receipt, request: &BodyMeter) {
        let manifest = &receipt.manifest;
        self.metrics.stored(manifest.files().count());
        request.concerns(manifest.id);
    }

    /// Stores the body of a request as an upload of one file.
    async fn store_file(
        &self,
        name: String,
        given: GivenOptions,
        headers: &HeaderMap,
        received: BodyMeter,
        body: Body,
    ) -> Result<Receipt, Problem> {
        if headers.contains_key(header::CONTENT_RANGE) {
            // RFC 9110 section 14.5: storing a part as if it were the whole would be wrong.
            let detail = "a part of a file (Content-Range) is not understood here";
            return Err(Problem::new(Code::MalformedRequest, detail).field("content-range"));
        }
        let file = RawUpload {
            name: name.into_bytes().into(),
            media_type: headers
                .get(header::CONTENT_TYPE)
                .map(|value| value.as_bytes().to_vec().into()),
            repr_digest: digest(headers, "repr-digest")?,
        };
        let request = upload_request(given, headers)?;
        let options = self.ingest.options();
        refuse_long(headers, "max_request_size", options.max_request_size)?;
        refuse_long(headers, "max_file_size", options.max_file_size)?;
        let slot = UploadSlot::take(self, &received).await?;
        let timed = self.timed(body, received.clone(), &slot);
        let receipt = self.ingest.raw(file, timed, request).await?;
        self.count_stored(&receipt, &received);
        Ok(receipt)
    }

    fn timed(&self, body: Body, received: BodyMeter, slot: &UploadSlot) -> TimedBody {
        TimedBody::new(
            body,
            received,
            self.options.idle_timeout,
            self.abort.clone(),
            slot.admitted.pace(),
        )
    }

    /// 201 with the upload as the client wants it, or 303 to its page for a plain form.
    async fn created(&self, origin: &Origin, headers: &HeaderMap, receipt: &Receipt) -> Response {
        let Receipt {
            manifest,
            delete_token,
        } = receipt;
        let shown = Accept::of(headers).upload();
        let mut response = if shown == Shown::Page {
            StatusCode::SEE_OTHER.into_response()
        } else {
            let mut response = if prefer::minimal(headers) {
                let mut response = Response::default();
                prefer::apply_minimal(response.headers_mut());
                response
            } else if shown == Shown::Link {
                record::link(manifest, &self.base_of(origin))
            } else {
                self.created_record(manifest, origin, delete_token).await
            };
            *response.status_mut() = StatusCode::CREATED;
            response
        };
        // A browser that has been on the page: it need not be asked for the token there.
        if shown == Shown::Page || cookies::form_token(headers).is_some() {
            let cookie = self.token_cookie(&manifest.id, delete_token);
            let cookie = cookie.map(|cookie| (header::SET_COOKIE, cookie));
            response.headers_mut().extend(cookie);
        }
        self.describe_created(&mut response, receipt);
        let created = response.status() == StatusCode::CREATED;
        let fields = response.headers_mut();
        fields.insert(header::VARY, HeaderValue::from_static("Accept"));
        if created {
            fields.extend(super::uploads::tag(manifest));
        }
        response
    }

    /// The cookie with which the page of an upload knows its sender.
    pub(super) fn token_cookie(&self, id: &UploadId, token: &str) -> Option<HeaderValue> {
        let path = record::upload_url(id, &self.options.base_path);
        HeaderValue::try_from(cookies::token_cookie(&path, token)).ok()
    }

    /// Says in the head what a client needs that does not read the body: where the upload is, and in
    /// a 201 where its file or form is, and the secret that deletes it.
    pub(super) fn describe_created(&self, response: &mut Response, receipt: &Receipt) {
        let (manifest, base) = (&receipt.manifest, self.options.base_path.as_str());
        let created = response.status() == StatusCode::CREATED;
        let fields = response.headers_mut();
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let location = record::upload_url(&manifest.id, base);
        set(fields, header::LOCATION, &location);
        if created {
            let content = match record::only_file(manifest) {
                Some(file) => record::file_url(manifest, file, base),
                None => record::form_url(&manifest.id, base),
            };
            let link = format!("<{content}>; rel=\"alternate\"");
            set(fields, header::LINK, &link);
            set(fields, DELETE_TOKEN, &receipt.delete_token);
        }
    }
}

/// Sets a field. Paths and tokens are of characters that every field can have.
fn set(fields: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        fields.insert(name, value);
    }
}

/// The boundary of the body.
fn boundary(headers: &HeaderMap) -> Result<Boundary, Problem> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let value = values.next().map_or(&b""[..], HeaderValue::as_bytes);
    if values.next().is_some() {
        let detail = "two Content-Type headers";
        return Err(Problem::new(Code::MalformedRequest, detail).field("content-type"));
    }
    Ok(Boundary::from_content_type(value)?)
}

/// The options of the upload that stand in its head.
fn upload_request(given: GivenOptions, headers: &HeaderMap) -> Result<UploadRequest, Problem> {
    let content_digest = digest(headers, "content-digest")?;
    Ok(UploadRequest {
        given,
        content_digest,
        proof: cross_site::proof(headers).map(str::to_owned),
        length: announced_length(headers),
    })
}

fn digest(headers: &HeaderMap, name: &str) -> Result<Option<Digest>, Problem> {
    let mut found = None;
    for value in headers.get_all(name) {
        let read = expected_sha256(value.as_bytes());
        let read = read.map_err(|error| {
            Problem::new(Code::InvalidDigest, format!("{name}: {error}")).field(name)
        })?;
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
fn refuse_long(
    headers: &HeaderMap,
    setting: &'static str,
    max: Option<u64>,
) -> Result<(), Problem> {
    match (announced_length(headers), max) {
        (Some(length), Some(max)) if length > max => {
            Err(Problem::limit_exceeded(Limit::bytes(setting, max)))
        }
        _ => Ok(()),
    }
}
