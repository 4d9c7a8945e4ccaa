//! What goes out: its exact bytes before any is read, so that length, `ETag` and boundary are
//! known, the same on every instance and for every resumed transfer.

use std::ops::{Deref, Range};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::resolve::Selected;
use crate::form::{Boundary, EncodedForm, OutPart};
use crate::model::{FileName, Manifest, Part, StoredFile, Timestamp, UploadId};

/// Counts the ways forms were ever written: part of every `ETag`, to be raised whenever the
/// encoder gives other bytes for the same form.
const ENCODER_VERSION: u32 = 1;

/// Something to be sent, its length known.
#[derive(Debug, Clone)]
pub struct Representation {
    /// What it is.
    pub kind: Kind,
    /// The opaque part of its strong `ETag` (RFC 9110 section 8.8.3), quotes included.
    pub etag: String,
    /// When it was stored.
    pub last_modified: Timestamp,
    /// The first deadline among the uploads it is made of.
    pub expires_at: Option<Timestamp>,
    /// Whether it was found by a name, which may mean something else next time.
    pub by_name: bool,
    /// The uploads it is made of whose downloads are counted.
    pub(super) limited: Vec<Arc<Manifest>>,
    segments: Vec<Segment>,
    len: u64,
}

/// The two forms a download has.
#[derive(Debug, Clone)]
pub enum Kind {
    /// `multipart/form-data`.
    Form(Boundary),
    /// The bytes of one file.
    Raw(RawFile),
}

/// A file, held together with its upload: to name it costs no copy of what is known of it.
#[derive(Debug, Clone)]
pub struct RawFile {
    manifest: Arc<Manifest>,
    /// Which of the parts it is.
    part: usize,
}

impl Deref for RawFile {
    type Target = StoredFile;

    fn deref(&self) -> &StoredFile {
        match &self.manifest.parts[self.part] {
            Part::File { file, .. } => file,
            Part::Field(_) => unreachable!("it was made of a file"),
        }
    }
}

#[derive(Debug, Clone)]
enum Segment {
    Bytes(Bytes),
    File(UploadId, FileName, u64),
}

/// A run of bytes to be sent.
#[derive(Debug, Clone)]
pub enum Piece {
    /// From memory.
    Bytes(Bytes),
    /// From a stored file.
    File {
        /// Its upload.
        id: UploadId,
        /// Its name.
        name: FileName,
        /// Its whole size in bytes.
        size: u64,
        /// Which of its bytes.
        range: Range<u64>,
    },
}

