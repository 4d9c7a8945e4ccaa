//! Which other sites' pages may use this server (WHATWG Fetch, CORS protocol).

use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

use super::options;

/// A site as the setting `cors_origin` names it: an origin, or all origins below a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Scheme and `://`.
    scheme: String,
    /// Host and port, in lower case; behind a dot where a name below it is meant.
    host: String,
    below: bool,
}

impl Site {
    /// Reads an origin as a browser writes it, `https://*.example.com` for all names below one,
    /// or that of an app (`capacitor://localhost`).
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refused = || {
            format!(
                "{text:?} is no origin: SCHEME://HOST or SCHEME://HOST:PORT, with *. before a name \
                 of two labels or more for all below it"
            )
        };
        let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| refused())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(refused());
        };
        let bare = uri.query().is_none() && matches!(uri.path(), "" | "/");
        let host = authority.as_str().to_ascii_lowercase();
        if !bare || host.contains('@') {
            return Err(refused());
        }
        let scheme = scheme.to_ascii_lowercase();
        // A browser leaves the port out where it is the scheme's own.
        let own_port = match scheme.as_str() {
            "http" => ":80",
            "https" => ":443",
            _ => "",
        };
        let host = host.strip_suffix(own_port).unwrap_or(&host);
        let (below, host) = match host.strip_prefix('*') {
            Some(rest) => (true, rest),
            None => (false, host),
        };
        let name = host.trim_start_matches('.');
        if host.contains('*') || (below && (!host.starts_with('.') || !name.contains('.'))) {
            return Err(refused());
        }
        Ok(Site {
            scheme: format!("{scheme}://"),
            host: host.to_owned(),
            below,
        })
    }

    /// Whether the value of an `Origin` field is this site's.
    fn is(&self, origin: &str) -> bool {
        let Some(host) = origin.strip_prefix(&self.scheme) else {
            return false;
        };
        if !self.below {
            return host == self.host;
        }
        let label = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        host.strip_suffix(&self.host)
            .is_some_and(|name| !name.is_empty() && name.bytes().all(label))
    }
}

/// Whether one of `sites` has this value of an `Origin` field.
pub fn is_named(sites: &[Site], origin: &str) -> bool {
    sites.iter().any(|site| site.is(origin))
}

/// The fields that scripts of the sites named may ask with, beside those that every page may
/// (Fetch, "CORS-safelisted request-header") and the headers of options. Some are for what later
/// versions do.
#[rustfmt::skip]
const REQUESTED: [&str; 32] = [
    "Authorization", "Content-Type", "X-Requested-With", "X-Request-ID", "Range", "If-Range", "Cache-Control",
    "Content-Digest", "Repr-Digest", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since",
    "Prefer", "Wharf-Token", "Upload-Offset", "Upload-Length", "Upload-Complete", "Upload-Incomplete",
    "Upload-Draft-Interop-Version", "Upload-Metadata", "Upload-Concat", "Upload-Defer-Length", "Upload-Checksum",
    "Upload-Name", "Tus-Resumable", "X-HTTP-Method-Override", "Content-Disposition", "Idempotency-Key",
    "traceparent", "tracestate", "Wharf-Password",
];

/// The fields of an answer that scripts of the sites named may read.
#[rustfmt::skip]
const EXPOSED: &str = "Location, ETag, Content-Disposition, Content-Range, Accept-Ranges, Repr-Digest, Retry-After, \
    X-Request-ID, Link, Allow, Accept-Post, Accept-Patch, Content-Location, Last-Modified, Content-Length, \
    WWW-Authenticate, Preference-Applied, Wharf-Delete-Token, Upload-Offset, Upload-Length, Upload-Complete, \
    Upload-Incomplete, Upload-Draft-Interop-Version, Upload-Limit, Upload-Metadata, Upload-Concat, \
    Upload-Defer-Length, Upload-Expires, Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, \
    Tus-Checksum-Algorithm, Content-Digest, RateLimit, RateLimit-Policy";

const METHODS: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// The rights of the sites named; none are, as a rule. Cookies are never allowed with it. It is no
/// layer: one of tower-http answers every `OPTIONS`, and costs each request a copy of the routes.
pub struct CrossOrigin {
    sites: Vec<Site>,
    requested: HeaderValue,
}

