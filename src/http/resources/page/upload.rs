//! The page of an upload, for readers that were given its link; more for its sender.

use std::time::Duration;

use percent_encoding::utf8_percent_encode;
use serde_json::{Value, json};

use super::preview::{self, Preview, Thumbnail};
use super::tree::{self, Leaf, Line};
use super::{Language, PageReader, qr, words};
use crate::archive::Format;
use crate::form::display_name;
use crate::http::resources::record;
use crate::ingest;
use crate::model::{Manifest, Portion, StoredFile, Timestamp};

/// The bytes of all text fields that a page shows: a page is made at once, for each of its readers.
const MAX_TEXTS: usize = 64 << 10;
/// The most files that a page lists. The rest is in the archive and the form.
const MAX_ROWS: usize = 3000;
/// The most files whose folders are open at first.
const OPEN_ROWS: usize = 40;
/// From so many files on they can be searched.
const SEARCHED_ROWS: usize = 15;
/// Sound and films of which the length is asked for before they are played.
const FEW_MEDIA: usize = 4;

/// An upload as its page shows it.
pub struct View<'a> {
    /// The upload.
    pub manifest: &'a Manifest,
    /// Its address for others.
    pub link: &'a str,
    /// The time.
    pub now: Timestamp,
    /// The rights of the reader.
    pub reader: Reader,
    /// Whether its deadline has just been set.
    pub changed: bool,
    /// The limits of the choices that the page offers.
    pub options: &'a ingest::IngestOptions,
    /// The token of its form; see [`super::form_field`].
    pub form_token: &'a str,
}

/// The reader of an upload's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Was given the link.
    Recipient,
    /// Has its delete token in a cookie.
    Sender,
    /// Says that the token can be typed.
    Claims,
    /// Has typed one that is not its.
    Mistaken,
}

/// The values of the template.
pub fn values(reader: &PageReader, view: &View) -> Value {
    let language = reader.language;
    let View { manifest, link, .. } = *view;
    let texts = Texts::of(manifest);
    let list = List::of(reader, manifest);
    let count = manifest.files().count();
    let until = match manifest.expires_at {
        None => language.say("until_deleted", &[]),
        Some(time) => language.say("until", &[("time", &words::minute(time))]),
    };
    let left = manifest.max_downloads.map(|max| {
        let left = manifest.downloads_left().unwrap_or(max).to_string();
        language.say("left_of", &[("n", &left), ("max", &max.to_string())])
    });
    // All files can be had at once.
    let whole = manifest.allows(&Portion::Form) && count > 0;
    json!({
        "title": title(language, manifest, &texts),
        "id": manifest.id,
        "link": link,
        "qr": qr::path(link),
        "from": texts.from,
        "note": texts.note,
        "fields": texts.others,
        "text_cut": texts.cut,
        "file_count": count,
        "only": list.only,
        "lines": list.lines,
        "pictures": list.pictures,
        "searchable": count >= SEARCHED_ROWS,
        "not_listed": count.saturating_sub(MAX_ROWS),
        "digests": list.digests,
        "whole": whole,
        "archive": whole.then(|| record::archive_url(&manifest.id, Format::Zip, reader.base)),
        "files_of": language.count("files", count as u64),
        "size": language.size(manifest.size()),
        "created_at": manifest.created_at.to_string(),
        "created": words::minute(manifest.created_at),
        "expires_at": manifest.expires_at.map(|time| time.to_string()),
        "expires": expires(language, manifest.expires_at, view.now),
        "until": until,
        "left": left,
        "sender": view.reader == Reader::Sender,
        "claims": matches!(view.reader, Reader::Claims | Reader::Mistaken),
        "mistaken": view.reader == Reader::Mistaken,
        "changed": view.changed,
        "lifetimes": reader.lifetimes(view.options),
        "max_expires_in": view.options.max_expires_in.map(|span| span.as_secs()),
        "form_field": ingest::FORM_FIELD,
        "form_token": view.form_token,
        "wants_previews": manifest.max_downloads.is_some()
            && manifest.files().any(|(_, file)| Preview::of(file).is_some()),
    })
}

/// The name of an upload on its page: its title, else the file or how many there are.
fn title(language: Language, manifest: &Manifest, texts: &Texts) -> String {
    if let Some(title) = &manifest.title {
        return title.to_string();
    }
    let mut files = manifest.files().map(|(_, file)| file);
    match (files.next(), files.next()) {
        (None, _) if texts.is_empty() => language.say("nothing", &[]),
        (None, _) => language.say("text_only", &[]),
        (Some(only), None) => only.name.as_str().to_owned(),
        _ => language.count("files", manifest.files().count() as u64),
    }
}

