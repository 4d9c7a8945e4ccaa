//! The pages: the form, an upload, errors in words. They work without JavaScript; the
//! modules in `static/` make them quicker to use.

mod assets;
mod explain;
mod markdown;
mod policy;
mod preview;
mod qr;
mod reading;
mod template;
mod texts;
mod tree;
mod upload;
mod words;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::http::AppState;
use crate::http::guard;
use crate::http::rules::accept::prefers;
use crate::http::rules::access::{Action, Caller, Gate, Scope, refusal};
use crate::http::rules::cookies;
use crate::http::rules::look::Look;
use crate::http::rules::origin::Origin;
use crate::http::rules::problem::{Code, Problem};
use crate::http::rules::query;
use crate::ingest;

pub use assets::{favicon, robots, serve as asset};
pub use explain::{problem, problems};
pub use policy::{secure, unlisted};
pub use reading::view;
pub use upload::{Reader, View};
pub use words::Language;

/// The lifetimes that the form offers.
const LIFETIMES: [&str; 5] = ["1h", "1d", "7d", "30d", "never"];
/// The query of an upload's page when its deadline has just been set.
pub const CHANGED: &str = "changed";
/// The query of an upload's page for a reader who can type its delete token.
pub const CLAIMED: &str = "manage";
/// The query of an upload's page with the checksums of all its files.
pub const CHECKSUMS: &str = "checksums";
/// The query of an upload's page for a browser whose list has it: what the scripts know of it is in
/// its place from the beginning, and nothing moves.
pub const LISTED: &str = "listed";
/// The numbers of downloads that the form offers.
const DOWNLOADS: [u64; 4] = [1, 3, 10, 100];

/// The reader of a page: the language, where links begin, and the look.
#[derive(Clone, Copy)]
pub struct PageReader<'a> {
    /// The language of the page.
    pub language: Language,
    /// The path everything lies under.
    pub base: &'a str,
    /// The look of the pages, with the operator's brand.
    pub look: &'a Look,
}

impl<'a> PageReader<'a> {
    /// The reader of a request.
    pub fn of(app: &'a AppState, query: Option<&str>, headers: &HeaderMap) -> Self {
        PageReader {
            language: Language::of(query, headers),
            base: &app.options.base_path,
            look: &app.look,
        }
    }
}

impl PageReader<'_> {
    /// The page `name` with its own `values`, and those that every page has.
    fn page(&self, name: &str, mut values: Value) -> String {
        let about = |language: Language| {
            let words::About { name, direction } = language.about();
            json!({ "tag": language.tag(), "name": name, "direction": direction })
        };
        values["t"] = self.language.words().clone();
        values["language"] = about(self.language);
        values["languages"] = Language::all().map(about).collect();
        let home = self.language.say("home", &[("brand", self.look.name())]);
        values["home"] = json!(home);
        values["brand"] = self.look.values();
        values["base"] = json!(self.base);
        values["static"] = json!(format!(
            "{}/static/{}",
            self.base,
            assets::version(self.look)
        ));
        template::render(name, values)
    }

    /// How long something is kept, for people.
    fn lifetime(&self, text: &str) -> String {
        match text {
            "never" => self.language.say("until_deleted", &[]),
            text => crate::model::units::parse_duration(text)
                .map_or_else(|_| text.to_owned(), |span| self.language.span(span)),
        }
    }

    /// The lifetimes that `max_expires_in` allows, as choices.
    fn lifetimes(&self, options: &ingest::IngestOptions) -> Vec<Value> {
        let allowed = |text: &str| match options.max_expires_in {
            None => true,
            Some(max) => crate::model::units::parse_duration(text).is_ok_and(|span| span <= max),
        };
        let lifetimes = LIFETIMES.into_iter().filter(|text| allowed(text));
        lifetimes
            .map(|text| json!({ "value": text, "text": self.lifetime(text) }))
            .collect()
    }
}

/// The page with the form; for programs, what the server is and takes. With the parameter `sign-in`
/// a browser is asked for a secret first.
///
/// # Errors
/// 401: it is to ask.
pub async fn form(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
    Extension(origin): Extension<Origin>,
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = caller.map(|Extension(caller)| caller).unwrap_or_default();
    let reader = PageReader::of(&app, query.as_deref(), &headers);
    let may = |action| match app.gate(action, origin.local) {
        Gate::Open => None,
        Gate::Secret(scope) => Some(scope).filter(|scope| !caller.may(*scope)),
    };
    let (upload, download) = (may(Action::Upload), may(Action::Download));
    if let Some(place) = query.as_deref().and_then(sign_in_place) {
        return match upload.or(download).filter(|_| !caller.is_known()) {
            Some(scope) => Err(refusal(&app.options.access, &caller, scope, &headers)),
            None => Ok(guard::back_to(&app.options.base_path, &place)),
        };
    }
    if prefers(&headers, "application/json", "text/html") {
        return Ok(app.about(&origin, &caller));
    }
    let (token, cookie) = form_field(&app, &headers);
    let view = FormView {
        options: app.ingest.options(),
        address: &app.base_of(&origin),
        readable: download.is_none(),
        lacks: upload,
        has_secret: upload.is_some_and(|scope| app.options.access.named().allow(scope)),
        token: &token,
    };
    let page = form_page(&reader, &view);
    let mut response = answer(page, &reader, query.as_deref());
    let vary = HeaderValue::from_static("Accept");
    response.headers_mut().insert(header::VARY, vary);
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The path that a browser goes back to when it has signed in, if it is to.
fn sign_in_place(query: &str) -> Option<String> {
    let mut pairs = query::pairs(query).into_iter();
    pairs
        .find(|(key, _)| key == guard::SIGN_IN)
        .map(|(_, place)| place)
}

/// The values that the page with the form depends on.
struct FormView<'a> {
    options: &'a ingest::IngestOptions,
    address: &'a str,
    /// Whether the reader may look at uploads; where not, a script does not try to.
    readable: bool,
    /// The scope that the reader lacks for an upload.
    lacks: Option<Scope>,
    /// Whether there is a secret with that scope.
    has_secret: bool,
    /// The token of the form; see [`form_field`].
    token: &'a str,
}

