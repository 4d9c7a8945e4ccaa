//! The style sheets, scripts and pictures of the pages.

use std::sync::{LazyLock, OnceLock};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::Language;
use crate::http::AppState;
use crate::http::rules::extract::PathParams;
use crate::http::rules::look::Look;
use crate::http::rules::problem::{Code, Problem};

/// The files that the pages load.
#[rustfmt::skip]
const FILES: [(&str, &str); 24] = static_files!("":
    "card.js", "chosen.js", "dom.js", "drafts.js", "ended.js", "filter.js", "folder.js", "gallery.js",
    "history.js", "icon.svg", "index.js", "kept.js", "noscript.css", "other.js", "owner.js", "pace.js",
    "secret.js", "style.css", "thumbs.js", "transfer.js", "upload.css", "upload.js", "view.css", "words.js",
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
    base16ct::lower::encode_string(&hash.finalize()[..6])
});

/// A word that changes with any of the files, those of the brand as well. It stands in their
/// addresses, so that a browser may keep them for ever, and a module imports what fits it.
pub fn version(look: &Look) -> String {
    format!("{}{}", *VERSION, look.mark())
}

/// The files as they go out: on the first visit of a slow line, comments and indentation weigh.
static BARE: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
    let files = FILES.iter();
    files.map(|(name, text)| (*name, bare(text))).collect()
});

/// A script or style sheet without indentation, and without the comments that stand on lines of
/// their own. No text in them goes over several lines.
fn bare(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut commented = false;
    for line in text.lines().map(str::trim_start) {
        commented |= line.starts_with("/*");
        if !commented && !line.is_empty() && !line.starts_with("//") {
            out.push_str(line);
            out.push('\n');
        }
        commented &= !line.ends_with("*/");
    }
    out
}

/// The modules with the words of the languages, in their order.
static MODULES: LazyLock<Vec<OnceLock<String>>> =
    LazyLock::new(|| Language::all().map(|_| OnceLock::new()).collect());

/// The module with the words of a language that scripts say. The rest is in the pages already.
fn module_of(language: Language) -> Option<&'static str> {
    let place = Language::all().position(|it| it == language)?;
    let module = MODULES[place].get_or_init(|| {
        let words = language.words().as_object().into_iter().flatten();
        let said = words.filter(|(key, _)| is_said(key));
        let said: Map<String, Value> = said
            .map(|(key, text)| (key.clone(), text.clone()))
            .collect();
        format!("export default {}\n", Value::Object(said))
    });
    Some(module)
}

/// Whether a script names this key, as a text or as a member of the words.
fn is_said(key: &str) -> bool {
    let named = [format!("\"{key}\""), format!("words.{key}")];
    let scripts = BARE.iter().filter(|(name, _)| name.ends_with(".js"));
    let mut texts = scripts.map(|(_, text)| text);
    texts.any(|text| named.iter().any(|name| text.contains(name)))
}

/// The text of a file, or the module with the words of a language: `words/en.js`.
fn text_of(name: &str) -> Option<&'static str> {
    let module = name.strip_prefix("words/");
    if let Some(tag) = module.and_then(|name| name.strip_suffix(".js")) {
        return Language::of_tag(tag).and_then(module_of);
    }
    let file = BARE.iter().find(|(known, _)| *known == name);
    file.map(|(_, text)| text.as_str())
}

/// The rules for crawlers: they may fetch the first page. A download may be one of few, and the page
/// of an upload says by itself, where it is fetched, that it is not to be listed.
const ROBOTS: &str = "User-agent: *\nDisallow: /archive/\nDisallow: /download\nDisallow: /files\n";

/// `GET /robots.txt`
pub async fn robots() -> Response {
    kept(ROBOTS, "text/plain; charset=utf-8", "public, max-age=86400")
}

/// `GET /favicon.ico`, for programs that ask without having read a page.
pub async fn favicon(State(app): State<AppState>) -> Response {
    let own = || {
        (
            Bytes::from_static(static_file!("icon.svg").as_bytes()),
            "image/svg+xml",
        )
    };
    let (icon, media_type) = app.look.icon().unwrap_or_else(own);
    kept(icon, media_type, "public, max-age=86400")
}

fn kept(content: impl IntoResponse, media_type: &'static str, cache: &'static str) -> Response {
    let mut response = content.into_response();
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    // A drawing that is opened by itself runs nothing.
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");
    if media_type == "image/svg+xml" {
        fields.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// `GET /static/VERSION/NAME`
pub async fn serve(
    State(app): State<AppState>,
    PathParams((asked, name)): PathParams<(String, String)>,
) -> Result<Response, Problem> {
    let media_type = || TYPES.iter().find(|(ending, _)| name.ends_with(ending));
    let own = || {
        Some((
            Bytes::from_static(text_of(&name)?.as_bytes()),
            media_type()?.1,
        ))
    };
    let Some((content, media_type)) = app.look.file(&name).or_else(own) else {
        let detail = format!("there is no {name:?} here");
        return Err(Problem::new(Code::NoSuchRoute, detail));
    };
    // The page may be another instance's, which is older or newer than this one.
    let cache = if asked == version(&app.look) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    Ok(kept(content, media_type, cache))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_goes_out_has_no_comments() {
        let text = "// one\n/** two */\n/**\n * three\n */\nlet a = \"//\"; // four\n  b();\n\n";
        assert_eq!(bare(text), "let a = \"//\"; // four\nb();\n");
        for (name, text) in BARE.iter() {
            assert!(!text.is_empty() && !text.contains("/**"), "{name}");
        }
    }

    /// A key that a script makes of parts would not be found: none does.
    #[test]
    fn scripts_get_the_words_they_say_and_no_more() {
        let text = module_of(Language::fallback()).unwrap();
        let json = text.strip_prefix("export default ").unwrap();
        let words: Map<String, Value> = serde_json::from_str(json).unwrap();
        for (name, text) in BARE.iter().filter(|(name, _)| name.ends_with(".js")) {
            for call in ["say(", "count("] {
                for rest in text.split(call).skip(1) {
                    let key = rest
                        .strip_prefix('"')
                        .and_then(|rest| rest.split('"').next());
                    assert!(
                        key.is_none_or(|key| words.contains_key(key)),
                        "{name}: {key:?}"
                    );
                }
            }
        }
        assert!(words["files"]["other"].is_string() && words["problems"].is_object());
        assert!(words.contains_key("unit_w") && words.contains_key("waiting"));
        assert!(!words.contains_key("command_line_more"), "{words:?}");
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