/// How long an upload is kept from now on, about.
fn expires(language: Language, end: Option<Timestamp>, now: Timestamp) -> String {
    match end {
        None => language.say("kept", &[("until", &language.say("until_deleted", &[]))]),
        Some(end) => {
            let left = about(language, end.since(now));
            language.say("expires_in", &[("span", &left)])
        }
    }
}

/// A span of time in one unit, rounded, as the scripts say it.
fn about(language: Language, span: Duration) -> String {
    let seconds = span.as_secs();
    let rounded = |unit: u64| (seconds + unit / 2) / unit;
    match seconds {
        ..90 => language.count("seconds", seconds.max(1)),
        90..5_400 => language.count("minutes", rounded(60)),
        5_400..172_800 => language.count("hours", rounded(3600)),
        _ => language.count("days", rounded(86_400)),
    }
}

/// The files as the page lists them.
struct List {
    lines: Vec<Value>,
    /// Whether the files outside of folders are shown as pictures.
    pictures: bool,
    /// The one file, where there is exactly one.
    only: Option<Value>,
    /// The lines that `sha256sum --check` reads.
    digests: String,
}

impl List {
    fn of(reader: &PageReader, manifest: &Manifest) -> List {
        let files: Vec<&StoredFile> = manifest.files().map(|(_, file)| file).collect();
        let shown = &files[..files.len().min(MAX_ROWS)];
        let rows = Rows::of(reader, manifest, shown);
        let leaves = shown.iter().map(|file| Leaf {
            path: file.path(),
            size: file.size,
            picture: rows.shown_as(file) == Some(Preview::Image),
        });
        let (lines, pictures) = tree::lines(leaves);
        let open = shown.len() <= OPEN_ROWS;
        // A folder around all of them is no use closed.
        let wraps =
            |line: &&Line| matches!(line, Line::Open { files, .. } if *files == shown.len());
        let wrapping = lines.iter().take_while(wraps).count();
        let lines = lines.iter().enumerate().map(|(at, line)| match line {
            Line::Open {
                name,
                files,
                size,
                pictures,
            } => {
                let files = reader.language.count("files", *files as u64);
                json!({
                    "open": name,
                    "meta": format!("{files} · {}", reader.language.size(*size)),
                    "pictures": pictures,
                    "expanded": open || at < wrapping,
                })
            }
            Line::Close => json!({ "close": true }),
            Line::File(index, name) => rows.row(shown[*index], name),
        });
        let lines = lines.collect();
        let only = match shown {
            [only] => Some(rows.row(only, only.name.as_str())),
            _ => None,
        };
        let digests = shown.iter().filter_map(|file| {
            let digest = file.sha256?;
            Some(format!("{digest}  {}\n", file.path()))
        });
        List {
            lines,
            pictures,
            only,
            digests: digests.collect(),
        }
    }
}

/// The values that the rows of all files depend on.
struct Rows<'a> {
    reader: &'a PageReader<'a>,
    manifest: &'a Manifest,
    /// Whether media tell their length before they are played.
    few_media: bool,
}

impl<'a> Rows<'a> {
    fn of(reader: &'a PageReader, manifest: &'a Manifest, files: &[&StoredFile]) -> Self {
        let media = |file: &&&StoredFile| {
            matches!(Preview::of(file), Some(Preview::Audio | Preview::Video))
        };
        Rows {
            reader,
            manifest,
            few_media: files.iter().filter(media).count() <= FEW_MEDIA,
        }
    }

    /// How a file is shown. To look at one whose downloads are counted would take one of them.
    fn shown_as(&self, file: &StoredFile) -> Option<Preview> {
        Preview::of(file).filter(|_| self.manifest.max_downloads.is_none())
    }

    /// A file as `name` in its folder.
    fn row(&self, file: &StoredFile, name: &str) -> Value {
        let PageReader { language, base, .. } = *self.reader;
        let preview = self.shown_as(file);
        let left = self.manifest.downloads_left_of(file) != Some(0);
        let view = (preview == Some(Preview::Text)).then(|| {
            let name = utf8_percent_encode(file.name.as_str(), record::SEGMENT);
            format!("{base}/uploads/{}/view/{name}", self.manifest.id)
        });
        json!({
            "name": name,
            "size": language.size(file.size),
            "type": file.served_type(),
            // One that is used up would be a dead end.
            "url": left.then(|| record::file_url(self.manifest, file, base)),
            "view": view,
            "ending": preview::ending(name),
            "preview": preview,
            "height": preview::height(file),
            "thumbnail": Thumbnail::of(file, preview),
            "bytes": file.size,
            "light": Thumbnail::is_light(file),
            "preload": if self.few_media { "metadata" } else { "none" },
            "preview_of": language.say("preview_of", &[("name", name)]),
        })
    }
}

