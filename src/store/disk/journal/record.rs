//! Records of the journal, as bytes.
//!
//! A record is its head, its body, and zeros up to where the next one begins. The head has the salt
//! of the use of the segment, the number of the record, both lengths and the checksum of the body,
//! and its own checksum, which so covers all of the record. The body is that of one change: its
//! kind, the id of the upload, the JSON of its manifest or tombstone, and for a commit the contents
//! of the files, in the order of the manifest. Numbers are little-endian.

use std::ops::Range;

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest, crc32_iscsi};

use crate::model::UploadId;

/// Bytes of the head of a record.
pub const HEAD: usize = 40;
/// Bytes that were synced are never written over by the next batch: each begins at a multiple of
/// this.
pub const BLOCK: usize = 4096;
/// Bytes of an id.
const ID: usize = 26;
/// Bytes of a body in front of the lengths of the contents: the kind, the id, the length of the
/// JSON and the number of contents.
const FIXED: usize = 1 + ID + 4 + 4;

/// Tells the records of one use of a segment from those of all others.
pub type Salt = [u8; 16];

/// The change of which a record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An upload was stored, all of whose files are in the record.
    Commit,
    /// Its manifest was replaced.
    Replace,
    /// It was removed.
    Remove,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Kind::Commit => 1,
            Kind::Replace => 2,
            Kind::Remove => 3,
        }
    }

    fn of(code: u8) -> Option<Self> {
        [Kind::Commit, Kind::Replace, Kind::Remove]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

/// The body of a record that is to be written.
#[derive(Debug)]
pub struct Body {
    /// The bytes in front of the contents.
    pub start: Vec<u8>,
    /// The contents of all files, one behind the other.
    pub contents: Bytes,
    pub kind: Kind,
    crc: u32,
}

impl Body {
    /// A commit of files that have these `sizes`, and stand one behind the other in `contents`.
    pub fn commit(id: &UploadId, manifest: &[u8], sizes: &[u32], contents: Bytes) -> Self {
        Self::new(Kind::Commit, id, manifest, sizes, contents)
    }

    /// A manifest in the place of an older one.
    pub fn replace(id: &UploadId, manifest: &[u8]) -> Self {
        Self::new(Kind::Replace, id, manifest, &[], Bytes::new())
    }

    /// A removal; the tombstone names the files.
    pub fn remove(id: &UploadId, tombstone: &[u8]) -> Self {
        Self::new(Kind::Remove, id, tombstone, &[], Bytes::new())
    }

    fn new(kind: Kind, id: &UploadId, json: &[u8], sizes: &[u32], contents: Bytes) -> Self {
        let mut start = Vec::with_capacity(FIXED + 4 * sizes.len() + json.len());
        start.push(kind.code());
        start.extend_from_slice(id.as_str().as_bytes());
        // A manifest has at most 48 MiB, and so fewer files than that.
        start.extend_from_slice(&(json.len() as u32).to_le_bytes());
        start.extend_from_slice(&(sizes.len() as u32).to_le_bytes());
        for size in sizes {
            start.extend_from_slice(&size.to_le_bytes());
        }
        start.extend_from_slice(json);
        let mut crc = Digest::new(CrcAlgorithm::Crc32Iscsi);
        crc.update(&start);
        crc.update(&contents);
        Body {
            crc: crc.finalize() as u32,
            start,
            contents,
            kind,
        }
    }

    /// Its bytes.
    pub fn len(&self) -> usize {
        self.start.len() + self.contents.len()
    }

    /// The head of the record that it is to be; `span` bytes behind that head's first the next
    /// record begins.
    pub fn head(&self, salt: &Salt, sequence: u64, span: u32) -> [u8; HEAD] {
        let head = Head {
            sequence,
            span,
            len: self.len() as u32,
            crc: self.crc,
        };
        head.encode(salt)
    }
}

/// The head of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Counts the records of a journal, across all segments.
    pub sequence: u64,
    /// Bytes to the next record, from the first of this one.
    pub span: u32,
    /// Bytes of the body.
    pub len: u32,
    crc: u32,
}

impl Head {
    fn encode(&self, salt: &Salt) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..16].copy_from_slice(salt);
        head[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        head[24..28].copy_from_slice(&self.span.to_le_bytes());
        head[28..32].copy_from_slice(&self.len.to_le_bytes());
        head[32..36].copy_from_slice(&self.crc.to_le_bytes());
        let crc = crc32_iscsi(&head[..36]);
        head[36..].copy_from_slice(&crc.to_le_bytes());
        head
    }

    /// Reads the head of a record of the use with this salt; `None` where there is none.
    pub fn decode(head: &[u8; HEAD], salt: &Salt) -> Option<Self> {
        if head[..16] != salt[..] || crc32_iscsi(&head[..36]) != number(&head[36..]) {
            return None;
        }
        let sequence = head[16..24].try_into().ok()?;
        let found = Head {
            sequence: u64::from_le_bytes(sequence),
            span: number(&head[24..28]),
            len: number(&head[28..32]),
            crc: number(&head[32..36]),
        };
        // Between a record and the next there is never a whole block.
        let end = HEAD + found.len as usize;
        let padding = (found.span as usize).checked_sub(end)?;
        (padding < BLOCK).then_some(found)
    }

    /// The change in what stands behind the head, up to the next record; `None` where it is not as it
    /// was written.
    pub fn change(&self, mut rest: Vec<u8>) -> Option<Change> {
        let len = self.len as usize;
        let (body, padding) = rest.split_at_checked(len)?;
        if crc32_iscsi(body) != self.crc || padding.iter().any(|byte| *byte != 0) {
            return None;
        }
        rest.truncate(len);
        Change::decode(rest)
    }
}

