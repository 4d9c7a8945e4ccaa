//! The page of an upload, for readers that were given its link; more for its sender.

use std::time::Duration;

use percent_encoding::utf8_percent_encode;
use serde_json::{Value, json};

use super::preview::{self, Preview, Thumbnail};
use super::texts::Texts;
use super::tree::{self, Leaf, Line};
use super::{Language, PageReader, qr, words};
use crate::archive::Format;
use crate::http::resources::record;
use crate::ingest;
use crate::model::{Manifest, Portion, StoredFile, Timestamp};

/// The most files that a page lists. The rest is in the archive and the form.
const MAX_ROWS: usize = 3000;
/// The most files whose folders are open at first.
const OPEN_ROWS: usize = 40;
/// From so many files on they can be searched.
const SEARCHED_ROWS: usize = 15;
/// From so many files on, previews and checksums are pages of their own: each row is a few hundred
/// bytes even so.
const MANY_ROWS: usize = 100;
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
    /// Whether all checksums are asked for, however many there are.
    pub checksums: bool,
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
    /// Comes from this browser's own list: scripts know the token.
    Listed,
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
    let few = count < MANY_ROWS || view.checksums;
    let has_digests = manifest.files().any(|(_, file)| file.sha256.is_some());
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
        "many": count >= MANY_ROWS,
        "digests": few.then(|| list.digests()),
        "digests_apart": !few && has_digests,
        "checksums": view.checksums,
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
        "sender": matches!(view.reader, Reader::Sender | Reader::Listed),
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

/// The name of an upload on its page: its title, else the file, the folder around all files, or how
/// many there are.
fn title(language: Language, manifest: &Manifest, texts: &Texts) -> String {
    if let Some(title) = &manifest.title {
        return title.to_string();
    }
    let mut files = manifest.files().map(|(_, file)| file);
    match (files.next(), files.next()) {
        (None, _) if texts.is_empty() => language.say("nothing", &[]),
        (None, _) => language.say("text_only", &[]),
        (Some(only), None) => only.name.as_str().to_owned(),
        _ => match folder_of(manifest) {
            Some(folder) => folder.to_owned(),
            None => language.count("files", manifest.files().count() as u64),
        },
    }
}

/// The folder that all files are in; the scripts call an upload so as well.
fn folder_of(manifest: &Manifest) -> Option<&str> {
    let mut folders = manifest.files().map(|(_, file)| {
        let parts = file.path().split_once('/');
        parts.map(|(folder, _)| folder)
    });
    let first = folders.next()??;
    folders.all(|folder| folder == Some(first)).then_some(first)
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
struct List<'a> {
    shown: Vec<&'a StoredFile>,
    lines: Vec<Value>,
    /// Whether the files outside of folders are shown as pictures.
    pictures: bool,
    /// The one file, where there is exactly one.
    only: Option<Value>,
}

impl<'a> List<'a> {
    fn of(reader: &PageReader, manifest: &'a Manifest) -> List<'a> {
        let files = manifest.files().map(|(_, file)| file);
        let shown: Vec<&StoredFile> = files.take(MAX_ROWS).collect();
        let rows = Rows::of(reader, manifest, &shown);
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
        let only = match shown[..] {
            [only] => Some(rows.row(only, only.name.as_str())),
            _ => None,
        };
        List {
            shown,
            lines,
            pictures,
            only,
        }
    }

    /// The lines that `sha256sum --check` reads.
    fn digests(&self) -> String {
        let lines = self.shown.iter().filter_map(|file| {
            let digest = file.sha256?;
            Some(format!("{digest}  {}\n", file.path()))
        });
        lines.collect()
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
            "light": Thumbnail::is_light(file),
            "preload": if self.few_media { "metadata" } else { "none" },
            "preview_of": language.say("preview_of", &[("name", name)]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FilePath, Part};

    #[test]
    fn files_of_one_folder_are_called_by_it() {
        let called = |paths: &[&str]| {
            let files = paths.iter().map(|path| {
                let name = path.rsplit('/').next().unwrap();
                let mut file = StoredFile::sample(name, 1);
                file.path = path.contains('/').then(|| FilePath::parse(path).unwrap());
                Part::sample(file)
            });
            let manifest = Manifest::sample(files.collect());
            title(Language::fallback(), &manifest, &Texts::default())
        };
        assert_eq!(called(&["trip/a", "trip/b/c"]), "trip");
        assert_eq!(called(&["trip/a", "trips/b"]), "2 files");
        assert_eq!(called(&["trip/a", "b", "trip/c"]), "3 files");
        assert_eq!(called(&["trip/a"]), "a");
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