/// The text fields, as many bytes of them as a page shows.
#[derive(Default)]
struct Texts {
    /// The sender, and the sender's note: the fields of the first page.
    from: Option<String>,
    note: Option<String>,
    /// All others, names and values.
    others: Vec<Value>,
    /// Whether that is not all.
    cut: bool,
}

impl Texts {
    fn of(manifest: &Manifest) -> Texts {
        let mut room = MAX_TEXTS;
        let mut texts = Texts::default();
        for field in manifest.fields() {
            let name = display_name(field.field.as_bytes());
            let (name, value) = (String::from_utf8_lossy(&name), field.value.to_text());
            let (name, whole_name) = beginning(&name, &mut room);
            let (value, whole_value) = beginning(&value, &mut room);
            texts.add(name, value);
            if !whole_name || !whole_value {
                texts.cut = true;
                break;
            }
        }
        texts
    }

    /// Adds a field. A form without scripts sends those that were left empty.
    fn add(&mut self, name: &str, value: &str) {
        let own = match name {
            "from" => Some(&mut self.from),
            "note" => Some(&mut self.note),
            _ => None,
        };
        match own {
            Some(_) if value.trim().is_empty() => {}
            Some(own) if own.is_none() => *own = Some(value.to_owned()),
            _ => self.others.push(json!({ "name": name, "value": value })),
        }
    }

    fn is_empty(&self) -> bool {
        self.from.is_none() && self.note.is_none() && self.others.is_empty()
    }
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
    use crate::model::{Field, Part};

    fn field(name: &'static [u8], value: &str) -> Part {
        Part::Field(Field {
            field: name.into(),
            value: value.to_owned().into(),
            media_type: None,
            rest: Default::default(),
        })
    }

    #[test]
    fn a_page_shows_the_beginning_of_long_texts() {
        let short = Texts::of(&Manifest::sample(vec![
            field(b"f%22", "a"),
            field(b"f", ""),
        ]));
        assert_eq!(
            short.others,
            [
                json!({ "name": "f\"", "value": "a" }),
                json!({ "name": "f", "value": "" })
            ]
        );
        assert!(!short.cut);
        let long = "\u{4e2d}".repeat(MAX_TEXTS);
        let parts = (0..3).map(|_| field(b"f", &long)).collect();
        let texts = Texts::of(&Manifest::sample(parts));
        assert_eq!((texts.others.len(), texts.cut), (1, true));
        let shown = texts.others[0]["value"].as_str().unwrap();
        assert!(shown.len() <= MAX_TEXTS && shown.len() > MAX_TEXTS - 9);
    }

    #[test]
    fn a_message_is_told_apart_from_other_fields() {
        let texts = Texts::of(&Manifest::sample(vec![
            field(b"from", "Ana"),
            field(b"note", " "),
            field(b"note", "hello"),
            field(b"note", "again"),
        ]));
        assert_eq!(texts.from.as_deref(), Some("Ana"));
        assert_eq!(texts.note.as_deref(), Some("hello"));
        assert_eq!(texts.others, [json!({ "name": "note", "value": "again" })]);
        assert!(!texts.is_empty());
        assert!(Texts::of(&Manifest::sample(vec![field(b"note", "")])).is_empty());
    }

    #[test]
    fn the_time_that_is_left_is_said_in_one_unit() {
        let now = Timestamp::from_millis(1_000_000);
        for (seconds, said) in [
            (0, "1 second"),
            (89, "89 seconds"),
            (90, "2 minutes"),
            (23 * 3600 - 1, "23 hours"),
            (47 * 3600, "47 hours"),
            (7 * 86_400 - 5, "7 days"),
        ] {
            let end = now.after(Duration::from_secs(seconds));
            let expected = format!("expires in {said}");
            assert_eq!(expires(Language::fallback(), Some(end), now), expected);
        }
        let never = expires(Language::fallback(), None, now);
        assert_eq!(never, "kept until deleted");
    }

    /// A row is a few hundred bytes, and there are only so many of them.
    #[test]
    fn a_page_of_very_many_files_is_bounded() {
        let files = (0..MAX_ROWS + 5).map(|i| Part::sample(StoredFile::sample(&format!("{i}"), 9)));
        let manifest = Manifest::sample(files.collect());
        let reader = PageReader {
            language: Language::fallback(),
            base: "",
            look: &crate::http::rules::look::Look::plain(),
        };
        let list = List::of(&reader, &manifest);
        assert_eq!(list.lines.len(), MAX_ROWS);
        assert!(list.only.is_none());
    }
}
