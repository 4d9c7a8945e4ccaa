//! The style sheets, scripts and pictures of the pages.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use rust_embed::RustEmbed;
use sha2::{Digest as _, Sha256};

use crate::http::rules::extract::PathParams;
use crate::http::rules::problem::Problem;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Static;

/// What is given out; the templates of the pages are not.
const TYPES: [(&str, &str); 3] = [
    (".css", "text/css; charset=utf-8"),
    (".js", "text/javascript; charset=utf-8"),
    (".svg", "image/svg+xml"),
];

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for name in Static::iter() {
        hash.update(name.as_bytes());
        if let Some(file) = Static::get(&name) {
            hash.update(file.metadata.sha256_hash());
        }
    }
    let digest = hash.finalize();
    digest[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
});

/// A word that changes with any of the files. It stands in their addresses, so that a browser may
/// keep them for ever, and a module imports what fits it.
pub fn version() -> &'static str {
    &VERSION
}

/// `GET /static/VERSION/NAME`
pub async fn serve(
    PathParams((asked, name)): PathParams<(String, String)>,
) -> Result<Response, Problem> {
    let media_type = TYPES.iter().find(|(ending, _)| name.ends_with(ending));
    let file = media_type.zip(Static::get(&name));
    let Some(((_, media_type), file)) = file else {
        return Err(Problem::not_found(format!("there is no {name:?} here")));
    };
    // The page may be another instance's, which is older or newer than this one.
    let cache = if asked == version() {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let mut response = file.data.into_owned().into_response();
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_pages_load_is_light() {
        let loaded = |name: &str| TYPES.iter().any(|(ending, _)| name.ends_with(ending));
        let names = Static::iter().filter(|name| loaded(name));
        let all: usize = names
            .map(|name| Static::get(&name).map_or(0, |file| file.data.len()))
            .sum();
        assert!(all < 60_000, "{all}");
    }
}
