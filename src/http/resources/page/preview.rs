//! How a browser shows a file in a page without running anything in it.

use serde::Serialize;

use crate::http::resources::respond::is_inert;
use crate::model::StoredFile;
use crate::model::media_type::{essence, is_unknown};

/// The largest picture that is loaded whole to be shown small, in bytes.
const MAX_THUMBNAIL: u64 = 8 << 20;
/// The largest of which a script looks for no smaller one in it first, in bytes.
const LIGHT: u64 = 256 << 10;
/// The longest text of a foreign encoding that is shown, in bytes: a browser lays out all of it.
const MAX_TEXT: u64 = 2 << 20;
/// The most bytes of a text whose frame is low, and of one whose frame is not high.
const FEW_LINES: u64 = 240;
const SOME_LINES: u64 = 1200;

/// Types beside `text/…` that are text.
const TEXTS: [&str; 17] = [
    "application/json",
    "application/jsonl",
    "application/x-ndjson",
    "application/javascript",
    "application/xml",
    "application/toml",
    "application/yaml",
    "application/x-yaml",
    "application/sql",
    "application/x-sql",
    "application/x-sh",
    "application/x-httpd-php",
    "application/x-perl",
    "application/x-tex",
    "application/x-subrip",
    "application/x-python-code",
    "application/graphql",
];

/// Extensions of text that no table of types has.
#[rustfmt::skip]
const CODE: [&str; 31] = [
    "go", "ts", "tsx", "java", "kt", "rb", "swift", "diff", "patch", "r", "jl", "vue", "ps1", "bash",
    "lock", "gradle", "scala", "hs", "ex", "erl", "zig", "nix", "proto", "graphql", "tf", "dart",
    "gitignore", "editorconfig", "properties", "svelte", "ipynb",
];

/// The ways to show a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Preview {
    /// As a picture.
    Image,
    /// As a film.
    Video,
    /// As sound.
    Audio,
    /// In the browser's own viewer.
    Pdf,
    /// As text, which the server makes a page of.
    Text,
    /// As text in an encoding that only the browser knows.
    Raw,
}

impl Preview {
    /// How to show this file, if at all.
    pub fn of(file: &StoredFile) -> Option<Self> {
        let media_type = file.served_type();
        let essence = essence(media_type).to_ascii_lowercase();
        if file.size == 0 {
            return None;
        }
        let kind = essence.split('/').next()?;
        match kind {
            // In an `<img>` no script runs, and nothing is fetched from elsewhere.
            "image" if essence == "image/svg+xml" => return Some(Preview::Image),
            "image" if essence != "image/tiff" && is_inert(&essence) => {
                return Some(Preview::Image);
            }
            "audio" => return Some(Preview::Audio),
            _ if essence == "application/pdf" => return Some(Preview::Pdf),
            _ => {}
        }
        let code = is_code(file.name.as_str());
        if kind == "text" || TEXTS.contains(&essence.as_str()) || (is_unknown(&essence) && code) {
            return match is_foreign(media_type) {
                false => Some(Preview::Text),
                true => (is_inert(media_type) && file.size <= MAX_TEXT).then_some(Preview::Raw),
            };
        }
        match kind {
            // The table of extensions takes TypeScript for MPEG.
            "video" if code => Some(Preview::Text),
            "video" => Some(Preview::Video),
            _ => None,
        }
    }

    /// Whether it is Markdown that a page is made of.
    pub fn is_markdown(file: &StoredFile) -> bool {
        let essence = essence(file.served_type()).to_ascii_lowercase();
        matches!(essence.as_str(), "text/markdown" | "text/x-markdown")
            || (essence == "text/plain"
                && matches!(extension(file.name.as_str()).as_str(), "md" | "markdown"))
    }
}

/// Where the small picture of a file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Thumbnail {
    /// It is the picture itself, which a browser without scripts loads as well.
    Itself,
    /// A script looks for a smaller one in the picture (Exif), and takes the picture where there is
    /// none.
    Jpeg,
    /// A script looks for a smaller one in the picture, which is too large to be taken itself.
    Inside,
    /// A script takes the picture itself, where bytes are not dear.
    Other,
}

impl Thumbnail {
    /// Of a file that is shown so.
    pub fn of(file: &StoredFile, preview: Option<Preview>) -> Option<Self> {
        preview.filter(|preview| *preview == Preview::Image)?;
        let jpeg = essence(file.served_type()).eq_ignore_ascii_case("image/jpeg");
        match (jpeg, file.size) {
            (_, ..=LIGHT) => Some(Thumbnail::Itself),
            (true, ..=MAX_THUMBNAIL) => Some(Thumbnail::Jpeg),
            (true, _) => Some(Thumbnail::Inside),
            (false, ..=MAX_THUMBNAIL) => Some(Thumbnail::Other),
            (false, _) => None,
        }
    }

