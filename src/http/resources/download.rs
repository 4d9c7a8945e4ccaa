//! `GET /download…` and `GET /files…`: forms and raw files.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, Method};
use percent_encoding::utf8_percent_encode;

use super::respond::Shown;
use super::{places, record};
use crate::delivery::{DeliveryError, Lookup, Missing, Representation, Selected};
use crate::http::AppState;
use crate::http::body_meter::BodyMeter;
use crate::http::rules::accept::opens_page;
use crate::http::rules::extract::PathParams;
use crate::http::rules::problem::{Code, Problem};
use crate::http::rules::query::Parameters;
use crate::model::{Manifest, UploadId};

/// The most names one form is asked for by.
pub(super) const MAX_NAMES: usize = 100;
/// The parameter of these names.
const NAME: &str = "name";
/// The parameter with which a browser gets the form itself, and no page in its place.
const AS_FORM: &str = "form";

/// An id's form, or the newest file of a name as a form. A browser that opens the address is shown
/// the file or the upload.
pub async fn named(
    State(app): State<AppState>,
    PathParams(name): PathParams<String>,
    RawQuery(query): RawQuery,
    Extension(request): Extension<BodyMeter>,
    lookup: Lookup,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(meant) = app.meant(&name).await? {
        let place = places::form(&app.options.base_path, &meant, None);
        return Ok(places::moved(&place, query.as_deref()));
    }
    let opens = opens_page(&headers) && !asks_for_form(query.as_deref())?;
    if opens
        && let Ok(id) = name.parse()
        && let Some(place) = app.place_of(&id).await?
    {
        return Ok(places::see(&place));
    }
    let selected = app.delivery.named(&name, lookup).await?;
    if opens && let Some(file) = &selected.file {
        return Ok(app.see_file(&selected, file));
    }
    app.respond_form(&method, &headers, &request, &selected)
        .await
}

/// One file of an upload as a form. A browser that opens the address gets the file.
pub async fn file(
    State(app): State<AppState>,
    PathParams((id, name)): PathParams<(String, String)>,
    RawQuery(query): RawQuery,
    Extension(request): Extension<BodyMeter>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let selected = app.delivery.file(&id, &name).await?;
    if opens_page(&headers)
        && !asks_for_form(query.as_deref())?
        && let Some(file) = &selected.file
    {
        return Ok(app.see_file(&selected, file));
    }
    app.respond_form(&method, &headers, &request, &selected)
        .await
}

/// Several names or ids as one form, in the order asked.
pub async fn several(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
    Extension(request): Extension<BodyMeter>,
    lookup: Lookup,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let parameters = Parameters::strict(query.as_deref(), &[NAME, AS_FORM])?;
    let names: Vec<&str> = parameters.all(NAME).collect();
    if names.is_empty() || names.len() > MAX_NAMES {
        return Err(wrong_count(names.len()));
    }
    if let Some(place) = app.place_of_all(&names).await? {
        return Ok(places::moved(&place, None));
    }
    if let [name] = names[..] {
        let selected = app.delivery.named(name, lookup).await?;
        let response = app.respond_form(&method, &headers, &request, &selected);
        return response.await;
    }
    let form = app.delivery.several(&names, lookup).await?;
    let shown = Shown::default();
    app.respond(&method, &headers, &form, &shown).await
}

/// The names that a query asks for, in its order.
pub(super) fn names_asked(query: Option<&str>) -> Result<Vec<String>, Problem> {
    let parameters = Parameters::lenient(query);
    let names: Vec<String> = parameters.all(NAME).map(str::to_owned).collect();
    match names.len() {
        ..=MAX_NAMES => Ok(names),
        count => Err(wrong_count(count)),
    }
}

fn wrong_count(count: usize) -> Problem {
    let detail =
        format!("{count} names are asked for; 1 to {MAX_NAMES} can be, as in ?name=A&name=B");
    Problem::invalid_parameter(NAME, detail).most(MAX_NAMES as u64)
}

/// One file of an upload as it is.
pub async fn raw(
    State(app): State<AppState>,
    PathParams((id, name)): PathParams<(String, String)>,
    RawQuery(query): RawQuery,
    Extension(request): Extension<BodyMeter>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let selected = app.delivery.file(&id, &name).await?;
    app.respond_raw(&method, &headers, &request, &selected, query.as_deref())
        .await
}

