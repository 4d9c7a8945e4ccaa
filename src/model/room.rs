//! The room that uploads take in a store, as `max_total_size` counts it: the same on disk and in
//! a bucket.

use std::io;

use super::Manifest;

/// The unit of room, in bytes: a file takes whole ones.
pub const ROOM_UNIT: u64 = 4096;

/// What a file or a manifest of so many bytes takes, in bytes.
pub fn room_of(bytes: u64) -> u64 {
    bytes.div_ceil(ROOM_UNIT).saturating_mul(ROOM_UNIT)
}

impl Manifest {
    /// What the upload takes, in bytes: its files and this manifest, as it is stored.
    pub fn room(&self) -> u64 {
        let mut written = Count(0);
        serde_json::to_writer(&mut written, self).expect("a manifest can be written as JSON");
        let files = self.files().map(|(_, file)| room_of(file.size));
        files.fold(room_of(written.0), u64::saturating_add)
    }
}

/// Counts what is written.
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
}
