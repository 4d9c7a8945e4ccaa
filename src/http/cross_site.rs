//! Requests that another site has a browser send.

use axum::extract::Request;
use http::{HeaderMap, Method, header};

use super::cors::{Site, is_named};
use super::origin::Origin;
use super::problem::Problem;
use super::{App, page};

/// Refuses what changes something when a browser says that another site sent it: by
/// `Sec-Fetch-Site` (W3C Fetch Metadata), else by `Origin`. Sites that `cors_origin` names may.
///
/// # Errors
/// 403, for such a request.
pub fn refuse(app: &App, request: &Request) -> Result<(), Problem> {
    let changes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    if changes.contains(request.method())
        && !is_to_be_proven(app, request)
        && let Some(origin) = request.extensions().get::<Origin>()
        && is_foreign(
            request.headers(),
            &app.origin_of(origin),
            &app.options.cors_origins,
        )
    {
        return Err(Problem::cross_site(
            "a browser sent this for another site, which cors_origin does not name",
        ));
    }
    Ok(())
}

/// Whether this is a form whose field says where it comes from: it is read with the body.
fn is_to_be_proven(app: &App, request: &Request) -> bool {
    let path = request.uri().path().strip_prefix(&*app.options.base_path);
    let form = request.method() == Method::POST && matches!(path, Some("/upload" | "/upload/"));
    form && proof(request.headers()).is_some()
}

/// What a field of the form has to say, where nothing else tells which site sent it: a page that
/// a proxy gives out with `Referrer-Policy: no-referrer` posts its form with `Origin: null` (Fetch,
/// "append a request `Origin` header"), and over plain HTTP browsers send no `Sec-Fetch-Site`. The
/// cookie has the same, and comes with no other site's request (`SameSite=Strict`).
pub fn proof(headers: &HeaderMap) -> Option<&str> {
    let null = |origin: &http::HeaderValue| origin == "null";
    let nameless =
        headers.get(header::ORIGIN).is_some_and(null) && !headers.contains_key("sec-fetch-site");
    page::form_token(headers).filter(|_| nameless)
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
