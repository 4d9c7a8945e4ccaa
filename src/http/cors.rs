//! Which other sites' pages may use this server (WHATWG Fetch, CORS protocol).

use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::log::REQUEST_ID;

/// Answers for the sites named; none are, as a rule. Cookies are never allowed with it.
pub fn layer(origins: &[String]) -> CorsLayer {
    if origins.is_empty() {
        // Nothing depends on the origin then, so nothing varies with it.
        return CorsLayer::new().vary([]);
    }
    let origins: Vec<HeaderValue> = origins
        .iter()
        .filter_map(|origin| origin.parse().ok())
        .collect();
    let digests = ["content-digest", "repr-digest"].map(HeaderName::from_static);
    let [_, repr_digest] = digests.clone();
    let requested = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        HeaderName::from_static("x-requested-with"),
        REQUEST_ID,
        header::RANGE,
        header::IF_RANGE,
        header::CACHE_CONTROL,
    ];
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ])
        .allow_headers(requested.into_iter().chain(digests).collect::<Vec<_>>())
        .expose_headers([
            header::LOCATION,
            header::ETAG,
            header::CONTENT_DISPOSITION,
            header::CONTENT_RANGE,
            header::ACCEPT_RANGES,
            repr_digest,
            header::RETRY_AFTER,
            REQUEST_ID,
        ])
}
