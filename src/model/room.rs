//! The room that uploads take in a store, as `max_total_size` counts it: the same on disk and in
//! a bucket.

use std::io;

use super::Manifest;

/// The unit of room, in bytes: a file takes whole ones.
pub const ROOM_UNIT: u64 = 4096;

/// JSON has no more bytes for each one of [`Manifest::weight`]: `\u0000` is one byte in memory, and
/// names and punctuation of a member are less than what its value takes there, six times.
const JSON_FACTOR: u64 = 6;

/// The room that a file or a manifest of so many bytes takes, in bytes.
pub fn room_of(bytes: u64) -> u64 {
    bytes.div_ceil(ROOM_UNIT).saturating_mul(ROOM_UNIT)
}

impl Manifest {
    /// The room that the upload takes, in bytes: its files and this manifest, as it is stored.
    pub fn room(&self) -> u64 {
        let most = (self.weight() as u64).saturating_mul(JSON_FACTOR);
        // A small form is not written a second time only to be counted.
        let manifest = match most <= ROOM_UNIT {
            true => ROOM_UNIT,
            false => room_of(self.json_len()),
        };
        let files = self.files().map(|(_, file)| room_of(file.size));
        files.fold(manifest, u64::saturating_add)
    }

    /// The bytes it has as JSON.
    fn json_len(&self) -> u64 {
        let mut written = Count(0);
        serde_json::to_writer(&mut written, self).expect("a manifest can be written as JSON");
        written.0
    }
}

/// Counts the bytes that are written.
struct Count(u64);

impl io::Write for Count {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0 += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Field, Part, StoredFile};

    #[test]
    fn files_and_manifest_are_rounded_up_each() {
        assert_eq!(
            [0, 1, 4096, 4097, u64::MAX].map(room_of),
            [0, 4096, 4096, 8192, u64::MAX]
        );
        let file = |size| Part::sample(StoredFile::sample("a", size));
        let mut manifest = Manifest::sample(vec![file(0), file(1), file(4097)]);
        assert_eq!(manifest.room(), 4096 * (1 + 2 + 1));
        manifest.parts = vec![Part::Field(Field {
            field: b"note"[..].into(),
            value: vec![b'a'; 9000].into(),
            media_type: None,
            rest: Default::default(),
        })];
        let json = serde_json::to_vec(&manifest).unwrap();
        assert_eq!(manifest.room(), room_of(json.len() as u64));
        assert_eq!(manifest.room(), 3 * 4096);
    }

    #[test]
    fn json_is_never_larger_than_it_is_taken_for() {
        let texts = ["", "a", "\u{1}\u{2}", "\u{e9}\u{65e5}", "\"\\"].map(|text| text.repeat(50));
        let mut parts = Vec::new();
        for text in &texts {
            for raw in [text.as_bytes(), b"\xff\x00", b""] {
                let mut file = StoredFile::sample("a", u64::MAX);
                file.media_type = text.clone();
                file.original = raw.to_vec().into();
                file.extended = Some(text.clone());
                file.given_type = Some(text.clone());
                parts.push(Part::sample(file));
                parts.push(Part::Field(Field {
                    field: raw.to_vec().into(),
                    value: text.as_bytes().to_vec().into(),
                    media_type: Some(text.clone()),
                    rest: serde_json::from_str(r#"{"x":[1,{"y":null}],"z":1e300}"#).unwrap(),
                }));
            }
        }
        for part in parts
            .clone()
            .into_iter()
            .map(|part| vec![part])
            .chain([parts, vec![]])
        {
            let manifest = Manifest::sample(part);
            let most = manifest.weight() as u64 * JSON_FACTOR;
            assert!(manifest.json_len() <= most, "{manifest:?}");
        }
        // The form of most requests is not counted byte by byte.
        let small = Manifest::sample(vec![Part::sample(StoredFile::sample("photo.jpeg", 1))]);
        assert!(
            small.weight() as u64 * JSON_FACTOR <= ROOM_UNIT,
            "{}",
            small.weight()
        );
    }
}
