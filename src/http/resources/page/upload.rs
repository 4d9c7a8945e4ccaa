//! The page of an upload.

use serde_json::{Value, json};

use super::{PageReader, qr, words};
use crate::form::display_name;
use crate::http::resources::record;
use crate::http::resources::respond::{is_inert, is_json_lines};
use crate::ingest;
use crate::model::media_type::essence;
use crate::model::{Manifest, Portion, StoredFile};

/// The largest picture that is loaded to be shown small, in bytes.
const MAX_THUMBNAIL: u64 = 8 << 20;
/// The longest text that is shown, in bytes: a browser lays out all of it.
const MAX_TEXT: u64 = 2 << 20;

/// The bytes of all text fields that a page shows: a page is made at once, for each of its readers.
const MAX_TEXTS: usize = 64 << 10;

/// An upload as its page shows it.
pub struct View<'a> {
    /// The upload.
    pub manifest: &'a Manifest,
    /// Its address for others.
    pub link: &'a str,
    /// Whether the reader has its delete token in a cookie; other readers have to type it.
    pub owner: bool,
    /// Whether its deadline has just been set.
    pub changed: bool,
    /// The limits of the choices that the page offers.
    pub options: &'a ingest::IngestOptions,
    /// The token of its form; see [`super::form_field`].
    pub form_token: &'a str,
}

/// How a browser can show a file in a page without running anything in it.
fn preview(file: &StoredFile) -> Option<&'static str> {
    let media_type = file.served_type();
    let essence = essence(media_type).to_ascii_lowercase();
    if !is_inert(media_type) || file.size == 0 {
        return None;
    }
    match essence.split('/').next()? {
        "image" if essence != "image/tiff" => Some("image"),
        "video" => Some("video"),
        "audio" => Some("audio"),
        "text" => Some("text"),
        _ if essence == "application/json" || is_json_lines(&essence) => Some("text"),
        _ => None,
    }
    .filter(|&kind| kind != "text" || file.size <= MAX_TEXT)
}

/// The letters on the place of a picture: the extension, else nothing.
fn ending(name: &str) -> String {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let short = (1..=4).contains(&ending.chars().count());
    if short {
        ending.to_uppercase()
    } else {
        String::new()
    }
}

/// The values of the template.
pub fn values(reader: &PageReader, view: &View) -> Value {
    let PageReader { language, base } = *reader;
    let View { manifest, link, .. } = *view;
    // To look at a file would take one of its downloads.
    let free = manifest.max_downloads.is_none();
    let is_left = |file| manifest.downloads_left_of(file) != Some(0);
    let files: Vec<Value> = manifest
        .files()
        .map(|(_, file)| {
            let preview = preview(file).filter(|_| free);
            let name = file.name.as_str();
            json!({
                "name": name,
                "size": language.size(file.size),
                "bytes": file.size,
                "type": file.served_type(),
                "sha256": file.sha256,
                // One that is used up would be a dead end.
                "url": is_left(file).then(|| record::file_url(manifest, file, base)),
                "ending": ending(name),
                "preview": preview,
                "thumbnail": preview == Some("image") && file.size <= MAX_THUMBNAIL,
                "download": language.say("download_what", &[("name", name)]),
                "preview_of": language.say("preview_of", &[("name", name)]),
            })
        })
        .collect();
    let (fields, text_cut) = texts(manifest);
    let own = manifest.title.as_ref().map(ToString::to_string);
    let title = own.unwrap_or_else(|| match files.as_slice() {
        [] if fields.is_empty() => language.say("nothing", &[]),
        [] => language.say("text_only", &[]),
        [only] => only["name"].as_str().unwrap_or_default().to_owned(),
        files => language.count("files", files.len() as u64),
    });
    let until = match manifest.expires_at {
        None => language.say("until_deleted", &[]),
        Some(time) => language.say("until", &[("time", &words::minute(time))]),
    };
    let left = manifest.max_downloads.map(|max| {
        let left = manifest.downloads_left().unwrap_or(max).to_string();
        language.say("left_of", &[("n", &left), ("max", &max.to_string())])
    });
    json!({
        "title": title,
        "titled": manifest.title.is_some(),
        "id": manifest.id,
        "link": link,
        "qr": qr::path(link),
        "files": files,
        "fields": fields,
        "text_cut": text_cut,
        // All files can be had at once.
        "whole": manifest.allows(&Portion::Form),
        "size": language.size(manifest.size()),
        "created_at": manifest.created_at.to_string(),
        "created": words::minute(manifest.created_at),
        "expires_at": manifest.expires_at.map(|time| time.to_string()),
        "until": until,
        "left": left,
        "owner": view.owner,
        "changed": view.changed,
        "lifetimes": reader.lifetimes(view.options),
        "form_field": ingest::FORM_FIELD,
        "form_token": view.form_token,
        "wants_previews": !free && manifest.files().any(|(_, file)| preview(file).is_some()),
    })
}