/// A change, as a record tells it.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    pub kind: Kind,
    pub id: UploadId,
    json: Range<usize>,
    contents: Vec<Range<usize>>,
    bytes: Vec<u8>,
}

impl Change {
    fn decode(bytes: Vec<u8>) -> Option<Self> {
        let kind = Kind::of(*bytes.first()?)?;
        let id = str::from_utf8(bytes.get(1..1 + ID)?).ok()?.parse().ok()?;
        let json = number(bytes.get(1 + ID..5 + ID)?) as usize;
        let count = number(bytes.get(5 + ID..FIXED)?) as usize;
        let sizes = FIXED..FIXED.checked_add(count.checked_mul(4)?)?;
        let json = sizes.end..sizes.end.checked_add(json)?;
        let mut contents = Vec::new();
        let mut at = json.end;
        for size in bytes.get(sizes)?.chunks_exact(4) {
            let end = at.checked_add(number(size) as usize)?;
            contents.push(at..end);
            at = end;
        }
        (at == bytes.len()).then_some(Change {
            kind,
            id,
            json,
            contents,
            bytes,
        })
    }

    /// The JSON of the manifest, or of the tombstone of a removal.
    pub fn json(&self) -> &[u8] {
        &self.bytes[self.json.clone()]
    }

    /// The contents of the files, in the order of the manifest.
    pub fn contents(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.contents.iter().map(|range| &self.bytes[range.clone()])
    }
}

/// A number of four bytes; 0 where these are not four.
fn number(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A record as it is written, `padding` bytes longer than it need be.
    fn written(body: &Body, salt: &Salt, sequence: u64, padding: usize) -> Vec<u8> {
        let span = HEAD + body.len() + padding;
        let mut bytes = body.head(salt, sequence, span as u32).to_vec();
        bytes.extend_from_slice(&body.start);
        bytes.extend_from_slice(&body.contents);
        bytes.resize(span, 0);
        bytes
    }

    fn read(bytes: &[u8], salt: &Salt) -> Option<(u64, Change)> {
        let (head, rest) = bytes.split_first_chunk()?;
        let head = Head::decode(head, salt)?;
        let rest = rest.get(..head.span as usize - HEAD)?;
        Some((head.sequence, head.change(rest.to_vec())?))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            json in prop::collection::vec(any::<u8>(), 0..300),
            files in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5),
            salt in any::<Salt>(),
            sequence in any::<u64>(),
            padding in 0..BLOCK,
        ) {
            let id = UploadId::generate().unwrap();
            let sizes: Vec<u32> = files.iter().map(|file| file.len() as u32).collect();
            let body = Body::commit(&id, &json, &sizes, files.concat().into());
            let bytes = written(&body, &salt, sequence, padding);
            let (found, change) = read(&bytes, &salt).unwrap();
            prop_assert_eq!((found, change.kind, change.id), (sequence, Kind::Commit, id));
            prop_assert_eq!(change.json(), &json[..]);
            let contents: Vec<&[u8]> = change.contents().collect();
            prop_assert_eq!(contents, files);
        }

        #[test]
        fn a_record_with_a_changed_bit_is_none(
            contents in prop::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let id = UploadId::generate().unwrap();
            let salt = [7; 16];
            let sizes = [contents.len() as u32];
            let body = Body::commit(&id, b"{}", &sizes, contents.into());
            let mut bytes = written(&body, &salt, 5, 30);
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            prop_assert!(read(&bytes, &salt).is_none());
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Change::decode(bytes);
        }
    }

    #[test]
    fn each_kind_is_told_from_the_others() {
        let id = UploadId::generate().unwrap();
        let (replace, remove) = (Body::replace(&id, b"a"), Body::remove(&id, b"b"));
        for (body, kind, json) in [(replace, Kind::Replace, b"a"), (remove, Kind::Remove, b"b")] {
            let bytes = written(&body, &[1; 16], 9, 0);
            let (_, change) = read(&bytes, &[1; 16]).unwrap();
            assert_eq!((change.kind, change.json()), (kind, &json[..]));
            assert_eq!(change.contents().len(), 0);
            assert!(read(&bytes, &[2; 16]).is_none(), "of another use");
        }
    }
}
