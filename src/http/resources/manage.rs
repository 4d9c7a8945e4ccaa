//! The plain forms of an upload's page, which work without a script: a new deadline, and the end.

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::page;
use super::uploads::parse_id;
use crate::http::AppState;
use crate::http::rules::accept::Accept;
use crate::http::rules::extract::PathParams;
use crate::http::rules::origin::Origin;
use crate::http::rules::problem::{Code, Problem};
use crate::http::rules::{cookies, cross_site, options, query};
use crate::ingest::{self, FIELD_PREFIX, IngestError, OptionPlace, UnknownOption, UploadOption};
use crate::manage::{ChangePermit, MeantVersions};
use crate::model::UploadId;

/// The place of the options in the forms, which have no parts.
const PLACE: OptionPlace = OptionPlace::Field { part: 0 };
/// The most bytes of a form.
const LIMIT: usize = 4 * 1024;

/// The fields of a form.
#[derive(Default)]
struct PageForm {
    /// The delete token, where the browser has no cookie with it.
    token: Option<String>,
    expires_in: Option<String>,
    /// The token that proves that the form is of this server's page.
    proof: Option<String>,
}

/// The sender of a form of the page.
enum Sender {
    /// A caller that may change the upload.
    Permitted(PageForm, ChangePermit),
    /// A person typed a token that is not the upload's. The answer is the page, with the form again.
    Mistaken(Response),
}

impl AppState {
    /// The form of a caller, and the permission if there is one.
    async fn managed(
        &self,
        id: &UploadId,
        origin: &Origin,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Sender, Problem> {
        let form = self.form_of_page(body).await?;
        cross_site::check_proof(headers, form.proof.as_deref())?;
        let typed = form.token.is_some();
        let token = form
            .token
            .clone()
            .or_else(|| cookies::delete_token(headers));
        let problem = match self.permit(id, headers, token).await {
            Ok(permit) => return Ok(Sender::Permitted(form, permit)),
            Err(problem) => problem,
        };
        let (status, code) = problem.codes();
        if !typed || code != Code::UploadNotFound || !Accept::of(headers).prefers_html() {
            return Err(problem);
        }
        // It is there, and its page can be read: the token is wrong.
        let Ok(manifest) = self.delivery.upload(id).await else {
            return Err(problem);
        };
        let mistaken = Some(page::Reader::Mistaken);
        let mut response = self.page_of(&manifest, origin, None, headers, mistaken);
        *response.status_mut() = status;
        Ok(Sender::Mistaken(response))
    }

    async fn form_of_page(&self, body: Body) -> Result<PageForm, Problem> {
        let body = self.small_body(body, LIMIT).await?;
        let text = str::from_utf8(&body)
            .map_err(|_| Problem::new(Code::MalformedForm, "the body is no urlencoded form"))?;
        form_of(text)
    }
}

/// Reads a form. A field of this server that is there twice is refused: a program in front may have
/// read the other one.
fn form_of(text: &str) -> Result<PageForm, Problem> {
    let mut form = PageForm::default();
    for (name, value) in query::pairs(text) {
        let field = match name.as_str() {
            "token" => &mut form.token,
            ingest::FORM_FIELD => &mut form.proof,
            name if !name.starts_with(FIELD_PREFIX) => continue,
            name if PLACE.find(name) == Some(UploadOption::ExpiresIn) => &mut form.expires_in,
            name => {
                let known = [UploadOption::ExpiresIn];
                let unknown = UnknownOption::new(PLACE, name, &known, &[]);
                return Err(IngestError::from(unknown).into());
            }
        };
        if field.replace(value).is_some() {
            let detail = format!("the field {name} is in the form twice");
            return Err(Problem::new(Code::MalformedForm, detail));
        }
    }
    form.token = form.token.filter(|token| !token.is_empty());
    Ok(form)
}

/// Deletes an upload, and says so.
pub async fn delete(
    State(app): State<AppState>,
    PathParams(id): PathParams<String>,
    RawQuery(query): RawQuery,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    options::refuse(query.as_deref(), &headers)?;
    let id = parse_id(&id)?;
    let permit = match app.managed(&id, &origin, &headers, body).await? {
        Sender::Permitted(_, permit) => permit,
        Sender::Mistaken(page) => return Ok(page),
    };
    app.delete(&permit, MeantVersions::default()).await?;
    let reader = page::PageReader::of(&app, None, &headers);
    Ok(page::answer(reader.deleted(), &reader, None))
}

/// Sets the deadline of an upload anew, and shows its page, which then says so.
pub async fn prolong(
    State(app): State<AppState>,
    PathParams(id): PathParams<String>,
    RawQuery(query): RawQuery,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    options::refuse(query.as_deref(), &headers)?;
    let id = parse_id(&id)?;
    let (form, permit) = match app.managed(&id, &origin, &headers, body).await? {
        Sender::Permitted(form, permit) => (form, permit),
        Sender::Mistaken(page) => return Ok(page),
    };
    let text = form.expires_in.ok_or_else(|| {
        let option = PLACE.spell(UploadOption::ExpiresIn.name());
        Problem::invalid_option(&option, format!("the form has no {option}"))
    })?;
    app.set_lifetime(&permit, &text, PLACE).await?;
    let base = &app.options.base_path;
    let location = format!("{base}/uploads/{id}?{}", page::CHANGED);
    let mut response = StatusCode::SEE_OTHER.into_response();
    let fields = response.headers_mut();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(location) = HeaderValue::from_str(&location) {
        fields.insert(header::LOCATION, location);
    }
    if let Some(token) = form.token {
        // A reader that has typed it once is its sender from now on.
        let cookie = app.token_cookie(&id, &token);
        fields.extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_in_a_form_once() {
        let form = form_of("token=&wharf_expires_in=1d&other=1&other=2").unwrap();
        assert_eq!((form.token, form.expires_in.as_deref()), (None, Some("1d")));
        for (text, code) in [
            ("wharf_expires_in=1d&wharf_expires_in=2d", "malformed-form"),
            ("token=&token=x", "malformed-form"),
            ("wharf_title=x", "unknown-option"),
        ] {
            let refused = form_of(text).err().expect(text);
            assert_eq!(refused.codes().1.name(), code, "{text}");
        }
    }
}
