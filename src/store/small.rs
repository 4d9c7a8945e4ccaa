//! The small files and objects of a store: manifests, tombstones, and what a store says of itself.
//! They are read whole, so what is read of one has a bound. One that is larger is not as wharf wrote
//! it: a disk can give a file any size, and other programs may put objects into a bucket.

use std::fmt::Display;
use std::io::{self, Read};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use crate::model::{Manifest, Stored, UploadId};

/// The most bytes that are read of one. By default no manifest has more than 8 MiB: names and text
/// have at most `max_fields_size`, of which JSON makes six times as many bytes at worst (`\u0001`),
/// the path of a file repeats its name at most once, and a part takes less than 1 KiB beside them.
pub const LARGEST: u64 = 64 << 20;
/// The most bytes that a manifest has at first, whatever the settings allow, and room for what is
/// written into it later: a title and other members of the upload have the rest.
const LARGEST_NEW: usize = 48 << 20;
/// The most bytes that are written later for each file: `,"crc32":…` and `,"used":…`.
const LATER: usize = 48;

/// The content of a small file or object.
#[derive(Debug)]
pub enum SmallContent {
    /// All of it.
    Whole(Vec<u8>),
    /// It has more than [`LARGEST`] bytes.
    TooLarge,
}

impl SmallContent {
    /// Reads a file of `size` bytes, which may have changed since it was asked for. Blocks.
    pub fn read(file: impl Read, size: u64) -> io::Result<Self> {
        if size > LARGEST {
            return Ok(SmallContent::TooLarge);
        }
        // Room to find the end without more memory.
        let room = usize::try_from(size).unwrap_or_default() + 64;
        let mut bytes = Vec::with_capacity(room);
        file.take(LARGEST + 1).read_to_end(&mut bytes)?;
        Ok(Self::of(bytes))
    }

    /// The bytes that were read, if they are not too many.
    pub fn of(bytes: Vec<u8>) -> Self {
        match bytes.len() as u64 <= LARGEST {
            true => SmallContent::Whole(bytes),
            false => SmallContent::TooLarge,
        }
    }

    /// The bytes; `name` is the file's, or the object's key.
    fn bytes(&self, name: impl Display) -> Result<&[u8], StoreError> {
        match self {
            SmallContent::Whole(bytes) => Ok(bytes),
            SmallContent::TooLarge => Err(StoreError::Damaged(format!(
                "{name} has more than {LARGEST} bytes, and nothing of the kind is that large"
            ))),
        }
    }

    /// The manifest or tombstone of `id`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is none.
    pub fn stored(&self, name: impl Display, id: &UploadId) -> Result<Stored, StoreError> {
        let stored = Stored::from_json(self.bytes(&name)?, id);
        stored.map_err(|why| StoreError::Damaged(format!("{name} {why}")))
    }

    /// A record of the store on itself.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it cannot be understood.
    pub fn record<T: DeserializeOwned>(&self, name: impl Display) -> Result<T, StoreError> {
        let record = serde_json::from_slice(self.bytes(&name)?);
        record.map_err(|error| StoreError::Damaged(format!("{name} cannot be understood: {error}")))
    }

    /// Refuses to take a key for damaged that a newer version of wharf wrote, and understands; `why`
    /// says what this version could not read.
    pub fn require_damaged(&self, why: StoreError) -> Result<(), StoreError> {
        match self {
            SmallContent::Whole(json) if Stored::is_newer(json) => Err(why),
            SmallContent::Whole(_) | SmallContent::TooLarge => Ok(()),
        }
    }
}

/// A manifest, a tombstone or a record as JSON.
pub fn to_json(stored: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let json = serde_json::to_vec(stored);
    json.map_err(|error| StoreError::io("writing JSON", io::Error::other(error)))
}

/// The manifest of a new upload as JSON.
///
/// # Errors
/// [`StoreError::TooLarge`] when it would not be read again.
pub fn new_manifest(manifest: &Manifest) -> Result<Vec<u8>, StoreError> {
    let json = to_json(manifest)?;
    let len = json.len() + LATER * manifest.files().count();
    if len > LARGEST_NEW {
        return Err(StoreError::TooLarge {
            setting: "max_fields_size",
            reason: format!(
                "the names and text fields take {len} bytes in the manifest, which has at most \
                 {LARGEST_NEW}"
            ),
        });
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Field, Part, StoredFile};

    #[test]
    fn what_is_too_large_is_damaged_and_not_read() {
        struct Unread;
        impl Read for Unread {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("it is read");
            }
        }
        let id = UploadId::generate().unwrap();
        let large = SmallContent::read(Unread, LARGEST + 1).unwrap();
        let why = large.stored("a.json", &id).unwrap_err();
        assert_eq!(
            why.to_string(),
            "damaged: a.json has more than 67108864 bytes, and nothing of the kind is that large"
        );
        assert!(large.record::<u64>("total.json").is_err());
        large.require_damaged(why).unwrap();
        // Where the size is wrong, the bytes that are read count.
        let read = |len| SmallContent::read(io::repeat(b' ').take(len), 7).unwrap();
        assert!(matches!(read(LARGEST + 2), SmallContent::TooLarge));
        assert!(matches!(read(10_000), SmallContent::Whole(it) if it.len() == 10_000));
    }

    #[test]
    fn every_manifest_that_is_written_is_read_again() {
        let field = |len| {
            Part::Field(Field {
                field: b"f"[..].into(),
                value: vec![1; len].into(),
                media_type: None,
                rest: Default::default(),
            })
        };
        let manifest = |len| Manifest::sample(vec![field(len)]);
        assert!(new_manifest(&manifest(LARGEST_NEW / 6 - 1000)).is_ok());
        let refused = new_manifest(&manifest(LARGEST_NEW / 6));
        assert!(
            matches!(&refused, Err(StoreError::TooLarge { setting, .. }) if *setting == "max_fields_size"),
            "{refused:?}"
        );
    }
    /// The CRC and the count of each of very many files still fit.
    #[test]
    fn a_manifest_with_many_files_has_room_for_what_comes_later() {
        let mut file = StoredFile::sample("a", 0);
        let one = to_json(&Part::sample(file.clone())).unwrap().len();
        file.crc32 = Some(u32::MAX);
        file.used = Some(u64::MAX);
        let later = to_json(&Part::sample(file)).unwrap().len();
        assert!(later - one <= LATER, "{later} - {one}");
        let files = |count| {
            let parts = vec![Part::sample(StoredFile::sample("a", 0)); count];
            new_manifest(&Manifest::sample(parts))
        };
        let most = (LARGEST_NEW - 1000) / (one + 1 + LATER);
        assert!(files(most).is_ok());
        assert!(files(most * (one + 1 + LATER) / (one + 1)).is_err());
    }
}
