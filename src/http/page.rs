//! The pages: a form without JavaScript, and what became of it.

use std::fmt::Write as _;

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use rust_embed::RustEmbed;

use super::{App, upload_json};
use crate::form::display_name;
use crate::model::Manifest;

/// The cookie with which an upload's page can delete it.
const COOKIE: &str = "wharf-delete-token";
/// How long it lives, in seconds.
const COOKIE_AGE: u32 = 30 * 24 * 3600;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Static;

/// The page with the form.
pub async fn form(State(app): State<App>) -> Response {
    let base = &app.options.base_path;
    let mut response = Html(template("index.html", &[("base", base)])).into_response();
    secure(response.headers_mut());
    response
}

/// The page of an upload; its `owner` is offered its deletion.
pub fn upload(manifest: &Manifest, base: &str, owner: bool) -> String {
    let mut rows = String::new();
    for (field, file) in manifest.files() {
        let _ = writeln!(
            rows,
            "<tr><td>{}</td><td><a href=\"{}\">{}</a></td><td>{}</td><td>{}</td></tr>",
            escape(&text(field.as_bytes())),
            escape(&upload_json::file_url(manifest, file, base)),
            escape(file.name.as_str()),
            file.size,
            escape(&file.media_type),
        );
    }
    let mut fields = String::new();
    for field in manifest.fields() {
        let name = escape(&text(field.field.as_bytes()));
        let _ = writeln!(
            fields,
            "<tr><td>{name}</td><td>{}</td></tr>",
            escape(&field.value.to_text())
        );
    }
    let expires = manifest
        .expires_at
        .map_or_else(|| "never".to_owned(), |time| time.to_string());
    let delete = if owner {
        format!(
            "<form method=\"post\" action=\"{base}/uploads/{}/delete\"><button>Delete</button></form>",
            manifest.id
        )
    } else {
        String::new()
    };
    let created = manifest.created_at.to_string();
    let id = manifest.id.to_string();
    template(
        "upload.html",
        &[
            ("base", &escape(base)),
            ("id", &id),
            ("created", &created),
            ("expires", &expires),
            ("files", &rows),
            ("fields", &fields),
            ("delete", &delete),
        ],
    )
}

/// The page after a deletion.
pub fn deleted(base: &str) -> String {
    template(
        "message.html",
        &[
            ("base", base),
            ("title", "Deleted"),
            ("detail", "The upload is gone."),
            ("id", ""),
        ],
    )
}

/// The page of an error.
pub fn problem(status: StatusCode, title: &str, detail: &str, request_id: &str) -> String {
    let title = format!("{} {title}", status.as_u16());
    let id = format!("Request {request_id}");
    template(
        "message.html",
        &[
            ("base", ""),
            ("title", &escape(&title)),
            ("detail", &escape(detail)),
            ("id", &id),
        ],
    )
}

/// Keeps pages to themselves: no scripts, no frames, no trace in a cache.
pub fn secure(headers: &mut HeaderMap) {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(policy),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// The cookie that carries a delete token to the page at `path` alone.
pub fn token_cookie(path: &str, token: &str, scheme: &str) -> String {
    let secure = if scheme == "https" { "; Secure" } else { "" };
    format!(
        "{COOKIE}={token}; Path={path}; Max-Age={COOKIE_AGE}; HttpOnly; SameSite=Strict{secure}"
    )
}

/// The delete token of the cookie.
pub fn cookie_token(headers: &HeaderMap) -> Option<String> {
    let cookies = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, token)| token.to_owned())
}

/// Fills in an embedded page; the values are HTML already.
fn template(name: &str, values: &[(&str, &str)]) -> String {
    let file = Static::get(name).map(|file| file.data);
    let mut rest = file
        .as_deref()
        .and_then(|data| str::from_utf8(data).ok())
        .unwrap_or_default();
    let mut page = String::with_capacity(rest.len());
    // One pass: what a value holds is never taken for a place to fill in.
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let (key, after) = after.split_once("}}").unwrap_or((after, ""));
        let value = values.iter().find(|(known, _)| *known == key.trim());
        page.push_str(value.map_or("", |(_, value)| value));
        rest = after;
    }
    page.push_str(rest);
    page
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(&display_name(name)).into_owned()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_not_filled_in_again() {
        let page = problem(StatusCode::NOT_FOUND, "T", "<b>{{id}}</b>", "7");
        assert!(page.contains("&lt;b&gt;{{id}}&lt;/b&gt;"), "{page}");
        assert!(page.contains("404 T") && page.contains("Request 7"));
    }

    #[test]
    fn the_cookie_comes_back() {
        let set = token_cookie("/uploads/x", "abc", "https");
        assert!(set.contains("; Secure") && set.contains("HttpOnly"));
        let mut headers = HeaderMap::new();
        headers.insert(
            header::COOKIE,
            "a=b; wharf-delete-token=abc".parse().unwrap(),
        );
        assert_eq!(cookie_token(&headers).as_deref(), Some("abc"));
    }
}
