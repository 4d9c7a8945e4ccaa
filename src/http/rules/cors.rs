//! Which other sites' pages may use this server (WHATWG Fetch, CORS protocol).

use http::{HeaderName, HeaderValue, Method, Uri, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{options, request_id};

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

/// Answers for the sites named; none are, as a rule. Cookies are never allowed with it.
pub fn layer(sites: &[Site]) -> CorsLayer {
    if sites.is_empty() {
        // Nothing depends on the origin then, so nothing varies with it.
        return CorsLayer::new().vary([]);
    }
    let sites = sites.to_vec();
    let named = move |origin: &HeaderValue, _: &http::request::Parts| {
        origin.to_str().is_ok_and(|origin| is_named(&sites, origin))
    };
    let digests = ["content-digest", "repr-digest"].map(HeaderName::from_static);
    let [_, repr_digest] = digests.clone();
    let requested = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        HeaderName::from_static("x-requested-with"),
        request_id::FIELD,
        header::RANGE,
        header::IF_RANGE,
        header::CACHE_CONTROL,
    ];
    let options = options::names().filter_map(|name| name.parse().ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(named))
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ])
        .allow_headers(
            requested
                .into_iter()
                .chain(digests)
                .chain(options)
                .collect::<Vec<_>>(),
        )
        .expose_headers([
            header::LOCATION,
            header::ETAG,
            header::CONTENT_DISPOSITION,
            header::CONTENT_RANGE,
            header::ACCEPT_RANGES,
            repr_digest,
            header::RETRY_AFTER,
            request_id::FIELD,
        ])
}

#[cfg(test)]
mod tests {
    use super::*;

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
