//! The scripts and files that a browser may load for a page, and the sites that may show it.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Keeps pages to themselves: scripts and styles are those of `static/` under `base` alone, nothing
/// is from elsewhere, no frames are around them, there is no trace in a cache.
pub fn secure(headers: &mut HeaderMap, base: &str) {
    let policy = format!(
        "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none', {}",
        assets_alone(base)
    );
    apply(headers, policy);
}

/// The same for what is shown in a frame of a page. It may run nothing, whatever it holds; its links
/// open pages of their own.
pub fn secure_frame(headers: &mut HeaderMap, base: &str) {
    let policy = format!(
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; \
         style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self', {}",
        assets_alone(base)
    );
    apply(headers, policy);
}

/// A second policy: a browser does only what both allow (CSP level 3, section 8.1). A source cannot name
/// "this server, that path": the first policy says the server, which pages know by no name, and this
/// one the path. So a stored file is never a script of a page.
fn assets_alone(base: &str) -> String {
    format!("script-src *:*{base}/static/; style-src *:*{base}/static/")
}

fn apply(headers: &mut HeaderMap, policy: String) {
    // A base path is of letters, digits and `-._~/`.
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Asks search engines to list nothing of it: a reader that has the link was given it.
pub fn unlisted(headers: &mut HeaderMap) {
    let name = HeaderName::from_static("x-robots-tag");
    headers.insert(name, HeaderValue::from_static("noindex, nofollow"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_those_of_the_server_alone() {
        for (base, place) in [("", "*:*/static/"), ("/w", "*:*/w/static/")] {
            let mut headers = HeaderMap::new();
            secure(&mut headers, base);
            let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            let (first, second) = policy.split_once(", ").unwrap();
            assert!(first.starts_with("default-src 'self'; "), "{first}");
            assert_eq!(second, format!("script-src {place}; style-src {place}"));
            secure_frame(&mut headers, base);
            let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("sandbox allow-popups "), "{policy}");
            assert!(!policy.contains("allow-scripts"), "{policy}");
        }
    }
}