impl Piece {
    /// Bytes.
    pub fn len(&self) -> u64 {
        match self {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::File { range, .. } => range.end - range.start,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Representation {
    /// The selected parts of uploads as one form, in the order selected.
    pub fn form(selected: &[Selected]) -> Self {
        let hash = fingerprint(b"form", selected);
        // 160 bits of a hash over secrets: no stored content can hold it by design or chance.
        let boundary = format!("wharf-{}", URL_SAFE_NO_PAD.encode(&hash[..20]));
        let boundary = Boundary::new(&boundary).expect("a base64 text is a boundary");
        let parts: Vec<(UploadId, &Part)> = selected.iter().flat_map(parts).collect();
        let digests: Vec<Option<String>> = parts.iter().map(|(_, part)| digest(part)).collect();
        let out = parts.iter().zip(&digests);
        let encoded = EncodedForm::new(
            &boundary,
            out.map(|((_, part), digest)| out_part(part, digest.as_deref())),
        );
        let mut segments = Vec::with_capacity(2 * parts.len() + 1);
        for ((id, part), encoded) in parts.iter().zip(encoded.parts()) {
            segments.push(Segment::Bytes(encoded.head.clone()));
            segments.push(match part {
                Part::Field(field) => Segment::Bytes(field.value.bytes()),
                Part::File { file, .. } => Segment::File(*id, file.name.clone(), file.size),
            });
        }
        segments.push(Segment::Bytes(encoded.close().clone()));
        let len = encoded.content_length();
        Self::new(Kind::Form(boundary), &hash, selected, segments, len)
    }

    /// The bytes of one file; `None` when none is selected.
    pub fn raw(selected: &Selected) -> Option<Self> {
        let name = selected.file.as_ref()?;
        let named = |part: &Part| matches!(part, Part::File { file, .. } if file.name == *name);
        let file = RawFile {
            part: selected.manifest.parts.iter().position(named)?,
            manifest: Arc::clone(&selected.manifest),
        };
        let (size, name) = (file.size, file.name.clone());
        let segment = Segment::File(selected.manifest.id, name, size);
        let selected = std::slice::from_ref(selected);
        let hash = fingerprint(b"raw", selected);
        let kind = Kind::Raw(file);
        Some(Self::new(kind, &hash, selected, vec![segment], size))
    }

    fn new(
        kind: Kind,
        hash: &[u8; 32],
        selected: &[Selected],
        segments: Vec<Segment>,
        len: u64,
    ) -> Self {
        let manifests = || selected.iter().map(|selected| &selected.manifest);
        let mut limited: Vec<Arc<Manifest>> = Vec::new();
        for manifest in manifests().filter(|manifest| manifest.max_downloads.is_some()) {
            if limited.iter().all(|known| known.id != manifest.id) {
                limited.push(Arc::clone(manifest));
            }
        }
        let created = manifests().map(|manifest| manifest.created_at);
        Representation {
            kind,
            etag: ["\"", &URL_SAFE_NO_PAD.encode(&hash[..20]), "\""].concat(),
            last_modified: created.max().unwrap_or(Timestamp::from_millis(0)),
            expires_at: manifests().filter_map(|manifest| manifest.expires_at).min(),
            by_name: selected.iter().any(|selected| selected.by_name),
            limited,
            segments,
            len,
        }
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes, as the raw form of an empty file has.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The one file that it is, as it is; `None` for a form.
    pub(super) fn file(&self) -> Option<(&UploadId, &StoredFile)> {
        match &self.kind {
            Kind::Raw(file) => Some((&file.manifest.id, file)),
            Kind::Form(_) => None,
        }
    }

    /// Whether its downloads are counted.
    pub fn is_limited(&self) -> bool {
        !self.limited.is_empty()
    }

    /// What to send for `range` of its bytes, which lies within its length.
    pub fn slice(&self, range: Range<u64>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut start = 0;
        for segment in &self.segments {
            let end = start + segment.len();
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                pieces.push(segment.slice(from - start..to - start));
            }
            start = end;
        }
        pieces
    }
}

impl Segment {
    fn len(&self) -> u64 {
        match self {
            Segment::Bytes(bytes) => bytes.len() as u64,
            Segment::File(_, _, size) => *size,
        }
    }

    fn slice(&self, range: Range<u64>) -> Piece {
        match self {
            // Bytes in memory are fewer than a usize counts, and the range lies within them.
            Segment::Bytes(bytes) => {
                Piece::Bytes(bytes.slice(range.start as usize..range.end as usize))
            }
            Segment::File(id, name, size) => Piece::File {
                id: *id,
                name: name.clone(),
                size: *size,
                range,
            },
        }
    }
}

/// The parts selected of one upload.
fn parts(selected: &Selected) -> impl Iterator<Item = (UploadId, &Part)> {
    let chosen = |part: &&Part| match (&selected.file, part) {
        (None, _) => true,
        (Some(name), Part::File { file, .. }) => file.name == *name,
        (Some(_), Part::Field(_)) => false,
    };
    let parts = selected.manifest.parts.iter().filter(chosen);
    parts.map(|part| (selected.manifest.id, part))
}

fn digest(part: &Part) -> Option<String> {
    match part {
        Part::Field(_) => None,
        Part::File { file, .. } => file.sha256.map(|digest| digest.to_header()),
    }
}

fn out_part<'a>(part: &'a Part, digest: Option<&'a str>) -> OutPart<'a> {
    match part {
        Part::Field(field) => OutPart {
            name: field.field.as_bytes(),
            filename: None,
            extended: None,
            content_type: field.media_type.as_deref(),
            content_length: field.value.as_bytes().len() as u64,
            repr_digest: None,
        },
        Part::File { field, file } => OutPart {
            name: field.as_bytes(),
            filename: Some(file.original.as_bytes()),
            extended: file.extended.as_deref(),
            content_type: file.part_type(),
            content_length: file.size,
            repr_digest: digest,
        },
    }
}

/// What tells this representation from any other: the secrets of its uploads, and what was
/// selected of them.
fn fingerprint(kind: &[u8], selected: &[Selected]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(kind);
    hasher.update(ENCODER_VERSION.to_be_bytes());
    for Selected { manifest, file, .. } in selected {
        hasher.update(manifest.salt.as_bytes());
        let name = file.as_ref().map_or("", FileName::as_str);
        hasher.update((name.len() as u64).to_be_bytes());
        hasher.update(name);
        // An older version ignores these, and would send other bytes under the same `ETag`.
        let newer =
            |(_, file): &(_, &StoredFile)| file.extended.is_some() || file.given_type.is_some();
        if kind == b"form" && manifest.files().any(|file| newer(&file)) {
            hasher.update(b"as it came");
        }
    }
    hasher.finalize().into()
}
