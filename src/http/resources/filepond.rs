//! `/compat/filepond`: the protocol of the upload widget FilePond. It takes the whole body of the
//! answer to an upload for the upload's identity, and sends it back to undo the upload. The
//! requests of FilePond's `fetch`, `load` and `restore`, by `GET`, are not answered: the first
//! would have this server fetch any address a client names.

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};

use super::uploads::parse_id;
use crate::http::AppState;
use crate::http::body_meter::BodyMeter;
use crate::http::rules::problem::{Code, Problem};
use crate::manage::{self, MeantVersions};

/// The most bytes of an identity.
const LIMIT: usize = 256;

/// Stores a form as `POST /upload` does, and answers with id and delete token as plain text.
pub async fn process(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
    Extension(received): Extension<BodyMeter>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let receipt = app
        .store_form(query.as_deref(), &headers, received, body)
        .await?;
    let identity = manage::key(&receipt.manifest.id, &receipt.delete_token);
    let mut response = (StatusCode::CREATED, identity).into_response();
    app.describe_created(&mut response, &receipt);
    Ok(response)
}

/// Deletes the upload that the body identifies.
pub async fn revert(State(app): State<AppState>, body: Body) -> Result<StatusCode, Problem> {
    let wrong = || {
        let detail = "the body is not what an upload to here was answered with";
        Problem::new(Code::MalformedRequest, detail)
    };
    let body = app.small_body(body, LIMIT).await?;
    let text = str::from_utf8(&body).map_err(|_| wrong())?;
    let (id, _) = text.split_once('.').ok_or_else(wrong)?;
    let id = parse_id(id)?;
    let permit = app
        .permit(&id, &HeaderMap::new(), Some(text.to_owned()))
        .await?;
    app.delete(&permit, MeantVersions::default()).await?;
    Ok(StatusCode::NO_CONTENT)
}
