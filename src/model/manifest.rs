//! The truth about one upload.

use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::media_type::{guess, is_unknown};
use super::{
    Digest, FileName, FilePath, Members, RawText, Salt, Timestamp, Title, TokenHash, UploadId,
};

/// How far the order of an upload may be above its creation.
const AHEAD: Duration = Duration::from_secs(3600);

/// The record of one upload, stored beside its files as JSON (`docs/manifest.md`). An
/// upload without one does not exist: writing it is the commit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Manifest {
    /// The layout of this record: the lowest that can express it, and never lower than the one that
    /// it was read in.
    pub schema: u32,
    /// Counts the versions of this manifest, from 1: the store replaces one only by the next.
    pub generation: u64,
    /// The upload.
    pub id: UploadId,
    /// When it was committed, by the clock.
    pub created_at: Timestamp,
    /// Its [order](Self::order), where that is not when it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Timestamp>,
    /// From when on it does not exist any more.
    pub expires_at: Option<Timestamp>,
    /// How many whole downloads it allows of each of its files.
    pub max_downloads: Option<u64>,
    /// How many of those are used: the most of any file, and of those that say nothing else. Of a
    /// form without files: how many downloads of the form are.
    pub used: u64,
    /// Random bytes of which the boundary and the `ETag` of the form are made.
    pub salt: Salt,
    /// The hash of the delete token.
    #[serde(alias = "delete_token_sha256")]
    pub delete_token: TokenHash,
    /// The form, in its order.
    pub parts: Vec<Part>,
    /// The title that its sender gave. A version that does not know it may lose it.
    #[serde(default)]
    pub title: Option<Title>,
    /// How many of its versions changed nothing that a record shows. A version that does not know it
    /// may lose it.
    #[serde(default)]
    pub unseen: u64,
    /// The members that a later version has written: kept when the manifest is replaced.
    #[serde(flatten)]
    pub rest: Members,
}

impl Manifest {
    /// The order, which decides which upload of a name is the newest: the highest is. It is
    /// above `created_at` where the clock was behind that of another upload of one of its names,
    /// by no more than an hour.
    pub fn order(&self) -> Timestamp {
        let latest = self.created_at.after(AHEAD);
        self.order.map_or(self.created_at, |order| {
            order.clamp(self.created_at, latest)
        })
    }

    /// Gives it an order.
    pub fn follow(&mut self, order: Timestamp) {
        self.order = (order > self.created_at).then_some(order);
    }

    /// The order of an upload created at `at`, where `newest` is the highest of all others of its
    /// names.
    pub fn order_behind(at: Timestamp, newest: Timestamp) -> Timestamp {
        let next = newest.after(Duration::from_millis(1));
        next.clamp(at, at.after(AHEAD))
    }

    /// The highest order that an upload created at `at` can have.
    pub fn latest_order(at: Timestamp) -> Timestamp {
        at.after(AHEAD)
    }

    /// Whether `newest` is so far from an upload created at `at` that only a wrong clock explains
    /// it.
    pub fn is_ahead(at: Timestamp, newest: Timestamp) -> bool {
        newest > at.after(AHEAD)
    }

    /// The version of what a record shows: the entity tag of the record.
    pub fn revision(&self) -> u64 {
        self.generation.saturating_sub(self.unseen)
    }

    /// Whether the upload has come to its deadline, or to the last of its downloads.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|deadline| deadline <= now) || !self.has_downloads()
    }

    /// The files of the form, in its order.
    pub fn files(&self) -> impl Iterator<Item = (&RawText, &StoredFile)> {
        files(&self.parts)
    }

    /// The files among some parts of the form, in its order.
    pub fn files_among(&self, parts: Range<usize>) -> impl Iterator<Item = &StoredFile> {
        files(&self.parts[parts]).map(|(_, file)| file)
    }

    /// The file of that stored name.
    pub fn file(&self, name: &FileName) -> Option<(&RawText, &StoredFile)> {
        self.files().find(|(_, file)| file.name == *name)
    }

    /// The text fields of the form, in its order.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(field) => Some(field),
            Part::File { .. } => None,
        })
    }

    /// Bytes of all files together.
    pub fn size(&self) -> u64 {
        let sizes = self.files().map(|(_, file)| file.size);
        sizes.fold(0, u64::saturating_add)
    }
}

impl Manifest {
    /// The bytes that it takes in memory, about.
    pub fn weight(&self) -> usize {
        let parts = self.parts.iter().map(Part::weight).sum::<usize>();
        let title = self.title.as_ref().map_or(0, |title| title.as_str().len());
        size_of::<Manifest>() + title + self.rest.weight() + parts
    }
}

fn files(parts: &[Part]) -> impl Iterator<Item = (&RawText, &StoredFile)> {
    parts.iter().filter_map(|part| match part {
        Part::File { field, file } => Some((field, file)),
        Part::Field(_) => None,
    })
}