/// The token that a form of a page has as a field, and the cookie with the same token, where the
/// browser has none yet.
pub fn form_field(app: &AppState, headers: &HeaderMap) -> (String, Option<HeaderValue>) {
    if let Some(token) = cookies::form_token(headers) {
        return (token.to_owned(), None);
    }
    let Ok(token) = ingest::new_token() else {
        // Without the field the form still works, except behind a proxy that hides its origin.
        return (String::new(), None);
    };
    let cookie = cookies::form_cookie(&app.options.base_path, &token);
    (token, HeaderValue::from_str(&cookie).ok())
}

fn form_page(reader: &PageReader, view: &FormView) -> String {
    let PageReader { language, .. } = *reader;
    let FormView { options, token, .. } = *view;
    let default = match (options.default_expires_in, options.max_expires_in) {
        (Some(default), Some(max)) => Some(default.min(max)),
        (default, max) => default.or(max),
    };
    let standard = match default {
        None => language.say("until_deleted", &[]),
        Some(span) => language.say("server_default", &[("span", &language.span(span))]),
    };
    let downloads = DOWNLOADS.iter().map(|&count| {
        let text = match count {
            1 => language.say("once", &[]),
            count => language.say("times", &[("n", &count.to_string())]),
        };
        json!({ "value": count, "text": text })
    });
    let limit = |key: &str, size: Option<u64>| {
        size.map(|size| language.say(key, &[("size", &language.size(size))]))
    };
    let limits = [
        limit("limit_file", options.max_file_size),
        limit("limit_request", options.max_request_size),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    let values = json!({
        "standard": standard,
        "lifetimes": reader.lifetimes(options),
        // Without a default, the first choice is for ever already.
        "standard_is_never": default.is_none(),
        "readable": view.readable,
        "closed": view.lacks.is_some(),
        "max_expires_in": options.max_expires_in.map(|span| span.as_secs()),
        "sign_in": view.has_secret.then_some(guard::SIGN_IN),
        "form_field": ingest::FORM_FIELD,
        "form_token": token,
        "counts": downloads.collect::<Vec<_>>(),
        "link": format!("{}/upload", view.address),
        "limits": limits.join(" · "),
        "max_file_size": options.max_file_size,
        "max_request_size": options.max_request_size,
        "max_files": options.max_files,
    });
    reader.page("index.html", values)
}

impl PageReader<'_> {
    /// The page of an upload.
    pub fn upload(&self, view: &View) -> String {
        self.page("upload.html", upload::values(self, view))
    }

    /// The page after a deletion.
    pub fn deleted(&self) -> String {
        let say = |key| self.language.say(key, &[]);
        let values = json!({ "title": say("gone_title"), "advice": say("gone_more") });
        self.page("message.html", values)
    }

    /// The page of an error: its title, some advice, and the detail.
    pub fn problem_page(&self, status: StatusCode, code: Code, detail: &str, id: &str) -> String {
        let words = &self.language.words()["problems"][code.name()];
        let values = json!({
            "status": status.as_u16(),
            "title": words["title"],
            "advice": words["advice"],
            "detail": detail,
            "code": code.name(),
            "request": self.language.say("request", &[("id", id)]),
        });
        self.page("message.html", values)
    }
}

/// A page as a response. A choice of language in the `query` is remembered.
pub fn answer(page: String, reader: &PageReader, query: Option<&str>) -> Response {
    let mut response = Html(page).into_response();
    let fields = response.headers_mut();
    secure(fields, reader.base);
    if let Some(language) = query.and_then(Language::chosen)
        && let Ok(cookie) =
            HeaderValue::from_str(&cookies::language_cookie(reader.base, language.tag()))
    {
        fields.append(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_said_in_the_readers_language_and_escaped() {
        let look = Look::plain();
        for (tag, title) in [
            ("en", "There is nothing here"),
            ("zh-Hans", "这里什么也没有"),
        ] {
            let language = Language::of_tag(tag).unwrap();
            let reader = PageReader {
                language,
                base: "/x",
                look: &look,
            };
            let detail = "<b>{{ base }}</b>";
            let page =
                reader.problem_page(StatusCode::NOT_FOUND, Code::UploadNotFound, detail, "7");
            assert!(page.contains(title) && page.contains("404"), "{page}");
            assert!(page.contains("/problems/upload-not-found\""), "{page}");
            assert!(page.contains("&lt;b&gt;{{ base }}&lt;"), "{page}");
            assert!(!page.contains("<b>"), "{page}");
        }
    }
}
