//! The bytes of an answer, laid out before any is read, so that length, `ETag` and boundary are
//! known, the same on every instance and for every resumed transfer.

use std::ops::{Deref, Range};
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::archive::{ArchiveOutline, ChosenFiles, TURN};
use super::memory::ManifestBudget;
use super::outline::{Outline, OutlineBuilder};
use super::selected::Selected;
use crate::archive::Format;
use crate::catalog::Limit;
use crate::form::Boundary;
use crate::model::{FileName, Manifest, Part, StoredFile, Timestamp, Title, UploadId};

/// Counts the ways forms were ever written: part of every `ETag`, to be raised whenever the
/// encoder gives other bytes for the same form.
const ENCODER_VERSION: u32 = 1;

/// Something to be sent, its length known.
#[derive(Debug, Clone)]
pub struct Representation {
    /// Form or file.
    pub kind: RepresentationKind,
    /// The opaque part of its strong `ETag` (RFC 9110 section 8.8.3), quotes included.
    pub etag: String,
    /// When it was stored.
    pub last_modified: Timestamp,
    /// The first deadline among the uploads it is made of.
    pub expires_at: Option<Timestamp>,
    /// Whether it was found by a name, which may mean something else next time.
    pub by_name: bool,
    /// The limits of what it is made of, where downloads are counted.
    pub(super) limited: Vec<Limit>,
    source: ByteSource,
    len: u64,
}

/// The forms that a download has.
#[derive(Debug, Clone)]
pub enum RepresentationKind {
    /// `multipart/form-data`.
    Form(Boundary),
    /// The bytes of one file.
    Raw(RawFile),
    /// Files of one upload in one file.
    Archive(ArchiveKind),
}

/// An archive, and what it is called when it is saved.
#[derive(Debug, Clone)]
pub struct ArchiveKind {
    /// The format.
    pub format: Format,
    /// The name of the file.
    pub name: String,
}

/// A file, held together with its upload, so that its record is not copied.
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

/// Where the bytes come from.
#[derive(Debug, Clone)]
pub(super) enum ByteSource {
    Form(Arc<Outline>),
    /// Its upload, its name, and its size in bytes.
    File(UploadId, FileName, u64),
    Archive(Arc<ArchiveOutline>),
}

/// A run of bytes to be sent.
#[derive(Debug, Clone)]
pub enum DeliveryPiece {
    /// From memory.
    Bytes(Bytes),
    /// Of a representation.
    Slice(Slice),
}

/// A range of a representation; its content is found when it is read.
#[derive(Debug, Clone)]
pub struct Slice {
    pub(super) source: ByteSource,
    pub(super) range: Range<u64>,
}