/// One part of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Part {
    /// A text field.
    Field(Field),
    /// A file, whose bytes lie beside the manifest.
    File {
        /// The field name, as it came.
        field: RawText,
        /// The file.
        #[serde(flatten)]
        file: StoredFile,
    },
}

impl Part {
    /// The bytes of its content.
    #[expect(clippy::len_without_is_empty, reason = "empty parts are like others")]
    pub fn len(&self) -> u64 {
        match self {
            Part::Field(field) => field.value.as_bytes().len() as u64,
            Part::File { file, .. } => file.size,
        }
    }

    fn weight(&self) -> usize {
        let text = match self {
            Part::Field(field) => {
                let media_type = field.media_type.as_ref().map_or(0, String::len);
                let text = field.field.as_bytes().len() + field.value.as_bytes().len();
                text + media_type + field.rest.weight()
            }
            Part::File { field, file } => {
                let names = field.as_bytes().len() + file.original.as_bytes().len();
                let optional = [&file.extended, &file.given_type];
                let optional = optional.into_iter().flatten().map(String::len);
                let path = file.path.as_ref().map_or(0, |path| path.as_str().len());
                let optional = optional.sum::<usize>() + path + file.media_type.len();
                names + file.name.as_str().len() + optional + file.rest.weight()
            }
        };
        size_of::<Part>() + text
    }
}

/// A text field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The field name, as it came.
    pub field: RawText,
    /// The value, as it came.
    pub value: RawText,
    /// Its `Content-Type` as it came, where the part gave one.
    #[serde(default, alias = "type", skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The members that a later version has written.
    #[serde(flatten)]
    pub rest: Members,
}

/// A file in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Its name in the store, without the id before it.
    pub name: FileName,
    /// Its name as it came.
    pub original: RawText,
    /// Its [`path`](Self::path), where that is not its name. A version that does not know it may
    /// lose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<FilePath>,
    /// Bytes.
    pub size: u64,
    /// The value of the `filename*` that came beside the name, where the name was in encoded
    /// words (RFC 2047): the form gives back both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended: Option<String>,
    /// Its media type, as given by the part or guessed from the name. It is
    /// [served](Self::served_type) as something else where it says nothing.
    #[serde(alias = "type")]
    pub media_type: String,
    /// The text of the part in the place of a media type, where it is none: nothing, when it is
    /// empty. The form gives back this, not the guess.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_type: Option<String>,
    /// Its digest; `None` where digests are off and the client gave none.
    pub sha256: Option<Digest>,
    /// The CRC-32 (ISO 3309, as in ZIP) of its content; `None` where digests are off, and in what
    /// older versions stored. A version that does not know it may lose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc32: Option<u32>,
    /// How many of its downloads are used, where that is fewer than [`Manifest::used`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// The members that a later version has written.
    #[serde(flatten)]
    pub rest: Members,
}

impl StoredFile {
    /// Where it lies below its upload, with `/` between the folders: no other file of the upload
    /// has the same.
    pub fn path(&self) -> &str {
        let path = self.path.as_ref().map(FilePath::as_str);
        path.unwrap_or(self.name.as_str())
    }

    /// The media type that the file is served with: as it came or, where that says nothing,
    /// guessed from the name.
    pub fn served_type(&self) -> &str {
        if is_unknown(&self.media_type) {
            guess(self.name.as_str())
        } else {
            &self.media_type
        }
    }

    /// The `Content-Type` of the part that brought the file.
    pub fn part_type(&self) -> Option<&str> {
        let given = self.given_type.as_ref().unwrap_or(&self.media_type);
        Some(given.as_str()).filter(|given| !given.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_says_nothing_is_guessed_and_given_back_as_it_came() {
        let file = |name: &str, media_type: &str, given: Option<&str>| StoredFile {
            name: FileName::from_upload(name.as_bytes()),
            original: name.as_bytes().to_vec().into(),
            path: None,
            extended: None,
            size: 1,
            media_type: media_type.to_owned(),
            given_type: given.map(str::to_owned),
            sha256: None,
            crc32: None,
            used: None,
            rest: Default::default(),
        };
        for (name, media_type, given, served, part) in [
            ("a.png", "text/css", None, "text/css", Some("text/css")),
            (
                "a.png",
                "application/octet-stream",
                None,
                "image/png",
                Some("application/octet-stream"),
            ),
            (
                "a",
                "application/octet-stream",
                None,
                "application/octet-stream",
                Some("application/octet-stream"),
            ),
            ("a.png", "image/png", Some(""), "image/png", None),
            (
                "a.png",
                "image/png",
                Some("image"),
                "image/png",
                Some("image"),
            ),
        ] {
            let file = file(name, media_type, given);
            assert_eq!(file.served_type(), served, "{file:?}");
            assert_eq!(file.part_type(), part, "{file:?}");
        }
    }
}