    /// Whether a picture of this size is loaded without a script.
    pub fn is_light(file: &StoredFile) -> bool {
        file.size <= MAX_THUMBNAIL
    }
}

/// How high the frame of a text is: its lines cannot be counted from outside.
pub fn height(file: &StoredFile) -> &'static str {
    match file.size {
        // Headings and tables are higher than their text is long.
        ..=FEW_LINES if !Preview::is_markdown(file) => "low",
        ..=SOME_LINES => "medium",
        _ => "high",
    }
}

/// The letters on the place of a picture: the extension, else nothing.
pub fn ending(name: &str) -> String {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let short = (1..=4).contains(&ending.chars().count());
    if short {
        ending.to_uppercase()
    } else {
        String::new()
    }
}

fn extension(name: &str) -> String {
    let extension = name.rsplit_once('.').map_or("", |(_, end)| end);
    extension.to_ascii_lowercase()
}

fn is_code(name: &str) -> bool {
    CODE.contains(&extension(name).as_str())
        || matches!(name, "Makefile" | "Dockerfile" | "LICENSE" | "README")
}

/// Whether the type says an encoding that is not UTF-8.
fn is_foreign(media_type: &str) -> bool {
    let lower = media_type.to_ascii_lowercase();
    let Some((_, charset)) = lower.split_once("charset=") else {
        return false;
    };
    let charset = charset.split(';').next().unwrap_or_default();
    let charset = charset.trim().trim_matches('"');
    !matches!(charset, "utf-8" | "utf8" | "us-ascii" | "ascii")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, media_type: &str) -> StoredFile {
        StoredFile {
            media_type: media_type.to_owned(),
            ..StoredFile::sample(name, 1)
        }
    }

    #[test]
    fn only_what_runs_nothing_is_shown() {
        for (media_type, expected) in [
            ("image/png", Some(Preview::Image)),
            ("IMAGE/JPEG; x=y", Some(Preview::Image)),
            ("image/svg+xml", Some(Preview::Image)),
            ("image/other+xml", None),
            ("image/tiff", None),
            ("video/mp4", Some(Preview::Video)),
            ("audio/ogg", Some(Preview::Audio)),
            ("text/plain; charset=utf-8", Some(Preview::Text)),
            ("text/plain; charset=\"GBK\"", Some(Preview::Raw)),
            ("text/html; charset=gbk", None),
            ("text/markdown", Some(Preview::Text)),
            ("text/csv; header=present", Some(Preview::Text)),
            ("application/json", Some(Preview::Text)),
            ("text/html", Some(Preview::Text)),
            ("text/xml", Some(Preview::Text)),
            ("text/javascript", Some(Preview::Text)),
            ("application/xhtml+xml", None),
            ("application/pdf", Some(Preview::Pdf)),
            ("application/octet-stream", None),
        ] {
            assert_eq!(
                Preview::of(&file("x", media_type)),
                expected,
                "{media_type}"
            );
        }
        let unknown = "application/octet-stream";
        for (name, expected) in [
            ("main.go", Some(Preview::Text)),
            ("a.ts", Some(Preview::Text)),
            ("Makefile", Some(Preview::Text)),
            ("a.png", Some(Preview::Image)),
            ("a.bin", None),
        ] {
            assert_eq!(Preview::of(&file(name, unknown)), expected, "{name}");
        }
        let empty = StoredFile::sample("a.txt", 0);
        assert_eq!(Preview::of(&empty), None);
        assert!(Preview::is_markdown(&file("a.md", "text/plain")));
        assert!(Preview::is_markdown(&file("a", "text/markdown; x=y")));
        assert!(!Preview::is_markdown(&file("a.txt", "text/plain")));
    }

    #[test]
    fn large_pictures_are_not_loaded_to_be_shown_small() {
        let of = |media_type: &str, size| {
            let file = StoredFile {
                media_type: media_type.to_owned(),
                ..StoredFile::sample("x", size)
            };
            Thumbnail::of(&file, Preview::of(&file))
        };
        assert_eq!(of("image/jpeg", LIGHT), Some(Thumbnail::Itself));
        assert_eq!(of("image/jpeg", MAX_THUMBNAIL), Some(Thumbnail::Jpeg));
        assert_eq!(of("image/jpeg", u64::MAX), Some(Thumbnail::Inside));
        assert_eq!(of("image/png", MAX_THUMBNAIL), Some(Thumbnail::Other));
        assert_eq!(of("image/png", MAX_THUMBNAIL + 1), None);
        assert_eq!(of("text/plain", 1), None);
    }

    #[test]
    fn short_extensions_stand_for_a_picture() {
        assert_eq!(
            [ending("a.tar.gz"), ending("README"), ending("a.extension")],
            ["GZ", "", ""]
        );
    }
}