/// The text fields, as many bytes of them as a page shows; and whether that is not all.
fn texts(manifest: &Manifest) -> (Vec<Value>, bool) {
    let mut room = MAX_TEXTS;
    let mut fields = Vec::new();
    for field in manifest.fields() {
        let name = display_name(field.field.as_bytes());
        let (name, value) = (String::from_utf8_lossy(&name), field.value.to_text());
        let (name, whole_name) = beginning(&name, &mut room);
        let (value, whole_value) = beginning(&value, &mut room);
        fields.push(json!({ "name": name, "value": value }));
        if !whole_name || !whole_value {
            return (fields, true);
        }
    }
    (fields, false)
}

/// As much of a text as there is `room` for, which is less then; and whether that is all of it.
fn beginning<'a>(text: &'a str, room: &mut usize) -> (&'a str, bool) {
    let mut end = text.len().min(*room);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    *room -= end;
    (&text[..end], end == text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Field, FileName, Part};

    #[test]
    fn a_page_shows_the_beginning_of_long_texts() {
        let field = |value: &str| {
            Part::Field(Field {
                field: b"f%22"[..].into(),
                value: value.to_owned().into(),
                media_type: None,
                rest: Default::default(),
            })
        };
        let short = Manifest::sample(vec![field("a"), field("")]);
        assert_eq!(
            texts(&short),
            (
                vec![
                    json!({ "name": "f\"", "value": "a" }),
                    json!({ "name": "f\"", "value": "" })
                ],
                false
            )
        );
        let long = "\u{4e2d}".repeat(MAX_TEXTS);
        let (fields, cut) = texts(&Manifest::sample(vec![field(&long); 3]));
        assert_eq!((fields.len(), cut), (1, true));
        let shown = fields[0]["value"].as_str().unwrap();
        assert!(shown.len() <= MAX_TEXTS && shown.len() > MAX_TEXTS - 9);
    }

    #[test]
    fn only_what_runs_nothing_is_shown() {
        for (media_type, expected) in [
            ("image/png", Some("image")),
            ("IMAGE/JPEG; x=y", Some("image")),
            ("image/svg+xml", None),
            ("video/mp4", Some("video")),
            ("audio/ogg", Some("audio")),
            ("text/plain; charset=utf-8", Some("text")),
            ("text/markdown", Some("text")),
            ("text/csv; header=present", Some("text")),
            ("application/json", Some("text")),
            ("text/html", None),
            ("text/xml", None),
            ("text/javascript", None),
            ("application/xhtml+xml", None),
            ("application/pdf", None),
            ("application/octet-stream", None),
        ] {
            let file = StoredFile {
                name: FileName::from_upload(b"x"),
                original: b"x"[..].into(),
                path: None,
                size: 1,
                extended: None,
                media_type: media_type.to_owned(),
                given_type: None,
                sha256: None,
                crc32: None,
                used: None,
                rest: Default::default(),
            };
            assert_eq!(preview(&file), expected, "{media_type}");
        }
        assert_eq!(
            [ending("a.tar.gz"), ending("README"), ending("a.extension")],
            ["GZ", "", ""]
        );
    }
}