impl CrossOrigin {
    /// The rights of `sites`.
    pub fn of(sites: &[Site]) -> Self {
        let options = options::names();
        let all = REQUESTED.iter().map(ToString::to_string).chain(options);
        let all = all.collect::<Vec<_>>().join(", ");
        CrossOrigin {
            sites: sites.to_vec(),
            requested: HeaderValue::try_from(all).expect("names of headers are a value of one"),
        }
    }

    /// The `Origin` of a request from a page of a site that is named.
    pub fn origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers
            .get(header::ORIGIN)
            .filter(|_| !self.sites.is_empty())?;
        is_named(&self.sites, origin.to_str().ok()?).then(|| origin.clone())
    }

    /// The answer to a browser that asks what a page of a site that is named may do.
    pub fn preflight(&self) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let fields = response.headers_mut();
        fields.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        fields.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, self.requested.clone());
        // Two hours, the longest that Chromium keeps it.
        let age = HeaderValue::from_static("7200");
        fields.insert(header::ACCESS_CONTROL_MAX_AGE, age);
        response
    }

    /// Lets a page of the site `origin`, which is named, read an answer. Nothing is said to others.
    pub fn allow(&self, origin: Option<HeaderValue>, fields: &mut HeaderMap) {
        if self.sites.is_empty() {
            // Nothing depends on the origin then, so nothing varies with it.
            return;
        }
        fields.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin {
            fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            let exposed = HeaderValue::from_static(EXPOSED);
            fields.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}

/// Whether a browser asks what another site's page may do (Fetch, "CORS-preflight fetch").
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    let has = |name| headers.contains_key(name);
    *method == Method::OPTIONS && has(header::ORIGIN) && has(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Whether a page of one of `sites` has asked, to show what it gets or to read it. A picture is
/// asked for without `Origin`, and with the origin of the page in `Referer`, unless the page
/// forbids that.
pub fn is_from(sites: &[Site], headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(header::ORIGIN).map(str::to_owned).or_else(|| {
        let page: Uri = text(header::REFERER)?.parse().ok()?;
        Some(format!("{}://{}", page.scheme_str()?, page.authority()?))
    });
    origin.is_some_and(|origin| is_named(sites, &origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_a_site_is_known_by_origin_or_referer() {
        let sites = [Site::parse("https://app.example").unwrap()];
        for (fields, known) in [
            (&[][..], false),
            (&[("origin", "https://app.example")], true),
            (&[("referer", "https://app.example/a?b")], true),
            (&[("referer", "https://app.example")], true),
            (
                &[("referer", "https://evil.example/https://app.example")],
                false,
            ),
            (&[("referer", "nonsense")], false),
            (
                &[("origin", "null"), ("referer", "https://app.example/")],
                false,
            ),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.insert(*name, value.parse().unwrap());
            }
            assert_eq!(is_from(&sites, &headers), known, "{fields:?}");
        }
        assert!(CrossOrigin::of(&[]).origin(&HeaderMap::new()).is_none());
    }

    #[test]
    fn sites_are_origins_or_all_below_a_name() {
        let named = |site: &str, origin: &str| is_named(&[Site::parse(site).unwrap()], origin);
        assert!(named("https://App.example/", "https://app.example"));
        assert!(named("https://app.example:443", "https://app.example"));
        assert!(named("http://a.example:8080", "http://a.example:8080"));
        assert!(named("capacitor://localhost", "capacitor://localhost"));
        assert!(named("https://*.example.com", "https://a.b.example.com"));
        assert!(named(
            "https://*.example.com:8443",
            "https://a.example.com:8443"
        ));
        for (site, origin) in [
            ("https://*.example.com", "https://example.com"),
            ("https://*.example.com", "https://.example.com"),
            ("https://*.example.com", "http://a.example.com"),
            ("https://*.example.com", "https://a.example.com:8443"),
            ("https://*.example.com", "https://evil.org/.example.com"),
            ("https://*.example.com", "https://badexample.com"),
            ("https://app.example", "https://app.example.evil.org"),
            ("https://app.example", "null"),
        ] {
            assert!(!named(site, origin), "{site} {origin}");
        }
        for refused in [
            "*",
            "https://*",
            "https://*.com",
            "https://a.*.com",
            "https://*a.example.com",
            "app.example",
            "https://a/b",
            "https://a?b",
            "https://u@a",
            "null",
        ] {
            assert!(Site::parse(refused).is_err(), "{refused}");
        }
    }
}
