//! The truth about one upload.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::digest::parse_hex;
use super::media_type::{guess, is_unknown};
use super::{Digest, FileName, Members, RawText, Timestamp, UploadId};

/// The layout of a manifest that this version writes, and the newest it reads.
pub const SCHEMA: u32 = 1;

/// How far the order of an upload may be above its creation.
const AHEAD: Duration = Duration::from_secs(3600);

/// The record of one upload, stored beside its files as JSON. An upload without one does not
/// exist: writing it is the commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The layout of this record, [`SCHEMA`].
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
    /// How many downloads it allows.
    pub max_downloads: Option<u64>,
    /// How many of those are used.
    pub used: u64,
    /// Random bytes of which the boundary and the `ETag` of the form are made.
    pub salt: Salt,
    /// What the delete token hashes to.
    pub delete_token: TokenHash,
    /// The form, in its order.
    pub parts: Vec<Part>,
    /// What else a later version has written: kept when the manifest is replaced.
    #[serde(flatten)]
    pub rest: Members,
}

impl Manifest {
    /// What decides which upload of a name is the newest: the one of the highest order. It is
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

    /// Whether the upload has come to its deadline, or to the last of its downloads.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|deadline| deadline <= now) || !self.has_uses()
    }

    /// Whether it may be downloaded once more.
    pub fn has_uses(&self) -> bool {
        self.max_downloads.is_none_or(|max| self.used < max)
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
        size_of::<Manifest>() + self.rest.weight() + parts
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
                let optional = optional.sum::<usize>() + file.media_type.len();
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What else a later version has written.
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
    /// Bytes.
    pub size: u64,
    /// The value of the `filename*` that came beside the name, where the name was in encoded
    /// words (RFC 2047): the form gives back both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended: Option<String>,
    /// Its media type, as given by the part or guessed from the name. It is
    /// [served](Self::served_type) as something else where it says nothing.
    pub media_type: String,
    /// What the part gave in the place of a media type, where that is none: nothing, when it is
    /// empty. The form gives back this, not the guess.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_type: Option<String>,
    /// Its digest; `None` where digests are off and the client gave none.
    pub sha256: Option<Digest>,
    /// What else a later version has written.
    #[serde(flatten)]
    pub rest: Members,
}

impl StoredFile {
    /// The media type that the file is served with: as it came or, where that says nothing,
    /// guessed from the name.
    pub fn served_type(&self) -> &str {
        if is_unknown(&self.media_type) {
            guess(self.name.as_str())
        } else {
            &self.media_type
        }
    }

    /// What the part that brought the file gave as its `Content-Type`.
    pub fn part_type(&self) -> Option<&str> {
        let given = self.given_type.as_ref().unwrap_or(&self.media_type);
        Some(given.as_str()).filter(|given| !given.is_empty())
    }
}

/// 128 random bits. As text and in JSON: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Salt([u8; 16]);

impl Salt {
    /// New ones, from the operating system.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Salt(bytes))
    }

    /// The bits.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<Salt> for String {
    fn from(salt: Salt) -> String {
        salt.to_string()
    }
}

impl TryFrom<String> for Salt {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        parse_hex(&text)
            .map(Salt)
            .ok_or("not 32 hexadecimal digits")
    }
}

/// The SHA-256 of a delete token, which is kept in its place. The token has 128 random bits, so no
/// slower hash is needed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(Digest);

impl TokenHash {
    /// The hash of `token`.
    pub fn of(token: &str) -> Self {
        let bytes: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        TokenHash(bytes.into())
    }

    /// Whether `token` is the one, in a time that does not tell how nearly.
    pub fn matches(&self, token: &str) -> bool {
        *self == Self::of(token)
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for TokenHash {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_comes_back_from_its_json() {
        let manifest = Manifest {
            schema: SCHEMA,
            generation: 1,
            id: UploadId::generate().unwrap(),
            created_at: Timestamp::from_millis(1_795_396_450_123),
            order: None,
            expires_at: None,
            max_downloads: Some(2),
            used: 0,
            salt: Salt::generate().unwrap(),
            delete_token: TokenHash::of("secret"),
            parts: vec![
                Part::Field(Field {
                    field: b"name"[..].into(),
                    value: b"caf\xe9"[..].into(),
                    media_type: None,
                    rest: Default::default(),
                }),
                Part::File {
                    field: b"file1"[..].into(),
                    file: StoredFile {
                        name: FileName::from_upload(b"../part1.txt"),
                        original: b"../part1.txt"[..].into(),
                        extended: None,
                        size: 15,
                        media_type: "text/plain".into(),
                        given_type: None,
                        sha256: None,
                        rest: Default::default(),
                    },
                },
            ],
            rest: Default::default(),
        };
        let json = serde_json::to_string(&manifest).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
        assert!(manifest.delete_token.matches("secret"));
        assert!(!manifest.delete_token.matches("secreu"));
        // What an older version writes has fewer members, and gives the same.
        assert!(!json.contains("extended") && !json.contains("given_type"));
        // As an earlier version reads and writes it: without an order, and passing over what it
        // does not know.
        assert!(!json.contains("order"));
        let later = Manifest {
            order: Some(Timestamp::from_millis(1_795_396_450_124)),
            ..manifest.clone()
        };
        let json_later = serde_json::to_string(&later).unwrap();
        assert!(json_later.contains("\"order\":1795396450124,"));
        let newer = json_later.replace("\"order\"", "\"of a later version\"");
        let known: Manifest = serde_json::from_str(&newer).unwrap();
        assert_eq!(known.order, None);
        let forged = json.replace("\"part1.txt\"", "\"../part1.txt\"");
        assert!(serde_json::from_str::<Manifest>(&forged).is_err());
    }

    #[test]
    fn what_a_later_version_has_written_is_kept_as_it_came() {
        let id = UploadId::generate().unwrap();
        let json = format!(
            r#"{{"schema":1,"generation":3,"id":"{id}","created_at":5,"expires_at":null,"max_downloads":null,"used":0,"salt":"{}","delete_token":"{}","parts":[{{"kind":"field","field":"a","value":"b","language":"de"}},{{"kind":"file","field":"f","name":"a.txt","original":"a.txt","size":3,"media_type":"text/plain","sha256":null,"path":"x/a.txt","crc32":4294967295}}],"title":"t","later":{{"z":[1.5,null,-7,18446744073709551615],"a":true}}}}"#,
            "0".repeat(32),
            "0".repeat(64),
        );
        let mut manifest: Manifest = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&manifest).unwrap(), json);
        assert!(manifest.rest.weight() > 0);
        manifest.used += 1;
        let next = serde_json::to_string(&manifest).unwrap();
        assert_eq!(next, json.replace("\"used\":0", "\"used\":1"));
    }

    #[test]
    fn a_type_that_says_nothing_is_guessed_and_given_back_as_it_came() {
        let file = |name: &str, media_type: &str, given: Option<&str>| StoredFile {
            name: FileName::from_upload(name.as_bytes()),
            original: name.as_bytes().to_vec().into(),
            extended: None,
            size: 1,
            media_type: media_type.to_owned(),
            given_type: given.map(str::to_owned),
            sha256: None,
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
