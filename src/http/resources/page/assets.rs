//! The style sheets, scripts and pictures of the pages.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use sha2::{Digest as _, Sha256};

use super::Language;
use crate::http::rules::extract::PathParams;
use crate::http::rules::problem::{Code, Problem};

/// What the pages load.
#[rustfmt::skip]
const FILES: [(&str, &str); 12] = static_files!("":
    "card.js", "chosen.js", "dom.js", "icon.svg", "index.js", "kept.js", "noscript.css", "save.js",
    "style.css", "transfer.js", "upload.js", "words.js",
);

/// The media type of a file, by the end of its name.
const TYPES: [(&str, &str); 3] = [
    (".css", "text/css; charset=utf-8"),
    (".js", "text/javascript; charset=utf-8"),
    (".svg", "image/svg+xml"),
];

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    let words = Language::all().map(|language| (language.tag(), language.source()));
    for (name, text) in FILES.into_iter().chain(words) {
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

/// The text of a file, or the module with the words of a language: `words/en.js`.
fn text_of(name: &str) -> Option<&'static str> {
    let module = name.strip_prefix("words/");
    if let Some(tag) = module.and_then(|name| name.strip_suffix(".js")) {
        return Language::of_tag(tag).map(Language::script);
    }
    let mut files = FILES.iter();
    files
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}

/// `GET /static/VERSION/NAME`
pub async fn serve(
    PathParams((asked, name)): PathParams<(String, String)>,
) -> Result<Response, Problem> {
    let media_type = TYPES.iter().find(|(ending, _)| name.ends_with(ending));
    let Some((text, (_, media_type))) = text_of(&name).zip(media_type) else {
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
        let files: usize = FILES.iter().map(|(_, text)| text.len()).sum();
        let words = Language::all().map(|language| language.script().len());
        let all = files + words.max().unwrap_or_default();
        assert!(all < 70_000, "{all}");
    }

    #[test]
    fn every_file_is_embedded() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
        for entry in std::fs::read_dir(&root).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
            let loaded = TYPES.iter().any(|(ending, _)| name.ends_with(ending));
            assert_eq!(loaded, text_of(name).is_some(), "{name}");
        }
        let words = root.join("words");
        for entry in std::fs::read_dir(words).unwrap() {
            let path = entry.unwrap().path();
            let tag = path.file_stem().unwrap().to_str().unwrap();
            assert!(text_of(&format!("words/{tag}.js")).is_some(), "{path:?}");
        }
    }
}
