//! The style sheets, scripts and pictures of the pages.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use sha2::{Digest as _, Sha256};

use crate::http::rules::extract::PathParams;
use crate::http::rules::problem::{Code, Problem};

/// What the pages load.
#[rustfmt::skip]
const FILES: [(&str, &str); 14] = static_files!("":
    "card.js", "chosen.js", "dom.js", "icon.svg", "index.js", "kept.js", "noscript.css", "save.js",
    "style.css", "transfer.js", "upload.js", "words.js", "words/en.js", "words/zh.js",
);

/// The media type of a file, by the end of its name.
const TYPES: [(&str, &str); 3] = [
    (".css", "text/css; charset=utf-8"),
    (".js", "text/javascript; charset=utf-8"),
    (".svg", "image/svg+xml"),
];

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for (name, text) in FILES {
        for field in [name, text] {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
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
    let file = FILES.iter().find(|(known, _)| *known == name);
    let media_type = TYPES.iter().find(|(ending, _)| name.ends_with(ending));
    let Some(((_, text), (_, media_type))) = file.zip(media_type) else {
        let detail = format!("there is no {name:?} here");
        return Err(Problem::new(Code::NoSuchRoute, detail));
    };
    // The page may be another instance's, which is older or newer than this one.
    let cache = if asked == version() {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let mut response = text.into_response();
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn all_that_pages_load_is_light() {
        let all: usize = FILES.iter().map(|(_, text)| text.len()).sum();
        assert!(all < 70_000, "{all}");
    }

    #[test]
    fn every_file_is_embedded() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
        for folder in ["", "words"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                let loaded = TYPES.iter().any(|(ending, _)| name.ends_with(ending));
                let embedded = FILES.iter().any(|(known, _)| *known == name);
                assert_eq!(loaded, embedded, "{name}");
            }
        }
    }
}
