//! `GET /archive/ID.zip` and `.tar`: the files of an upload in one file.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, Method};

use super::download::names_asked;
use super::places;
use super::respond::Shown;
use crate::archive::Format;
use crate::delivery::{DeliveryError, Selected};
use crate::http::AppState;
use crate::http::rules::extract::PathParams;
use crate::http::rules::problem::{Code, Problem};
use crate::model::UploadId;

/// All files of an upload, or those that the query names.
pub async fn archive(
    State(app): State<AppState>,
    PathParams(name): PathParams<String>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (id, format) = asked(&name)?;
    if let Some(meant) = app.meant(id).await? {
        let place = places::archive(&app.options.base_path, &meant, format);
        return Ok(places::moved(&place, query.as_deref()));
    }
    let id: UploadId = id.parse().map_err(|_| DeliveryError::no_upload(id))?;
    let names = names_asked(query.as_deref())?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let upload = Selected {
        manifest: app.delivery.upload(&id).await?,
        file: None,
        by_name: false,
    };
    let archive = app.delivery.archive(&upload.manifest, format, &names);
    let archive = archive.await?;
    let shown = Shown {
        selected: Some(&upload),
        inline: false,
    };
    app.respond(&method, &headers, &archive, &shown).await
}

/// The upload and the format of `ID.zip` or `ID.tar`.
fn asked(name: &str) -> Result<(&str, Format), Problem> {
    let format = |extension: &str| {
        let mut formats = Format::ALL.into_iter();
        formats.find(|format| format.extension() == extension)
    };
    let Some((id, Some(format))) = name.rsplit_once('.').map(|(id, end)| (id, format(end))) else {
        let detail =
            format!("there is no archive {name:?}; ask for /archive/ID.zip or /archive/ID.tar");
        return Err(Problem::new(Code::NoSuchRoute, detail));
    };
    Ok((id, format))
}