/// The newest file of a name as it is; of an id, the way to its one file or to its record.
pub async fn raw_named(
    State(app): State<AppState>,
    PathParams(name): PathParams<String>,
    RawQuery(query): RawQuery,
    Extension(request): Extension<BodyMeter>,
    lookup: Lookup,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(meant) = app.meant(&name).await? {
        let place = format!("{}/files/{meant}", app.options.base_path);
        return Ok(places::moved(&place, query.as_deref()));
    }
    let id = name.parse().ok();
    if let Some(id) = &id
        && let Some(mut place) = app.place_of(id).await?
    {
        // The query holds for the file where it is.
        if let Some(query) = query.as_deref().filter(|query| !query.is_empty()) {
            place = format!("{place}?{query}");
        }
        return Ok(places::see(&place));
    }
    let selected = app.delivery.newest(&name, lookup).await;
    let selected = selected.map_err(|error| match (error, id) {
        (DeliveryError::NotFound(Missing::Name(_)), Some(id)) => DeliveryError::no_upload(id),
        (error, _) => error,
    })?;
    app.respond_raw(&method, &headers, &request, &selected, query.as_deref())
        .await
}

fn asks_for_form(query: Option<&str>) -> Result<bool, Problem> {
    Parameters::lenient(query).flag(AS_FORM)
}

impl AppState {
    /// The upload there is whose id is written otherwise in `text`; a name may look so too.
    pub(super) async fn meant(&self, text: &str) -> Result<Option<UploadId>, Problem> {
        let Some(id) = UploadId::meant_by(text) else {
            return Ok(None);
        };
        Ok(self.live(&id).await?.map(|upload| upload.id))
    }

    /// The address of a form of these names with the ids among them written as they are, where one
    /// is written otherwise.
    async fn place_of_all(&self, names: &[&str]) -> Result<Option<String>, Problem> {
        let mut meant = Vec::with_capacity(names.len());
        for name in names {
            meant.push(self.meant(name).await?);
        }
        if meant.iter().all(Option::is_none) {
            return Ok(None);
        }
        let pairs = names.iter().zip(meant).map(|(name, meant)| {
            let name = meant.map_or_else(|| (*name).to_owned(), |id| id.to_string());
            format!("{NAME}={}", utf8_percent_encode(&name, record::SEGMENT))
        });
        let query = pairs.collect::<Vec<_>>().join("&");
        Ok(Some(format!("{}/download?{query}", self.options.base_path)))
    }

    /// Where people and programs find what is in the upload of an id, if there is one: its one file,
    /// or its record, which is a page for people.
    async fn place_of(&self, id: &UploadId) -> Result<Option<String>, Problem> {
        let base = &self.options.base_path;
        Ok(self.live(id).await?.map(|upload| {
            let mut files = upload.files();
            match (files.next(), files.next()) {
                (Some((_, file)), None) => places::file(base, id, &file.name),
                _ => record::upload_url(id, base),
            }
        }))
    }

    async fn live(&self, id: &UploadId) -> Result<Option<Arc<Manifest>>, Problem> {
        match self.delivery.upload(id).await {
            Ok(upload) => Ok(Some(upload)),
            Err(DeliveryError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn respond_form(
        &self,
        method: &Method,
        headers: &HeaderMap,
        request: &BodyMeter,
        selected: &Selected,
    ) -> Result<Response, Problem> {
        if selected.by_name {
            request.concerns(selected.manifest.id);
        }
        let form = self.delivery.form(selected);
        let shown = Shown {
            selected: Some(selected),
            inline: false,
        };
        self.respond(method, headers, &form, &shown).await
    }

    async fn respond_raw(
        &self,
        method: &Method,
        headers: &HeaderMap,
        request: &BodyMeter,
        selected: &Selected,
        query: Option<&str>,
    ) -> Result<Response, Problem> {
        if selected.by_name {
            request.concerns(selected.manifest.id);
        }
        let raw = Representation::raw(selected);
        let raw = raw.ok_or_else(|| Problem::new(Code::FileNotFound, "there is no such file"))?;
        let inline = Parameters::lenient(query).flag("inline")?;
        let shown = Shown {
            selected: Some(selected),
            inline,
        };
        self.respond(method, headers, &raw, &shown).await
    }
}