impl DeliveryPiece {
    /// Bytes.
    pub fn len(&self) -> u64 {
        match self {
            DeliveryPiece::Bytes(bytes) => bytes.len() as u64,
            DeliveryPiece::Slice(slice) => slice.range.end - slice.range.start,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A form that is put together, upload by upload: their contents are read when they go out.
pub struct FormBuilder {
    common: Common,
    outline: OutlineBuilder,
}

impl FormBuilder {
    /// Nothing yet.
    pub(super) fn new(budget: &ManifestBudget) -> Self {
        FormBuilder {
            common: Common::new(KindMark::Form),
            outline: OutlineBuilder::new(PLACEHOLDER.clone(), budget.clone()),
        }
    }

    /// Adds the selected parts of an upload.
    pub(super) fn add(&mut self, selected: &Selected) {
        self.common.add(selected);
        self.outline.add(selected);
    }

    /// How many parts there are.
    pub(super) fn parts(&self) -> usize {
        self.outline.parts()
    }

    /// The form.
    pub fn finish(mut self) -> Representation {
        let hash = self.common.hash();
        let boundary = boundary(&hash);
        let outline = self.outline.finish(boundary.clone());
        let (kind, len) = (RepresentationKind::Form(boundary), outline.len);
        let source = ByteSource::Form(Arc::new(outline));
        self.common.finish(&hash, kind, source, len)
    }
}

impl Default for FormBuilder {
    fn default() -> Self {
        Self::new(&ManifestBudget::default())
    }
}

/// How many bytes of a hash a boundary and an `ETag` carry: 160 bits.
const CARRIED: usize = 20;

/// A boundary as long as every other, from which lengths are counted before the hash is known.
static PLACEHOLDER: LazyLock<Boundary> = LazyLock::new(|| boundary(&[0; 32]));

/// The boundary of a form: 160 bits of a hash over secrets, which no stored content can hold by
/// design or chance.
fn boundary(hash: &[u8; 32]) -> Boundary {
    let boundary = marked("wharf-", hash, "");
    Boundary::new(&boundary).expect("a base64 text is a boundary")
}

/// A part of a hash, as a boundary and an `ETag` carry it, between two marks.
fn marked(before: &str, hash: &[u8; 32], after: &str) -> String {
    let mut text = String::with_capacity(before.len() + 4 * CARRIED.div_ceil(3) + after.len());
    text.push_str(before);
    URL_SAFE_NO_PAD.encode_string(&hash[..CARRIED], &mut text);
    text.push_str(after);
    text
}

/// The kinds of representations, of which no two share an `ETag`.
#[derive(Clone, Copy, PartialEq)]
enum KindMark {
    Form,
    Raw,
    Archive(Format),
}

/// The name of an archive: by the title of its upload, or by its id.
fn archive_name(manifest: &Manifest, format: Format) -> String {
    let title = manifest.title.as_ref().map(Title::as_str);
    // A title has no folders.
    let title = title.map(|title| title.replace(['/', '\\'], "-"));
    let name = title.map(|title| FileName::from_upload(title.as_bytes()));
    let name = name.map_or_else(|| manifest.id.to_string(), |name| name.to_string());
    format!("{name}.{}", format.extension())
}

/// The properties that all kinds of representations take from their uploads.
struct Common {
    /// Whether it is a form, and not the bytes of one file.
    form: bool,
    /// The input of the hash that identifies this representation: the secrets of its uploads, and
    /// the parts that were selected of them.
    hasher: Sha256,
    last_modified: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    by_name: bool,
    limited: Vec<Limit>,
}

impl Common {
    fn new(kind: KindMark) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(match kind {
            KindMark::Form => &b"form"[..],
            KindMark::Raw => b"raw",
            KindMark::Archive(Format::Zip) => b"zip",
            KindMark::Archive(Format::Tar) => b"tar",
        });
        hasher.update(ENCODER_VERSION.to_be_bytes());
        Common {
            form: kind == KindMark::Form,
            hasher,
            last_modified: None,
            expires_at: None,
            by_name: false,
            limited: Vec::new(),
        }
    }

    fn add(&mut self, selected: &Selected) {
        let Selected {
            manifest,
            file,
            by_name,
        } = selected;
        self.hasher.update(manifest.salt.as_bytes());
        let name = file.as_ref().map_or("", FileName::as_str);
        self.hasher.update((name.len() as u64).to_be_bytes());
        self.hasher.update(name);
        // An older version ignores these, and would send other bytes under the same `ETag`.
        let newer = |(_, file): (_, &StoredFile)| {
            let nul = file.original.as_bytes().contains(&0);
            nul || file.extended.is_some() || file.given_type.is_some()
        };
        if self.form && manifest.files().any(newer) {
            self.hasher.update(b"as it came");
        }
        self.add_times(manifest);
        self.by_name |= by_name;
        self.limited.extend(Limit::of(manifest, selected.portion()));
    }

    /// An upload of which an archive takes chosen files.
    fn add_archived(&mut self, manifest: &Manifest, chosen: &ChosenFiles) {
        self.hasher.update(manifest.salt.as_bytes());
        self.add_times(manifest);
        self.limited.extend(Limit::of(manifest, chosen.portion()));
    }

    /// A file of an archive. Its path is in the hash, for another version may know another one.
    fn add_file(&mut self, place: usize, file: &StoredFile) {
        self.hasher.update((place as u64).to_be_bytes());
        self.hasher.update((file.path().len() as u64).to_be_bytes());
        self.hasher.update(file.path());
    }

    fn add_times(&mut self, manifest: &Manifest) {
        self.last_modified = self.last_modified.max(Some(manifest.created_at));
        let ends = [self.expires_at, manifest.expires_at];
        self.expires_at = ends.into_iter().flatten().min();
    }

    fn hash(&mut self) -> [u8; 32] {
        self.hasher.finalize_reset().into()
    }

    fn finish(
        self,
        hash: &[u8; 32],
        kind: RepresentationKind,
        source: ByteSource,
        len: u64,
    ) -> Representation {
        Representation {
            kind,
            etag: marked("\"", hash, "\""),
            last_modified: self.last_modified.unwrap_or(Timestamp::from_millis(0)),
            expires_at: self.expires_at,
            by_name: self.by_name,
            limited: self.limited,
            source,
            len,
        }
    }
}

impl Representation {
    /// The bytes of one file; `None` when none is selected.
    pub fn raw(selected: &Selected) -> Option<Self> {
        let file = RawFile {
            part: selected.file_part()?,
            manifest: Arc::clone(&selected.manifest),
        };
        let (size, name) = (file.size, file.name.clone());
        let source = ByteSource::File(selected.manifest.id, name, size);
        let mut common = Common::new(KindMark::Raw);
        common.add(selected);
        let hash = common.hash();
        Some(common.finish(&hash, RepresentationKind::Raw(file), source, size))
    }

    /// Chosen files of an upload as an archive.
    pub(super) async fn archive(
        format: Format,
        manifest: &Arc<Manifest>,
        chosen: ChosenFiles,
        budget: &ManifestBudget,
    ) -> Self {
        let mut common = Common::new(KindMark::Archive(format));
        common.add_archived(manifest, &chosen);
        let mut outline = ArchiveOutline::new(format, manifest.id, chosen.clone());
        for (passed, (place, file)) in chosen.files(manifest).enumerate() {
            common.add_file(place, file);
            outline.add(manifest, file);
            if passed % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        outline.hold(manifest, budget);
        let hash = common.hash();
        let kind = RepresentationKind::Archive(ArchiveKind {
            format,
            name: archive_name(manifest, format),
        });
        let len = outline.len;
        common.finish(&hash, kind, ByteSource::Archive(Arc::new(outline)), len)
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
            RepresentationKind::Raw(file) => Some((&file.manifest.id, file)),
            RepresentationKind::Form(_) | RepresentationKind::Archive(_) => None,
        }
    }

    /// Whether its downloads are counted.
    pub fn is_limited(&self) -> bool {
        !self.limited.is_empty()
    }

    /// The piece for `range` of its bytes, which lies within its length.
    pub fn slice(&self, range: Range<u64>) -> DeliveryPiece {
        DeliveryPiece::Slice(Slice {
            source: self.source.clone(),
            range,
        })
    }
}
