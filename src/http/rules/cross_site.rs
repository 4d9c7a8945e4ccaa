//! Requests that another site has a browser send.

use axum::extract::Request;
use http::{HeaderMap, Method, header};
use subtle::ConstantTimeEq as _;

use super::cookies;
use super::cors::{Site, is_named};
use super::origin::Origin;
use super::problem::{Code, Problem};
use crate::ingest::{self, IngestError};

/// The facts that tell requests of this server's own site from those of others.
pub struct OwnSite<'a> {
    /// The path everything lies under.
    pub base_path: &'a str,
    /// Scheme, host and port of this server, where they are set.
    pub public_url: Option<&'a str>,
    /// The other sites whose pages may use this server.
    pub allowed: &'a [Site],
}

/// Refuses a request that changes something when a browser says that another site sent it: by
/// `Sec-Fetch-Site` (W3C Fetch Metadata), else by `Origin`. Sites that `cors_origin` names may.
///
/// # Errors
/// 403, for such a request.
pub fn refuse(own: &OwnSite, request: &Request) -> Result<(), Problem> {
    let changes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    if changes.contains(request.method())
        && !is_to_be_proven(own.base_path, request)
        && let Some(origin) = request.extensions().get::<Origin>()
        && is_foreign(
            request.headers(),
            &origin.public(own.public_url),
            own.allowed,
        )
    {
        let detail = "a browser sent this for another site, which cors_origin does not name";
        return Err(Problem::new(Code::CrossSite, detail).setting("cors_origin"));
    }
    Ok(())
}

/// Whether a field of this form says where it comes from: that is read with the body.
fn is_to_be_proven(base_path: &str, request: &Request) -> bool {
    let path = request.uri().path().strip_prefix(base_path);
    let form = request.method() == Method::POST && path.is_some_and(is_of_page);
    form && proof(request.headers()).is_some()
}

/// Whether a form of this server's pages is posted to this path.
fn is_of_page(path: &str) -> bool {
    let change = path
        .strip_prefix("/uploads/")
        .and_then(|rest| rest.split_once('/'));
    matches!(path, "/upload" | "/upload/") || matches!(change, Some((_, "delete" | "prolong")))
}

/// Refuses a form whose `field` is not that of this server's page, where no header tells which site
/// sent it.
///
/// # Errors
/// 403, for such a form.
pub fn check_proof(headers: &HeaderMap, field: Option<&str>) -> Result<(), Problem> {
    let Some(proof) = proof(headers) else {
        return Ok(());
    };
    let field = field.unwrap_or_default();
    match bool::from(proof.as_bytes().ct_eq(field.as_bytes())) {
        true => Ok(()),
        false => Err(IngestError::OtherSite(ingest::FORM_FIELD).into()),
    }
}

/// The value that a field of the form must have, where no header tells which site sent it: a page
/// that a proxy gives out with `Referrer-Policy: no-referrer` posts its form with `Origin: null`
/// (Fetch, "append a request `Origin` header"), and over plain HTTP browsers send no
/// `Sec-Fetch-Site`. The cookie has the same, and comes with no other site's request
/// (`SameSite=Strict`).
pub fn proof(headers: &HeaderMap) -> Option<&str> {
    let null = |origin: &http::HeaderValue| origin == "null";
    let nameless =
        headers.get(header::ORIGIN).is_some_and(null) && !headers.contains_key("sec-fetch-site");
    cookies::form_token(headers).filter(|_| nameless)
}

fn is_foreign(headers: &HeaderMap, own: &str, named: &[Site]) -> bool {
    let text = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or("null"))
    };
    let origin = text(header::ORIGIN.as_str());
    if origin.is_some_and(|origin| is_named(named, origin)) {
        return false;
    }
    match text("sec-fetch-site") {
        Some(site) => !matches!(site, "same-origin" | "none"),
        None => origin.is_some_and(|origin| !origin.eq_ignore_ascii_case(own)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_the_pages_are_known() {
        for path in [
            "/upload",
            "/upload/",
            "/uploads/x/delete",
            "/uploads/x/prolong",
        ] {
            assert!(is_of_page(path), "{path}");
        }
        for path in [
            "/",
            "/uploads/x",
            "/uploads/delete",
            "/uploads/x/y/delete",
            "/admin/reindex",
        ] {
            assert!(!is_of_page(path), "{path}");
        }
    }

    #[test]
    fn only_other_sites_are_foreign() {
        let own = "http://localhost:8080";
        let named = [Site::parse("https://app.example").unwrap()];
        for (fields, foreign) in [
            (&[][..], false),
            (&[("origin", own)], false),
            (&[("origin", "http://localhost:8081")], true),
            (&[("origin", "null")], true),
            (&[("origin", "https://app.example")], false),
            (
                &[
                    ("sec-fetch-site", "same-origin"),
                    ("origin", "http://behind.proxy"),
                ],
                false,
            ),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "cross-site")], true),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://app.example"),
                ],
                false,
            ),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.insert(*name, value.parse().unwrap());
            }
            assert_eq!(is_foreign(&headers, own, &named), foreign, "{fields:?}");
        }
    }
}
